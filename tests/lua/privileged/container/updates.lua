-- Limits and policy change while it runs and while it does not, all or nothing.
local check = require "check"
local img = check.busybox()
local c <close> = container.start(img, "sleep 1000", { memory = "64m", pids_limit = 50 })
local function limits() local h = c:inspect().HostConfig return { h.Memory, h.PidsLimit, h.RestartPolicy.Name } end
check.same(limits(), { 64 << 20, 50, "no" })
c:update { memory = "96m", restart = "on-failure:2" }
check.same(limits(), { 96 << 20, 50, "on-failure" })
check.same(c:stats().memory.limit_bytes, 96 << 20)
local before = limits()
for _, bad in ipairs { { memory = "1k" }, { restart = "sometimes" }, { cpus = -1 }, { cpuset_cpus = "999" }, { memory = "32m", cpuset_cpus = "999" } } do
  check.same(pcall(c.update, c, bad), false, json.encode(bad))
  check.same(limits(), before, json.encode(bad))
  check.same(c:stats().memory.limit_bytes, 96 << 20, json.encode(bad))
end
c:stop { timeout = 0 }
c:update { pids_limit = 20, restart = "no" }
c:start()
check.same(limits(), { 96 << 20, 20, "no" })
check.same(c:stats().pids.limit, 20)
