#!/usr/bin/env moonshell
-- The same test for every combination of choices, side by side; what two cells share is built once.

local matrix = require "matrix"

local base = build.from_host { "/bin/sh", "/bin/cat", "/bin/echo", "/bin/sleep" }
base = base:write("/app/greet", 'echo "$GREETING, $WHO"\n', { mode = "0755" }):workdir "/app"

local results = matrix.run({ greeting = { "hello", "good morning" }, who = { "moon", "sun" } }, function(cell)
  local s = base:env { GREETING = cell.greeting, WHO = cell.who }
  local said = s:out "sh ./greet"
  assert(said == cell.greeting .. ", " .. cell.who)
  return s:commit(("greet:%s-%s"):format(cell.greeting:gsub(" ", "-"), cell.who))
end, {
  exclude = { { greeting = "good morning", who = "sun" } },
})
print(results)
for _, result in ipairs(results) do print(result.value) end
