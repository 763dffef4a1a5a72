-- A log that keeps one file: whoever follows it has all lines of files that were there while it looked.
local check = require "check"
local c <close> = container.start(check.busybox(), "sleep 1000", { log_opts = { ["max-size"] = "2k" } })
-- Twenty lines take some 1500 bytes: two such batches begin a new file, once.
local function batch(number)
  c:exec(("for i in $(seq 20); do echo %d-$i; done > /proc/1/fd/1"):format(number))
  local last
  repeat
    for line in c:logs() do last = line end
  until last == number .. "-20"
end
local follow = c:logs { follow = true }
local seen = {}
for number = 1, 6 do
  batch(number)
  seen[#seen + 1] = follow()
end
while #seen < 120 do seen[#seen + 1] = follow() end
for index, line in ipairs(seen) do
  check.same(line, ("%d-%d"):format((index - 1) // 20 + 1, (index - 1) % 20 + 1))
end
-- Those of files that are gone are nobody's.
local left = 0
for _ in c:logs() do left = left + 1 end
check.same(left < 40, true)
