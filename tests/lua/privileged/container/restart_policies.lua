-- Policies: what is started again, how often, and what ends it for good.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local function events(c, since)
  local list = {}
  for e in container.events { since = since, ["until"] = os.time() + 1 } do if e.id == c.id then list[#list + 1] = e.action end end
  return table.concat(list, " ")
end
local function till(what, f) for _ = 1, 400 do if f() then return end host.run "sleep 0.025" end error("never: " .. what, 2) end
-- on-failure with a count: the first run and two more.
local start = os.time()
local c <close> = container.start(img, "exit 3", { restart = "on-failure:2", name = "failing" })
till("its end", function() return c.status == "exited" end)
check.same({ c.restart_count, c.exit_code, c.status }, { 2, 3, "exited" })
check.same(events(c, start), "create start die start die start die")
-- on-failure does not concern success.
local well <close> = container.start(img, "exit 0", { restart = "on-failure" })
till("its end", function() return well.status == "exited" end)
check.same(well.restart_count, 0)
-- always: also after success; the user's stop and kill are final, also while it waits.
for _, policy in ipairs { "always", "unless-stopped" } do
  local a <close> = container.start(img, "sleep 0.05", { restart = policy })
  till("three runs", function() return a.restart_count >= 3 end)
  check.same(pcall(a.remove, a), false)
  a:stop()
  local count = a.restart_count
  check.same(a.status, "exited")
  host.run "sleep 1"
  check.same({ a.status, a.restart_count }, { "exited", count })
  a:start()
  check.same(a.status, "running")
end
local waiting <close> = container.start(img, "exit 1", { restart = "always" })
till("a long wait", function() return waiting.restart_count >= 4 and waiting.status == "restarting" end)
check.fails("invalid_argument", ("cannot run a program in container '%s': it is restarting"):format(waiting.name), nil, waiting.exec, waiting, "true")
check.fails("in_use", ("cannot remove container '%s': it is restarting"):format(waiting.name), "stop it first, or remove it by force", waiting.remove, waiting)
waiting:stop()
check.same({ waiting.status, waiting.exit_code }, { "exited", 1 })
waiting:start()
till("a wait", function() return waiting.status == "restarting" end)
waiting:remove { force = true }
check.same(waiting.status, "removed")
local k <close> = container.start(img, "sleep 1000", { restart = "always" })
k:kill()
check.same({ k.status, k.exit_code }, { "exited", 137 })
-- Any other death is not the user's.
k:start()
host.run { "kill", "-9", tostring(k.pid) }
till("a new run", function() return k.restart_count == 1 and k.status == "running" end)
-- An update changes it at once.
k:update { restart = "no" }
host.run { "kill", "-9", tostring(k.pid) }
till("its end", function() return k.status == "exited" end)
-- One that cannot start is not tried again for ever.
check.same(pcall(container.start, img, { "nope" }, { restart = "always", name = "nope" }), false)
check.same(container.get("nope").status, "created")
container.get("nope"):remove()
for _, bad in ipairs { "never", "on-failure:x", "on-failure:-1", "always:2" } do
  local ok, e = pcall(container.create, img, "true", { restart = bad })
  check.same({ ok, e.kind }, { false, "invalid_argument" }, bad)
end
