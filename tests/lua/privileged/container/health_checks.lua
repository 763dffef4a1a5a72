-- Health checks: states, the start period, the time-out, the image's own, their events.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local function till(what, f) for _ = 1, 400 do if f() then return end host.run "sleep 0.025" end error("never: " .. what, 2) end
local function is(c, state) till(state, function() return c.health == state end) end
local start = os.time()
local c <close> = container.start(img, "sleep 1000", { health = { cmd = "test -e /well", interval = "100ms", retries = 2 } })
check.same(c.health, "starting")
is(c, "unhealthy")
c:exec "touch /well"
is(c, "healthy")
c:exec "rm /well"
is(c, "unhealthy")
local log = c:inspect().State.Health
check.same({ log.Status, log.FailingStreak >= 2, #log.Log <= 5, log.Log[1].ExitCode }, { "unhealthy", true, true, 1 })
local seen = {}
for e in container.events { since = start, ["until"] = os.time() + 1 } do
  if e.id == c.id and e.action == "health_status" then seen[#seen + 1] = e.attributes.health end
end
check.same(seen, { "unhealthy", "healthy", "unhealthy" })
check.same(#container.list { filters = { health = "unhealthy" } }, 1)
-- While it is paused nothing is checked.
c:pause()
local before = c:inspect().State.Health.Log[5].Start
host.run "sleep 0.5"
check.same(c:inspect().State.Health.Log[5].Start, before)
c:unpause()
-- The start period forgives.
local patient <close> = container.start(img, "sleep 1000",
  { health = { cmd = { "test", "-e", "/well" }, interval = "100ms", start_interval = "100ms", start_period = "60s", retries = 1 } })
till("a check", function() return #(patient:inspect().State.Health.Log or {}) >= 2 end)
check.same({ patient.health, patient:inspect().State.Health.FailingStreak }, { "starting", 0 })
patient:exec "touch /well"
is(patient, "healthy")
patient:exec "rm /well"
is(patient, "unhealthy")
-- A check that takes too long has failed, and is gone.
local slow <close> = container.start(img, "sleep 1000", { health = { cmd = "sleep 888", interval = "50ms", timeout = "100ms", retries = 1 } })
is(slow, "unhealthy")
check.has(slow:inspect().State.Health.Log[1].Output, "longer than")
slow:update { restart = "no" }
-- One that cannot be executed has failed.
local odd <close> = container.start(img, "sleep 1000", { health = { cmd = { "nope" }, interval = "50ms", retries = 1 } })
is(odd, "unhealthy")
-- The image's.
local base = container.create(img, "true")
local own = base:commit("checked:1", { changes = { "HEALTHCHECK --interval=100ms --retries=1 CMD test -e /well" } })
base:remove()
local imaged <close> = container.start(own, "sleep 1000")
is(imaged, "unhealthy")
local without <close> = container.start(own, "sleep 1000", { health = { disable = true } })
check.same({ without.health, without:inspect().State.Health }, {})
local changed <close> = container.start(own, "sleep 1000", { health = { cmd = "true" } })
is(changed, "healthy")
-- A new run begins anew.
imaged:exec "touch /well"
is(imaged, "healthy")
imaged:restart { timeout = 0 }
check.same(imaged.health == "starting" or imaged.health == "healthy", true)
for _, bad in ipairs { { comand = "x" }, { cmd = "true", interval = "soon" }, { cmd = "true", timeout = "-1s" } } do
  local ok, e = pcall(container.create, img, "true", { health = bad })
  check.same({ ok, e.kind }, { false, "invalid_argument" }, json.encode(bad))
end
