-- Branches of a build run at the same time, and the first failure ends the others and leaves nothing of them.
local check = require "check"
local base = build.from(check.busybox())

-- Each step waits for the other's word, in a folder both have; one after the other they would wait for ever.
local function meets(folder, mine, other, text)
  local line = ("echo %s > /c/%s.new; mv /c/%s.new /c/%s; until [ -e /c/%s ]; do sleep 0.02; done; cat /c/%s > /got")
    :format(text, mine, mine, mine, other, other)
  return line, { mounts = { { type = "cache", target = "/c", id = folder } } }
end
-- The line of `meets`, with more behind it.
local function meets_and(more, ...)
  local line, opts = meets(...)
  return line .. "; " .. more, opts
end
local a, b = parallel(
  function() return base:run(meets("first", "a", "b", "from-a")) end,
  function() return base:run(meets("first", "b", "a", "from-b")) end)
check.same(a:read "/got" .. b:read "/got", "from-b\nfrom-a\n")

-- One fails when the other is at work: that one ends, and neither a layer nor a work area of it stays.
local root = host.env.MOONSHELL_ROOT
local function left() return host.out { "sh", "-c", "ls -A " .. root .. "/tmp " .. root .. "/layers " .. root .. "/run" } end
local before = left()
local ok, err = pcall(parallel,
  function() return base:run(meets_and("touch /half; sleep 98765", "second", "a", "b", "ready")) end,
  function() return base:run(meets_and("exit 7", "second", "b", "a", "go")) end)
check.same({ ok, err.exit_code, err.state:read "/got" }, { false, 7, "ready\n" })
-- What the failed one had written goes with its error.
err = nil
collectgarbage() collectgarbage()
check.same(left(), before)
check.same(host.run({ "pgrep", "-f", "sleep 98765" .. "$" }, { check = false, capture = true }).stdout, "")
