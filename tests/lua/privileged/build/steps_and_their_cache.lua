-- What runs and what is answered from the cache, also in another process.
local check = require "check"
local img = check.busybox()
local base = build.from(img)
local dir <close> = fs.tempdir()
local random = "cat /proc/sys/kernel/random/uuid"
-- the same step, the same result; another parent, command or option, another one
local first = base:out(random)
check.same(base:out(random), first)
check.same(base:env { A = 1 }:out(random) ~= first, true)
check.same(base:out(random .. " ") ~= first, true)
check.same(base:out(random, { user = "ann" }) ~= first, true)
check.same(base:out(random, { network = "none" }) ~= first, true)
check.same(base:out(random, { cache = false }) ~= first, true)
check.same(base:run(random .. " > /u"):read "/u", base:run(random .. " > /u"):read "/u")
-- another process
local code = ("io.write(build.from(%q):out(%q))"):format(img.id, random)
check.same(check.again(code).stdout, base:out(random))
local fresh = check.moonshell("--no-cache", "-e", code)
check.same(fresh.ok and fresh.stdout ~= first, true)
check.same(base:out(random), fresh.stdout, "--no-cache leaves its result in the cache")
-- inputs by content: a file's time does not count, its content and mode do
fs.mkdir(dir.path .. "/in")
fs.write(dir.path .. "/in/a", "one")
local script = dir.path .. "/build.lua"
fs.write(script, ([[
  local s = build.from(%q):run "echo before > /before":copy(%q, "/in"):run "cat /in/a > /after":env{X=1}:run "true"
  io.write(s:read "/after", " ", s:commit("cached:1").digest)]]):format(img.id, dir.path .. "/in"))
local function go()
  local r = host.run({ host.env.MOONSHELL, "--progress", "plain", script }, { capture = true, check = false })
  if not r.ok then error(r.stderr) end
  local ran, cached = check.steps(r.stderr)
  return r.stdout, #ran, #cached
end
local out1, ran, cached = go()
check.same({ ran, cached }, { 4, 0 })
local out2
out2, ran, cached = go()
check.same({ out2, ran, cached }, { out1, 0, 4 })
host.run { "touch", "-d", "2001-01-01", dir.path .. "/in/a", dir.path .. "/in" }
out2, ran, cached = go()
check.same({ out2, ran, cached }, { out1, 0, 4 })
fs.write(dir.path .. "/in/a", "two")
out2, ran, cached = go()
check.same({ out2:sub(1, 4), ran, cached }, { "two ", 3, 1 })
host.run { "chmod", "0600", dir.path .. "/in/a" }
out2, ran, cached = go()
check.same({ out2:sub(1, 4), ran, cached }, { "two ", 3, 1 })
fs.write(dir.path .. "/in/a", "one", { mode = tonumber("644", 8) })
check.same((go()), out1, "the old content: the old image")
-- a step that changes nothing makes no layer
check.same(#base:run "true":commit().layers, #img.layers)
check.same(#base:run "echo > /x":commit().layers, #img.layers + 1)
