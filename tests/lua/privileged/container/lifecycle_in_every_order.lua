-- What can be done to a container in each of its states, and what is refused, in one line each.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local long = "trap 'exit 3' TERM; while :; do sleep 0.1; done"
local c = container.create(img, long, { name = "web" })
check.same({ c.status, c.pid, c.exit_code, c.started }, { "created", 0, 0, nil })
local function cannot(what, state, f) check.fails("invalid_argument", ("cannot %s container 'web': it is %s"):format(what, state), nil, f) end
for _, state in ipairs { "created", "exited" } do
  if state == "exited" then c:start() c:stop() check.same({ c.status, c.exit_code, c.pid }, { "exited", 3, 0 }) end
  cannot("pause", state, function() c:pause() end)
  cannot("unpause", state, function() c:unpause() end)
  cannot("kill", state, function() c:kill() end)
  cannot("run a program in", state, function() c:exec("true") end)
  check.fails("invalid_argument", "cannot attach to container 'web': it is not running", nil, function() c:attach() end)
  c:stop()
  check.same(c:wait(), state == "exited" and 3 or 0)
end
c:start()
c:start()
check.same(c.status, "running")
check.fails("in_use", "cannot remove container 'web': it is running", "stop it first, or remove it by force", function() c:remove() end)
check.fails("in_use", "container 'web' is already running", "attach to it", function() c:start { attach = true } end)
local err = check.fails("invalid_argument", "cannot unpause container 'web'", nil, function() c:unpause() end)
check.same(err.causes, { "the container is not paused" })
c:pause()
check.same(c.status, "paused")
err = check.fails("in_use", "cannot pause container 'web'", nil, function() c:pause() end)
check.same(err.causes, { "the container is paused already" })
check.fails("in_use", "container 'web' is paused", "unpause it", function() c:start() end)
check.fails("in_use", "cannot run a program in container 'web': it is paused", "unpause it first", function() c:exec("true") end)
check.fails("in_use", "cannot remove container 'web': it is paused", "stop it first, or remove it by force", function() c:remove() end)
c:unpause()
check.same({ c.status, c:out("echo thawed") }, { "running", "thawed" })
c:pause()
c:stop()
check.same({ c.status, c.exit_code }, { "exited", 3 })
c:start()
c:pause()
c:kill()
check.same({ c.status, c.exit_code }, { "exited", 137 })
c:restart()
check.same(c.status, "running")
local before = c.pid
c:restart { timeout = "1s" }
assert(c.pid ~= before and c.status == "running")
c:remove { force = true }
check.same(c.status, "removed")
for _, f in ipairs { c.start, c.stop, c.kill, c.restart, c.pause, c.unpause, c.wait, c.remove, c.inspect, c.logs, c.stats, c.top } do
  check.fails("not_found", "no such container: " .. c.id, nil, f, c)
end
c:close()
check.same(container.get "web", nil)
