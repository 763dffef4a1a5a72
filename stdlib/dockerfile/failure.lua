-- Errors of Dockerfiles: what is wrong, in which file and line, and the line itself.

local _, core = ...

local failure = {}

--- Raises an error; whoever knows the instruction puts its place in front.
function failure.raise(message, hint, kind)
  local err = { kind = kind or "invalid_argument", message = message, hint = hint, causes = {} }
  err.where = core.native.where()
  error(setmetatable(err, core.failure), 0)
end

--- Raises an error about a word that is none of a few, with the nearest of them as a hint; `sign` stands before it.
function failure.unknown(message, word, words, sign)
  local near = core.native.nearest(word, words)
  failure.raise(message, near and "did you mean '" .. (sign or "") .. near .. "'?")
end

local SHOWN = 8 -- lines of a long instruction

--- The lines of an instruction with their numbers.
function failure.excerpt(place)
  local count = math.min(#place.source, SHOWN)
  local width = #tostring(place.line + count - 1)
  local lines = {}
  for index = 1, count do
    local text = place.source[index]:gsub("%s+$", "")
    lines[index] = ("  %" .. width .. "d | %s"):format(place.line + index - 1, text)
  end
  if #place.source > count then
    lines[#lines + 1] = "  " .. (" "):rep(width) .. " | ..."
  end
  return table.concat(lines, "\n")
end

-- Puts a place into an error that has none.
local function located(place, err)
  if type(err) ~= "table" or err.message == nil or err.file then
    return err
  end
  err.file, err.line, err.source = place.file, place.line, table.concat(place.source, "\n")
  err.message = ("%s:%d: %s\n%s"):format(place.file, place.line, err.message, failure.excerpt(place))
  return err
end

local function passed(place, ok, ...)
  if ok then
    return ...
  end
  error(located(place, (...)), 0)
end

--- Calls `f`; an error it raises tells of the place.
function failure.at(place, f, ...)
  return passed(place, pcall(f, ...))
end

local function named(op, ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if type(err) == "table" and err.op == nil then
    err.op = op
  end
  error(err, 0)
end

--- Calls `f`; an error it raises tells which function of the API was called, unless it knows already.
function failure.named(op, f, ...)
  return named(op, pcall(f, ...))
end

return failure
