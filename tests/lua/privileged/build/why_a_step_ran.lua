-- Why a step had to run: what it read is compared with what it read the last time.
local check = require "check"
local img = check.busybox()
local dir <close> = fs.tempdir()
local src = dir.path .. "/src"
fs.mkdir(src)
for _, name in ipairs { "main.c", "util.c", "old.c" } do fs.write(src .. "/" .. name, name) end

local function make(more)
  more = more or {}
  local s = build.from(img)
  if more.env then s = s:env(more.env) end
  s = s:copy(src, "/src")
  if more.user then s = s:user(more.user) end
  return s:run("cat /src/* > /all", more.run)
end
local RUN, COPY = "RUN cat /src/* > /all", "COPY " .. src .. " /src"

local first = make()
check.same(tostring(first:why()), RUN .. ": ran for the first time")
check.same(first:why()[1].kind, "first")
-- all known: nothing had to run
local again = make()
check.same({ tostring(again:why()), again:why()[1].kind }, { RUN .. ": was in the cache", "cached" })
-- a file: the run step ran because of the copy
fs.write(src .. "/main.c", "changed")
local s = make()
check.same(tostring(s:why()), RUN .. ": ran because its parent changed: " .. COPY .. ": /src/main.c changed")
local reasons = s:why()
check.same({ #reasons, reasons[1].kind, reasons[1].name }, { 2, "parent", COPY })
check.same({ reasons[2].step, reasons[2].kind, reasons[2].name }, { COPY, "file", "/src/main.c" })
check.same(reasons[2].before ~= reasons[2].after, true)
-- added and removed ones
fs.write(src .. "/new.c", "new")
fs.remove(src .. "/old.c")
check.same(tostring(make():why()), RUN .. ": ran because its parent changed: " .. COPY .. ": /src/new.c added, /src/old.c removed")
-- a variable, a user, an option of the step, and the copy's own
s = make { env = { MODE = "1" } }
check.has(tostring(s:why()), "MODE added")
s = make { env = { MODE = "2" } }
check.has(tostring(s:why()), "MODE changed")
for _, reason in ipairs(s:why()) do
  if reason.name == "MODE" then check.same({ reason.kind, reason.before, reason.after }, { "env", "1", "2" }) end
end
s = make { env = { MODE = "2" }, user = "0" }
check.same(tostring(s:why()), RUN .. ": ran because User added")
s = make { env = { MODE = "2" }, user = "0", run = { workdir = "/src" } }
check.same(tostring(s:why()), RUN .. ": ran because workdir added")
s = make { env = { MODE = "2" }, user = "0", run = { workdir = "/src", cache = false } }
check.same({ tostring(s:why()), s:why()[1].kind }, { RUN .. ": ran because the cache was not asked", "disabled" })
-- another base
local other = build.from(img):write("/marker", "x"):commit "other:1"
s = build.from(other):copy(src, "/src")
check.has(tostring(s:why()), "its parent changed: from ")
-- a setting after the last step says nothing else
check.same(tostring(s:env { A = "1" }:why()), tostring(s:why()))
-- what explains may be damaged: the build goes on, only less is known
for _, name in ipairs(fs.list(host.env.MOONSHELL_ROOT .. "/cache/inputs")) do
  fs.write(host.env.MOONSHELL_ROOT .. "/cache/inputs/" .. (type(name) == "string" and name or name.name), "damaged")
end
fs.write(src .. "/main.c", "changed again")
check.same(make():why()[1].kind, "first")
-- a thousand files: some are named, the rest is counted
fs.mkdir(src .. "/many")
for index = 1, 200 do fs.write(("%s/many/%03d"):format(src, index), "x") end
s = build.from(img):copy(src, "/src")
check.has(tostring(s:why()), " more")
check.same(#s:why(), 101)
-- a network, what several steps in one layer were, and what is merged
local plain = build.from(img)
plain:run "true"
check.same(tostring(plain:run("true", { network = "none" }):why()), "RUN true: ran because network changed")
local function one_layer(text) return plain:layer(function(state) return state:write("/w", text) end) end
one_layer "a"
s = one_layer "b"
check.same(tostring(s:why()), "LAYER: ran because its parent changed: WRITE /w: content changed")
local function merged(text) return plain:run "echo x > /x":merge(plain:run("echo " .. text .. " > /x"):run "rm /x; echo y > /y") end
check.same(tostring(merged "a":why()):match "^[%u]+", "RUN")
