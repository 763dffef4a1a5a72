-- Handles: fields, tostring, equality, `<close>`.
local r = host.run("echo out; echo err >&2; exit 2", { capture = true, check = false })
assert(r.exit_code == 2 and r.stdout == "out\n" and r.stderr == "err\n" and r.ok == false)
assert(tostring(r) == "Result(exit_code=2, 4 bytes of output)", tostring(r))
assert(r == host.run("echo out; echo err >&2; exit 2", { capture = true, check = false }))
assert(r ~= host.run("true", { capture = true }))
local path
do
  local dir <close> = fs.tempdir()
  path = dir.path
  assert(fs.exists(path) and tostring(dir) == "Folder(" .. path .. ")")
end
assert(not fs.exists(path))
assert(type(r) == "userdata" and not pcall(function() return r.nothing end))
