-- Prints what the engine sees at paths of an image: path, kind, mode, uid, gid.
-- args: IMAGE PATH...
local name = table.remove(arg, 1)
local state = build.from(name, { pull = "never" })
for _, path in ipairs(arg) do
  local folder, last = path:match "^(.*)/([^/]*)$"
  for _, entry in ipairs(state:list(folder == "" and "/" or folder)) do
    if entry.name == last then
      local octal = ("%04d"):format(tonumber(entry.octal))
      print(("%s %s %s %d %d"):format(path, entry.kind, octal, entry.uid, entry.gid))
    end
  end
end
