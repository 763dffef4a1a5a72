-- Pieces of Lua source: strings, tables, names, and expressions for words of a Dockerfile with variables in them.

local use = ...
local expand = use "dockerfile.expand"

local text = {}

local RESERVED = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while arg args build cache container context dockerfile env fs help host image io ipairs json math next os pairs "
  .. "package parallel pcall print registry require select string table tonumber tostring type utf8 volume network "
  .. "error assert debug coroutine system"):gmatch "%S+" do
  RESERVED[word] = true
end

--- A name that can be a local variable's, and is not in `taken`; it is put there.
function text.name(wanted, taken)
  local base = wanted:gsub("[^%w_]", "_"):gsub("^(%d)", "_%1")
  local name, count = base, 1
  while RESERVED[name] or taken[name] do
    count = count + 1
    name = count == 2 and RESERVED[base] and base .. "_" or base .. "_" .. count
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

--- A table's key with its equals sign.
function text.key(name)
  local plain = name:find "^[%a_][%w_]*$" and not (RESERVED[name] and load("local " .. name) == nil)
  return plain and name .. " = " or "[" .. text.quote(name) .. "] = "
end

--- A list of expressions as a table; a single one stands alone where `single`.
function text.list(expressions, single)
  if single and #expressions == 1 then
    return expressions[1]
  end
  return #expressions == 0 and "{}" or "{ " .. table.concat(expressions, ", ") .. " }"
end

--- A table of {name, expression} pairs; nil when it is empty.
function text.map(pairs_)
  local parts = {}
  for _, pair in ipairs(pairs_) do
    if pair[2] ~= nil then
      parts[#parts + 1] = text.key(pair[1]) .. pair[2]
    end
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or nil
end

-- Whether a text has a variable that is more than its name: ${x:-y}.
local function modified(value)
  return value:find "%${[%w_]+[^}%w_]" ~= nil
end

--- The expression for a word: `variable(name)` gives the expression of a variable. `options` as of expand.
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
          seen[name], list[#list + 1] = true, { name, variable(name) }
        end
        return value or nil
      end, options)
    end
    return ("dockerfile.expand(%s, %s)"):format(text.quote(word), text.map(list) or "{}")
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
  return #parts == 0 and '""' or table.concat(parts, " .. ")
end

return text
