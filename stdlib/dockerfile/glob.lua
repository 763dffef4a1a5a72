-- Patterns of ${x#p}, ${x%p} and ${x/p/r}: `*` fits any text, `?` one character, `\` makes the next one plain.

local use = ...
local failure = use "dockerfile.failure"

local glob = {}
local ANY, ONE = {}, {}

-- The characters of a text.
local function characters(text)
  local list = {}
  for char in text:gmatch "[\0-\127\194-\253][\128-\191]*" do
    list[#list + 1] = char
  end
  -- What is not UTF-8 is taken byte by byte.
  if #table.concat(list) ~= #text then
    list = {}
    for char in text:gmatch "." do
      list[#list + 1] = char
    end
  end
  return list
end

local function compile(pattern)
  local tokens, chars, at = {}, characters(pattern), 1
  while at <= #chars do
    local char = chars[at]
    if char == "*" then
      tokens[#tokens + 1] = ANY
    elseif char == "?" then
      tokens[#tokens + 1] = ONE
    elseif char == "\\" then
      at = at + 1
      local escaped = chars[at] or ""
      if not escaped:find "^[}/*?\\]$" then
        failure.raise(("invalid escape '\\%s' in the pattern '%s'"):format(escaped, pattern))
      end
      tokens[#tokens + 1] = escaped
    else
      tokens[#tokens + 1] = char
    end
    at = at + 1
  end
  return tokens
end

-- Which lengths, counted from position `first`, fit the tokens: the shortest and the longest, or nil.
local function fits(tokens, chars, first)
  local ends = { [first] = true } -- positions reached so far
  for _, token in ipairs(tokens) do
    local reached = {}
    if token == ANY then
      local least = #chars + 2
      for position in pairs(ends) do
        least = math.min(least, position)
      end
      for position = least, #chars + 1 do
        reached[position] = true
      end
    else
      for position in pairs(ends) do
        local char = chars[position]
        if char and (token == ONE or token == char) then
          reached[position + 1] = true
        end
      end
    end
    ends = reached
  end
  local least, most
  for position in pairs(ends) do
    least, most = math.min(least or position, position), math.max(most or position, position)
  end
  return least and least - first, most and most - first
end

--- The value without the shortest (`greedy`: longest) beginning that fits.
function glob.trim_start(value, pattern, greedy)
  local chars = characters(value)
  local least, most = fits(compile(pattern), chars, 1)
  local length = greedy and most or least
  return length and table.concat(chars, "", length + 1) or value
end

local function reversed(list)
  local result = {}
  for index = #list, 1, -1 do
    result[#result + 1] = list[index]
  end
  return result
end

--- The value without the shortest (`greedy`: longest) end that fits.
function glob.trim_end(value, pattern, greedy)
  local chars = characters(value)
  local least, most = fits(reversed(compile(pattern)), reversed(chars), 1)
  local length = greedy and most or least
  return length and table.concat(chars, "", 1, #chars - length) or value
end

--- The value with the first (`all`: every) longest part that fits replaced.
function glob.replace(value, pattern, replacement, all)
  local tokens, chars, parts, at = compile(pattern), characters(value), {}, 1
  while at <= #chars + 1 do
    local _, length = fits(tokens, chars, at)
    if length then
      parts[#parts + 1] = replacement
      if not all then
        parts[#parts + 1] = table.concat(chars, "", at + length)
        break
      end
    end
    if length and length > 0 then
      at = at + length
      if at > #chars then
        break
      end
    else
      parts[#parts + 1] = chars[at]
      at = at + 1
    end
  end
  return table.concat(parts)
end

return glob
