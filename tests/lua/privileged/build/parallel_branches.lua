-- Branches of a build run at the same time, and the first failure ends the others and leaves nothing of them.
local check = require "check"
local base = build.from(check.busybox())

-- Each step waits for the other, over the host's network; one after the other they would wait for ever.
local function port()
  local free = host.out { "python3", "-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])" }
  return tonumber(free)
end
local function waits(number, text) return ("echo %s | nc -l -p %d 127.0.0.1 > /got"):format(text, number) end
local function calls(number, text)
  return ("until echo %s | nc 127.0.0.1 %d > /got 2>/dev/null && test -s /got; do :; done"):format(text, number)
end
local meet = port()
local a, b = parallel(
  function() return base:run(waits(meet, "from-a")) end,
  function() return base:run(calls(meet, "from-b")) end)
check.same(a:read "/got" .. b:read "/got", "from-b\nfrom-a\n")

-- One fails when the other is at work: that one ends, and neither a layer nor a work area of it stays.
local root = host.env.MOONSHELL_ROOT
local function left() return host.out { "sh", "-c", "ls -A " .. root .. "/tmp " .. root .. "/layers " .. root .. "/run" } end
local before = left()
meet = port()
local long = ("%s; touch /half; sleep 98765"):format(waits(meet, "ready"))
local ok, err = pcall(parallel,
  function() return base:run(long) end,
  function() return base:run(calls(meet, "go") .. "; exit 7") end)
check.same({ ok, err.exit_code }, { false, 7 })
-- The error holds what its step had written; no longer.
err = nil
collectgarbage()
check.same(left(), before)
check.same(host.run({ "pgrep", "-f", "sleep 98765" .. "$" }, { check = false, capture = true }).stdout, "")
