-- Files that were read are known by how they look; a change is always found.
-- env: SCRIPTS=@DIR@
local check = require "check"
local dir <close> = fs.tempdir()
local d = dir.path .. "/ctx"
fs.mkdir(d .. "/sub")
for i = 1, 40 do fs.write(("%s/sub/f%d"):format(d, i), "content " .. i) end
fs.write(d .. "/long", ("x"):rep(200000))
host.run { "sh", "-c", "find " .. d .. " -exec touch -d '2001-01-01' {} +" }
local s = build.scratch()
local function copied(opts) return s:copy(".", "/", { from = build.context(d, opts) }) end
local first = copied()
check.same(first:read "/sub/f1", "content 1")
check.same(copied().key, first.key)
-- same size, same time, other content: the change shows all the same
fs.write(d .. "/sub/f1", "CONTENT 1")
host.run { "touch", "-d", "2001-01-01", d .. "/sub/f1" }
local second = copied()
check.same(second:read "/sub/f1", "CONTENT 1")
check.same(second.key == first.key, false)
-- changed over and over within the clock's step
for i = 1, 6 do
  fs.write(d .. "/sub/f2", ("%05d"):format(i))
  check.same(copied():read "/sub/f2", ("%05d"):format(i))
end
-- attributes of the content count
if host.run({ "sh", "-c", "command -v setfattr" }, { check = false, capture = true }).ok then
  local before = copied().key
  if host.run({ "setfattr", "-n", "user.a", "-v", "1", d .. "/sub/f3" }, { check = false, capture = true }).ok then
    check.same(copied().key == before, false)
  end
end
-- a damaged cache is an empty one; these scripts are older than the clock's coarsest step, and so remembered
local function scripts() return s:copy(host.env.SCRIPTS, "/").key end
local known = scripts()
local caches = host.env.MOONSHELL_ROOT .. "/cache/stat"
local function list() return host.run({ "ls", caches }, { capture = true }).stdout end
check.same(list() == "", false)
check.same(scripts(), known)
host.run { "sh", "-c", "for f in " .. caches .. "/*; do echo broken >$f; done" }
check.same(scripts(), known)
-- a new name, a gone one, a mode
local other = copied().key
fs.write(d .. "/new", "")
local more = copied().key
fs.remove(d .. "/new")
check.same({ more == other, copied().key == other }, { false, true })
host.run { "chmod", "600", d .. "/sub/f4" }
check.same(copied().key == other, false)
