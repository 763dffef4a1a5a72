-- Dockerfiles that went through a grinder: each is read, or refused in one way: kind, file and line. Never a fault of
-- the reader itself. The grinder turns the same way every time.
-- env: FILES=@DIR@/../../dockerfiles
-- timeout-ms: 120000
local texts = {}
for _, name in ipairs(fs.list(host.env.FILES)) do
  local path = host.env.FILES .. "/" .. name .. "/Dockerfile"
  if fs.stat(path) then texts[#texts + 1] = fs.read(path) end
end
assert(#texts > 100, "the corpus was not found")

math.randomseed(20261121)
local pieces = {
  "\\", "\n", "\r\n", "$", "${", "}", "${x:-", "\"", "'", "[", "]", "[\"", "<<", "<<EOF", "\nEOF\n", "--", "--from=", "--mount=type=",
  "=", ",", "#", "# escape=`\n", "FROM ", "AS ", "COPY ", "RUN ", "\nFROM scratch\n", "\0", "\255", "\239\187\191", " ", "\t", "@", ":", "*", "\\\n",
}
local grinders = {
  function(text, at) return text:sub(1, at) end,
  function(text, at) return text:sub(at) end,
  function(text, at) return text:sub(1, at - 1) .. text:sub(at + math.random(20)) end,
  function(text, at) return text:sub(1, at) .. pieces[math.random(#pieces)] .. text:sub(at + 1) end,
  function(text, at) return text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1) end,
  function(text, at) return text:sub(at) .. text:sub(1, at) end,
}

local folder <close> = fs.tempdir()
local file = folder.path .. "/Dockerfile"
local read, refused = 0, 0
local function try(what, f, text)
  local ok, err = pcall(f, file)
  if ok then read = read + 1 return true end
  refused = refused + 1
  local known = type(err) == "table" and (err.kind == "invalid_argument" or what == "to_lua" and err.kind == "unsupported")
  local good = known and err.message:find(file, 1, true) == 1
    and not err.message:find "attempt to" and not err.message:find "stack overflow"
  if not good then
    error(("%s: %s\nof\n%s"):format(what, type(err) == "table" and err.kind .. ": " .. err.message or tostring(err), text), 0)
  end
  return false
end

for _, original in ipairs(texts) do
  for _ = 1, 15 do
    local text = original
    for _ = 1, math.random(3) do
      text = #text > 0 and grinders[math.random(#grinders)](text, math.random(#text)) or "FROM a"
    end
    fs.write(file, text)
    if try("parse", dockerfile.parse, text) then try("to_lua", dockerfile.to_lua, text) end
  end
end
assert(read > 500 and refused > 500, ("read %d, refused %d"):format(read, refused))
