-- Stopping: the signal, then the time-out, then the end; forms of signals; time-outs that are none.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local deaf = "trap '' TERM; trap 'exit 7' USR1; while :; do sleep 0.05; done"
local function took(f) local start = os.time() f() return os.time() - start end
local c <close> = container.start(img, deaf, { stop_timeout = 1 })
check.same(took(function() c:stop() end) <= 3, true)
check.same({ c.status, c.exit_code }, { "exited", 137 })
for _, signal in ipairs { "USR1", "SIGUSR1", "usr1", "10", 10 } do
  c:start()
  c:out("true")
  c:stop { signal = tostring(signal), timeout = "20s" }
  check.same({ c.status, c.exit_code }, { "exited", 7 }, tostring(signal))
end
local own <close> = container.start(img, deaf, { stop_signal = "SIGUSR1" })
own:out("true")
own:stop()
check.same(own.exit_code, 7)
c:start()
for _, bad in ipairs { "NOSUCH", "0", "65", "-9", "" } do
  local ok, e = pcall(c.kill, c, bad)
  check.same({ ok, e.kind }, { false, "invalid_argument" }, bad)
  ok, e = pcall(c.stop, c, { signal = bad })
  check.same({ ok, e.kind }, { false, "invalid_argument" }, bad)
end
c:kill("WINCH")
check.same(c.status, "running")
-- A negative time-out waits for ever: the end comes from elsewhere.
local ended = parallel(function() c:stop { timeout = -1 } return "stopped" end, function()
  host.run("sleep 1.5")
  check.same(c.status, "running")
  c:kill("USR1")
  return "asked"
end)
check.same({ c.status, c.exit_code }, { "exited", 7 })
c:start()
c:stop { timeout = 0 }
check.same(c.exit_code, 137)
-- A second stop with less patience wins.
c:start()
parallel(function() c:stop { timeout = -1 } end, function() host.run("sleep 0.3") c:stop { timeout = 0 } end)
check.same(c.exit_code, 137)
