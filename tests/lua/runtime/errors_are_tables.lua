-- An engine error is a table with fields, whichever way it travels.
local function fails()
  host.run({ "/bin/sh", "-c", "echo reason >&2; exit 3" }, { capture = true })
end
local function check(err)
  assert(type(err) == "table" and err.kind == "exit" and err.op == "host.run", tostring(err))
  assert(err.exit_code == 3 and err.stderr == "reason\n" and err.causes[1] == "reason")
  assert(err.where:find("errors_are_tables.lua:3$"), err.where)
  assert(tostring(err) == "command failed with status 3: echo reason >&2; exit 3: reason", tostring(err))
end
local ok, err = pcall(fails)
check(err)
-- rethrown, through coroutines, xpcall, parallel and require's boundary
check(select(2, pcall(error, err)))
check(select(2, pcall(coroutine.wrap(fails))))
check(select(2, coroutine.resume(coroutine.create(fails))))
check(select(2, xpcall(fails, function(e) return e end)))
check(select(2, pcall(parallel, fails, function() end)))
package.preload.fails = fails
check(select(2, pcall(require, "fails")))
local _, again = pcall(fails)
assert(err == again and err ~= select(2, pcall(host.out, "exit 1")))
assert(("failed: " .. err):find("failed: command failed", 1, true))
-- A user's own error values are untouched.
local mine = setmetatable({}, { __tostring = function() return "mine" end })
assert(select(2, pcall(parallel, function() error(mine) end)) == mine)
assert(select(2, pcall(error, nil)) == nil)
