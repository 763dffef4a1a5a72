-- What two steps must have in common to have one key: what they make of the same files, and what they stand on.
local check = require "check"
local img = check.busybox()
local base = build.from(img)
local dir <close> = fs.tempdir()
local d = dir.path
local function sh(text) return host.out { "sh", "-ec", text } end

-- a folder that is named as one is made first, with looks of its own
sh("mkdir -m 700 " .. d .. "/closed; echo x > " .. d .. "/closed/file")
local function mode(target) return base:copy(d .. "/closed", target):stat("/new").mode end
check.same({ mode "/new", mode "/new/", mode "/new" }, { 448, 493, 448 })

-- names of one file are not several files with the same content
sh(("mkdir %s/one %s/two; cd %s; echo x > one/a; ln one/a one/b; echo x > two/a; echo x > two/b"):format(d, d, d))
local function links(from) return base:copy(d .. "/" .. from, "/h"):out "stat -c %h /h/a" end
check.same({ links "one", links "two", links "one" }, { "2", "1", "2" })
check.has(tostring(base:copy(d .. "/one", "/h", { cache = false }):why()), "the cache was not asked")

-- what was made on a layer is not what would be made on the layer that took its place
local random = "cat /proc/sys/kernel/random/uuid > /u"
local function made(opts)
  local s = base:run(random, opts)
  local whole = s:run "cp /u /v"
  return s, whole, whole:read "/u", whole:read "/v"
end
local s, _, u, v = made()
check.same(u, v)
local again, whole, u2, v2 = made { cache = false }
check.same({ u2 ~= u, u2 }, { true, v2 })
check.same(tostring(whole:why()), "RUN cp /u /v: ran because its parent ran again: RUN " .. random)
check.same({ select(3, made()) }, { u2, v2 })
-- nor are its layer, its image as one layer, and what mounts it
local function several(opts) return base:layer(function(s) return s:run(random, opts):run "cp /u /v" end):read "/u" end
check.same(several(), u2)
local forced = several { cache = false }
check.same({ forced ~= u2, several() }, { true, forced })
local function mounted(state) return base:out("cat /m/u", { mounts = { { type = "bind", target = "/m", from = state } } }) .. "\n" end
check.same({ mounted(s), mounted(again) }, { u, u2 })
local squashed = whole:commit("squashed:1", { squash = true })
check.same(check.out(squashed, "cat /u /v | sort -u") .. "\n", u2)
-- a copy that depends on nothing below it serves any state
sh("echo linked > " .. d .. "/linked")
again:copy(d .. "/linked", "/l", { link = true })
local code = ("build.from(%q):write('/other', 'x'):copy(%q, '/l', {link=true})"):format(img.id, d .. "/linked")
local ran, cached = check.steps(check.again(code).stderr)
check.same({ #ran, #cached }, { 1, 1 })

-- rights of a file that a step sees
if host.run("command -v setcap >/dev/null", { check = false }).ok then
  fs.copy("/bin/busybox", d .. "/tool")
  local function seen() return base:run("true", { mounts = { { type = "bind", target = "/t", source = d .. "/tool" } } }).key end
  local before = seen()
  host.run { "setcap", "cap_net_raw+ep", d .. "/tool" }
  check.same(seen() ~= before, true)
end
