-- Pieces of Lua source: strings, tables, names, and expressions for words of a Dockerfile with variables in them.

local use = ...
local expand = use "dockerfile.expand"

local text = {}

local RESERVED = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while arg args build cache container context dockerfile env fs help host image io ipairs json math next os pairs "
  .. "package parallel pcall print registry require select string table tonumber tostring type utf8 volume network "
  .. "error assert debug coroutine system load s secrets ssh"):gmatch "%S+" do
  RESERVED[word] = true
end

--- A name that can be a local variable's, and is not in `taken`; it is put there. `tail` is for what is Lua's already.
function text.name(wanted, taken, tail)
  local base = wanted:gsub("[^%w_]", "_"):gsub("^(%d)", "_%1")
  local name, count = base, 1
  while RESERVED[name] or taken[name] do
    count = count + 1
    name = count == 2 and RESERVED[base] and base .. (tail or "_") or base .. "_" .. count
  end
  taken[name] = true
  return name
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

--- A string as Lua source.
function text.quote(value)
  if value:find "\n." and not value:find "[^\n\t\32-\126\128-\255]" then
    local level = ""
    while value:find("]" .. level .. "]", 1, true) or (level == "" and value:sub(-1) == "]") do
      level = level .. "="
    end
    return ("[%s[\n%s]%s]"):format(level, value, level)
  end
  return '"' .. value:gsub('[%c"\\]', function(char)
    return ESCAPES[char] or ("\\%03d"):format(char:byte())
  end) .. '"'
end

local function is_plain(name)
  return name:find "^[%a_][%w_]*$" and not (RESERVED[name] and load("local " .. name) == nil)
end

--- A table's key with its equals sign.
function text.key(name)
  return is_plain(name) and name .. " = " or "[" .. text.quote(name) .. "] = "
end

--- The expression for a table's field.
function text.field(tbl, name)
  return is_plain(name) and tbl .. "." .. name or tbl .. "[" .. text.quote(name) .. "]"
end

-- Where a long command may be cut: behind blanks, before && and ||, behind a semicolon, and where lines were joined.
local function pieces(value)
  local list, from = {}, 1
  for before, blanks, stop in value:gmatch "()(%s+)()" do
    local next_word = value:sub(stop, stop + 1)
    if #blanks > 1 or next_word == "&&" or next_word == "||" or value:sub(before - 1, before - 1) == ";" then
      list[#list + 1] = value:sub(from, stop - 1)
      from = stop
    end
  end
  list[#list + 1] = value:sub(from)
  return list
end

local WIDTH = 110

--- A command as Lua source: a long one in several lines, which are the same string.
function text.command(value)
  if #value < WIDTH - 20 or value:find("\n", 1, true) then
    return text.quote(value)
  end
  local parts = {}
  for _, piece in ipairs(pieces(value)) do
    parts[#parts + 1] = text.quote(piece):sub(2, -2)
  end
  return '"' .. table.concat(parts, "\\z\n    ") .. '"'
end

--- A list of expressions as a table; a single one stands alone where `single`.
function text.list(expressions, single)
  if single and #expressions == 1 then
    return expressions[1]
  end
  return { list = expressions }
end

--- A table of {name, expression} pairs, or {name's expression, expression, computed = true}; nil when it is empty.
function text.map(pairs_)
  local fields = {}
  for _, pair in ipairs(pairs_) do
    if pair[2] ~= nil then
      local key = pair.computed and "[" .. pair[1] .. "] = " or text.key(pair[1])
      fields[#fields + 1] = { key, pair[2] }
    end
  end
  return #fields > 0 and { fields = fields } or nil
end

--- An expression in one line: those of `list` and `map`, or source as it is.
function text.flat(expression)
  if type(expression) == "string" then
    return expression
  end
  local parts = {}
  for index, item in ipairs(expression.list or expression.fields) do
    parts[index] = expression.list and text.flat(item) or item[1] .. text.flat(item[2])
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function width(source)
  local most = 0
  for line in source:gmatch "[^\n]+" do
    most = math.max(most, #line)
  end
  return most
end

-- A table with a field in each line.
local function tall(expression, indent)
  local inner, lines = indent .. "  ", { "{" }
  for _, item in ipairs(expression.list or expression.fields) do
    local key, value = expression.list and "" or item[1], expression.list and item or item[2]
    local line = inner .. key .. text.flat(value) .. ","
    if width(line) > WIDTH and type(value) == "table" then
      line = inner .. key .. tall(value, inner) .. ","
    end
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = indent .. "}"
  return table.concat(lines, "\n")
end

--- A call; where it is too long, a table at its end gets a line for each field.
function text.call(start, arguments, indent)
  local parts = {}
  for index, argument in ipairs(arguments) do
    parts[index] = text.flat(argument)
  end
  local line = start .. "(" .. table.concat(parts, ", ") .. ")"
  local last = arguments[#arguments]
  if type(last) == "table" and width(line) > WIDTH then
    parts[#parts] = tall(last, indent)
    line = start .. "(" .. table.concat(parts, ", ") .. ")"
  end
  return line
end

-- Whether a text has a variable that is more than its name: ${x:-y}.
local function modified(value)
  return value:find "%${[%w_]+[^}%w_]" ~= nil
end

--- The expression for a word: `variable(name)` gives the expression of a variable; `variable(name, true)` one that is
--- nil when the variable has no value. `options` as of expand.
function text.expression(word, variable, options)
  if not word:find("$", 1, true) then
    return text.quote((expand(word, function() end, options)))
  end
  if modified(word) then
    local seen, list = {}, {}
    -- Once to learn which variables there are: all of them have a value then, and all of them have none.
    for _, value in ipairs { false, "x" } do
      pcall(expand, word, function(name)
        if not seen[name] then
          seen[name], list[#list + 1] = true, { name, variable(name, true) }
        end
        return value or nil
      end, options)
    end
    table.sort(list, function(left, right)
      return left[1] < right[1]
    end)
    return ("dockerfile.expand(%s, %s)"):format(text.quote(word), text.flat(text.map(list) or { list = {} }))
  end
  local found = {}
  local result = expand(word, function(name)
    found[#found + 1] = variable(name)
    return ("\1%d\2"):format(#found)
  end, options)
  local parts, at = {}, 1
  for first, number, last in result:gmatch "()\1(%d+)\2()" do
    if first > at then
      parts[#parts + 1] = text.quote(result:sub(at, first - 1))
    end
    parts[#parts + 1], at = found[tonumber(number)], last
  end
  if at <= #result then
    parts[#parts + 1] = text.quote(result:sub(at))
  end
  if #parts == 1 then
    return (parts[1]:gsub("^(%b())$", function(inner)
      return inner:sub(2, -2)
    end))
  end
  return #parts == 0 and '""' or table.concat(parts, " .. ")
end

return text
