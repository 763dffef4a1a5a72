-- Values and functions of the template language: how a value is shown, what counts as true, and what templates call.

local command = ...

local function wrong(message)
  command.fail("invalid format: " .. message)
end

local function is_list(value)
  return #value > 0 or next(value) == nil
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(left, right)
    return tostring(left) < tostring(right)
  end)
  return keys
end

local function show(value)
  if value == nil then
    return "<no value>"
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if is_list(value) then
    for index, item in ipairs(value) do
      parts[index] = show(item)
    end
    return "[" .. table.concat(parts, " ") .. "]"
  end
  for index, key in ipairs(sorted_keys(value)) do
    parts[index] = show(key) .. ":" .. show(value[key])
  end
  return "map[" .. table.concat(parts, " ") .. "]"
end

local function truth(value)
  if type(value) == "table" then
    return next(value) ~= nil
  end
  return value ~= nil and value ~= false and value ~= 0 and value ~= ""
end

local function number_pair(name, left, right)
  if type(left) ~= type(right) or (type(left) ~= "number" and type(left) ~= "string") then
    wrong("'" .. name .. "' compares two numbers or two texts")
  end
  return left, right
end

local function text_of(name, value)
  if type(value) ~= "string" then
    wrong("'" .. name .. "' takes text, got " .. show(value))
  end
  return value
end

local functions = {}

function functions.json(value)
  if value == nil then
    return "null"
  end
  -- A row works its fields out when asked: take them all, but for those that are functions.
  if type(value) == "table" and (getmetatable(value) or {}).__pairs then
    local plain = {}
    for name, field in pairs(value) do
      plain[name] = type(field) ~= "function" and field or nil
    end
    value = plain
  end
  return json.encode(value)
end

function functions.len(value)
  if type(value) == "string" then
    return #value
  elseif type(value) ~= "table" then
    wrong("'len' takes a text, a list or a map")
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count
end

function functions.index(value, ...)
  for _, key in ipairs({ ... }) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[math.type(key) == "integer" and key + 1 or key]
  end
  return value
end

function functions.join(list, separator)
  if type(list) ~= "table" then
    wrong("'join' takes a list")
  end
  local parts = {}
  for index, item in ipairs(list) do
    parts[index] = show(item)
  end
  return table.concat(parts, separator or "")
end

function functions.split(text, separator)
  local parts, start = {}, 1
  text_of("split", text)
  if text_of("split", separator) == "" then
    wrong("'split' takes a separator")
  end
  while true do
    local first, last = text:find(separator, start, true)
    parts[#parts + 1] = text:sub(start, (first or 0) - 1)
    if not first then
      return parts
    end
    start = last + 1
  end
end

function functions.lower(text)
  return text_of("lower", text):lower()
end

function functions.upper(text)
  return text_of("upper", text):upper()
end

function functions.title(text)
  return (text_of("title", text):gsub("%f[%w]%l", string.upper))
end

function functions.pad(text, before, after)
  text_of("pad", text)
  return text == "" and text or (" "):rep(before or 0) .. text .. (" "):rep(after or 0)
end

function functions.truncate(text, length)
  return text_of("truncate", text):sub(1, length)
end

functions["print"] = function(...)
  local parts = table.pack(...)
  for index = 1, parts.n do
    parts[index] = show(parts[index])
  end
  return table.concat(parts, " ")
end

function functions.println(...)
  return functions["print"](...) .. "\n"
end

function functions.printf(format, ...)
  local args = table.pack(...)
  for index = 1, args.n do
    args[index] = type(args[index]) == "number" and args[index] or show(args[index])
  end
  local ok, text = pcall(string.format, (format:gsub("%%v", "%%s")), table.unpack(args, 1, args.n))
  return ok and text or wrong("printf: " .. text)
end

functions["not"] = function(value)
  return not truth(value)
end

functions["and"] = function(...)
  local last
  for index = 1, select("#", ...) do
    last = (select(index, ...))
    if not truth(last) then
      return last
    end
  end
  return last
end

functions["or"] = function(...)
  local last
  for index = 1, select("#", ...) do
    last = (select(index, ...))
    if truth(last) then
      return last
    end
  end
  return last
end

function functions.eq(first, ...)
  for index = 1, select("#", ...) do
    if first == (select(index, ...)) then
      return true
    end
  end
  return false
end

function functions.ne(left, right)
  return left ~= right
end

function functions.lt(left, right)
  left, right = number_pair("lt", left, right)
  return left < right
end

function functions.le(left, right)
  left, right = number_pair("le", left, right)
  return left <= right
end

function functions.gt(left, right)
  return functions.lt(right, left)
end

function functions.ge(left, right)
  return functions.le(right, left)
end

return {
  functions = functions,
  show = show,
  truth = truth,
  is_list = is_list,
  sorted_keys = sorted_keys,
  wrong = wrong,
}
