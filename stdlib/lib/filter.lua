-- --filter KEY=VALUE, any number of times.

local command = ...
local filter = {}

filter.flag = {
  long = "filter",
  short = "f",
  value = "KEY=VALUE",
  many = true,
  help = "Show only what matches",
}

--- The values of each key: { status = { "running", "paused" } }. A key that is not among `known` is an error.
function filter.read(given, known)
  local values = {}
  for _, text in ipairs(given or {}) do
    local key, value = text:match("^([^=]+)=(.*)$")
    if not key then
      command.fail("invalid filter '" .. text .. "'", { hint = "write KEY=VALUE, such as " .. known[1] .. "=..." })
    end
    local found = false
    for _, name in ipairs(known) do
      found = found or name == key
    end
    if not found then
      local near = command.nearest(key, known)
      command.fail("unknown filter '" .. key .. "'", {
        hint = near and "did you mean '" .. near .. "'?" or "known filters: " .. table.concat(known, ", "),
      })
    end
    values[key] = values[key] or {}
    table.insert(values[key], value)
  end
  return values
end

--- Whether a table of labels has all that are asked for, each "NAME" or "NAME=VALUE".
function filter.labels(labels, wanted)
  for _, text in ipairs(wanted or {}) do
    local name, value = text:match("^([^=]*)=(.*)$")
    local found = (labels or {})[name or text]
    if found == nil or (value and found ~= value) then
      return false
    end
  end
  return true
end

--- A value that is "true" or "false" (or 1 or 0).
function filter.boolean(values, key)
  if not values[key] then
    return nil
  end
  local text = values[key][#values[key]]
  if text == "true" or text == "1" then
    return true
  elseif text == "false" or text == "0" then
    return false
  end
  command.fail("invalid filter '" .. key .. "=" .. text .. "'", { hint = "true or false" })
end

--- A Lua pattern from a shell pattern with `*` and `?`.
function filter.glob(pattern)
  local text = pattern:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return "^" .. text .. "$"
end

return filter
