-- The matrix library: combinations, their order, limits and failures.
local check = require "check"
local matrix = require "matrix"

local function names(cells)
  local list = {}
  for index, cell in ipairs(cells) do list[index] = ("%s%s"):format(cell.a, cell.b or "") end
  return table.concat(list, " ")
end

check.same(names(matrix.cells { a = { 1, 2 }, b = { "x", "y" } }), "1x 1y 2x 2y")
check.same(names(matrix.cells({ a = { 1, 2 }, b = { "x", "y" } }, {
  exclude = { { a = 1, b = "y" }, { a = 2 } },
  include = { { a = 9 } },
})), "1x 9")
check.same(#matrix.cells {}, 0)
check.fails("invalid_argument", "matrix: axis 'a' needs a list of values", nil, matrix.cells, { a = 1 })

local img = check.busybox()
local base = build.from(img)
local results = matrix.run({ a = { 1, 2 }, b = { "x" } }, function(cell) return base:out("echo " .. cell.a .. cell.b) end)
check.same({ results[1].value, results[2].value, results[1].name }, { "1x", "2x", "a=1 b=x" })
check.same(tostring(results), "ok     a=1 b=x\nok     a=2 b=x")

-- All cells are tried; the error knows them all.
local tried = 0
local err = check.fails("exit", "2 of 3 cells failed", nil, matrix.run, { a = { 1, 2, 3 } }, function(cell)
  tried = tried + 1
  base:run("exit " .. (cell.a - 1))
end)
check.same(tried, 3)
check.same({ err.results[1].ok, err.results[2].error.exit_code, err.results[3].error.exit_code }, { true, 1, 2 })
check.has(tostring(err), "a=2: command exited with code 1")

-- The first failure may stop the rest.
tried = 0
local ok, first = pcall(matrix.run, { a = { 1, 2, 3 } }, function() tried = tried + 1 error("no", 0) end,
  { fail_fast = true, jobs = 1 })
check.same({ ok, first, tried }, { false, "no", 1 })

-- At most as many at once as were allowed.
local now, most = 0, 0
matrix.run({ a = { 1, 2, 3, 4 } }, function(cell)
  now = now + 1
  most = math.max(most, now)
  base:out("echo limit " .. cell.a)
  now = now - 1
end, { jobs = 2 })
check.same(most, 2)
