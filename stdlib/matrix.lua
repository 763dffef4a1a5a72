-- matrix: the same work for every combination of a few choices.
--
--   local matrix = require "matrix"
--   local results = matrix.run({ python = { "3.11", "3.12" }, db = { "sqlite", "postgres" } }, function(cell)
--     return build.from("python:" .. cell.python):env { DB = cell.db }:run "make test"
--   end)
--   print(results)
--
-- Cells run side by side, as many as there are processors. All are tried; if some fail, an error tells which.

local use = ...
local fail = use "fail"
local matrix = {}

local function fits(cell, pattern)
  for axis, value in pairs(pattern) do
    if cell[axis] ~= value then
      return false
    end
  end
  return true
end

local function check(axes)
  local names = {}
  for axis, values in pairs(axes) do
    if type(axis) ~= "string" or type(values) ~= "table" then
      fail("invalid_argument", ("matrix: axis '%s' needs a list of values"):format(tostring(axis)))
    end
    names[#names + 1] = axis
  end
  table.sort(names)
  return names
end

local function title(names, cell)
  local words = {}
  for _, axis in ipairs(names) do
    words[#words + 1] = axis .. "=" .. tostring(cell[axis])
  end
  return table.concat(words, " ")
end

--- The combinations, as a list of tables; the last axis (by name) changes fastest. Options: `exclude` (a list of
--- tables: cells with these values are left out), `include` (a list of further cells).
function matrix.cells(axes, opts)
  opts = opts or {}
  local names = check(axes)
  local cells = { {} }
  for _, axis in ipairs(names) do
    local longer = {}
    for _, cell in ipairs(cells) do
      for _, value in ipairs(axes[axis]) do
        local copy = { [axis] = value }
        for key, old in pairs(cell) do
          copy[key] = old
        end
        longer[#longer + 1] = copy
      end
    end
    cells = longer
  end
  if #names == 0 then
    cells = {}
  end
  local kept = {}
  for _, cell in ipairs(cells) do
    local out = false
    for _, pattern in ipairs(opts.exclude or {}) do
      out = out or fits(cell, pattern)
    end
    if not out then
      kept[#kept + 1] = cell
    end
  end
  table.move(opts.include or {}, 1, #(opts.include or {}), #kept + 1, kept)
  return kept
end

local function all_names(cells)
  local seen, names = {}, {}
  for _, cell in ipairs(cells) do
    for axis in pairs(cell) do
      if not seen[axis] then
        seen[axis] = true
        names[#names + 1] = axis
      end
    end
  end
  table.sort(names)
  return names
end

local results_looks = {
  __tostring = function(results)
    local lines = {}
    for index, result in ipairs(results) do
      lines[index] = ("%-6s %s%s"):format(
        result.ok and "ok" or "failed",
        result.name,
        result.ok and "" or ": " .. tostring(result.error)
      )
    end
    return table.concat(lines, "\n")
  end,
}

--- Calls `work(cell)` for each combination; returns a list of {cell, name, ok, value or error} in their order, which
--- prints as a table. Options: those of `matrix.cells`, `jobs` (how many side by side; default: processors), `check`
--- (false: failures raise nothing), `fail_fast` (true: the first failure stops the others and is raised as it is).
function matrix.run(axes, work, opts)
  opts = opts or {}
  local cells = matrix.cells(axes, opts)
  local names, results, next_cell = all_names(cells), {}, 1
  local function worker()
    while next_cell <= #cells do
      local index = next_cell
      next_cell = index + 1
      local result = { cell = cells[index], name = title(names, cells[index]) }
      results[index] = result
      if opts.fail_fast then
        result.ok, result.value = true, work(cells[index])
      else
        local ok, value = pcall(work, cells[index])
        result.ok, result[ok and "value" or "error"] = ok, value
        if not ok and type(value) == "table" and value.kind == "interrupted" then
          error(value, 0)
        end
      end
    end
  end
  local workers = {}
  for number = 1, math.min(opts.jobs or host.info().cpus, #cells) do
    workers[number] = worker
  end
  parallel(workers)
  setmetatable(results, results_looks)
  local failed = {}
  for _, result in ipairs(results) do
    if not result.ok then
      failed[#failed + 1] = result.name .. ": " .. tostring(result.error)
    end
  end
  if #failed > 0 and opts.check ~= false then
    local message = ("%d of %d cells failed"):format(#failed, #results)
    fail("exit", message, { causes = { table.concat(failed, "; ") }, results = results })
  end
  return results
end

return matrix
