-- The parts of an instruction's line: its keyword, flags, words, NAME=VALUE pairs and JSON lists.

local use = ...
local failure = use "dockerfile.failure"

local words = {}
local BLANK = "[\t\v\f\r ]"

--- The text without blanks at both ends.
function words.trim(text)
  return (text:match "^%s*(.-)%s*$")
end

--- What lies between blanks.
function words.split(text)
  local list = {}
  for word in text:gmatch "[^\t\v\f\r ]+" do
    list[#list + 1] = word
  end
  return list
end

--- The first word and the rest, as it is.
function words.first(text)
  local first, rest = text:match("^([^\t\v\f\r ]*)" .. BLANK .. "+(.*)$")
  return first or text, rest or ""
end

-- One word of flags from `at` on, without its quotes; nil when the next word is no flag. And where it ends.
local function flag_word(text, at, escape)
  local parts, quote = {}, nil
  while at <= #text do
    local char = text:sub(at, at)
    if not quote and char:find "%s" then
      break
    elseif char == quote then
      quote = nil
    elseif not quote and (char == "'" or char == '"') then
      quote = char
    elseif char == escape then
      at = at + 1
      parts[#parts + 1] = text:sub(at, at)
    else
      parts[#parts + 1] = char
    end
    at = at + 1
  end
  return table.concat(parts), at
end

--- Takes `--name[=value]` words off the beginning. Returns a list of {name, value} and the rest; `--` ends the flags.
function words.flags(text, escape)
  local flags, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at or text:sub(at, at + 1) ~= "--" then
      break
    end
    local word
    word, at = flag_word(text, at, escape)
    if word == "--" then
      break
    end
    local name, value = word:match "^%-%-(.-)=(.*)$"
    flags[#flags + 1] = { name = name or word:sub(3), value = value }
  end
  return flags, at and words.trim(text:sub(at)) or ""
end

--- Words between blanks; blanks in quotes or behind an escape belong to the word, and both stay in it.
function words.quoted(text, escape)
  local list, parts, quote, at = {}, nil, nil, 1
  while at <= #text do
    local char = text:sub(at, at)
    if not quote and char:find "%s" then
      list[#list + 1], parts = parts and table.concat(parts), nil
    else
      parts = parts or {}
      if char == escape and quote ~= "'" then
        if at == #text then
          break
        end
        parts[#parts + 1], at = char, at + 1
        char = text:sub(at, at)
      elseif char == quote then
        quote = nil
      elseif not quote and (char == "'" or char == '"') then
        quote = char
      end
      parts[#parts + 1] = char
    end
    at = at + 1
  end
  local last = parts and table.concat(parts)
  if last and last ~= "" then
    list[#list + 1] = last
  end
  return list
end

--- `NAME=VALUE ...` or the old `NAME VALUE`, as a list of {name, value}.
function words.pairs(text, keyword, escape)
  local list = words.quoted(text, escape)
  if #list == 0 then
    failure.raise(keyword .. " needs at least one argument")
  end
  if not list[1]:find("=", 1, true) then
    local name, value = words.first(text)
    if value == "" then
      failure.raise(("%s needs a value for '%s'"):format(keyword, name), ("write %s %s=VALUE"):format(keyword, name))
    end
    return { { name, value, legacy = true } }
  end
  local result = {}
  for index, word in ipairs(list) do
    local name, value = word:match "^(.-)=(.*)$"
    if not name then
      failure.raise(("'%s' is not NAME=VALUE"):format(word), "put values that have blanks into quotes")
    elseif name == "" then
      failure.raise(("%s: the name in '%s' is empty"):format(keyword, word))
    end
    result[index] = { name, value }
  end
  return result
end

--- The strings of a JSON list; nil when the text is none.
function words.json(text)
  if not text:find "^%s*%[" then
    return nil
  end
  local ok, list = pcall(use("dockerfile.api").json.decode, text)
  if not ok then
    return nil
  end
  for _, item in ipairs(list) do
    if type(item) ~= "string" then
      failure.raise "a list in JSON form may hold strings only"
    end
  end
  return list
end

--- A list of strings as JSON, for messages and the history.
function words.to_json(list)
  local parts = {}
  for index, word in ipairs(list) do
    parts[index] = '"' .. word:gsub('[%c"\\]', function(char)
      local known = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
      return known[char] or ("\\u%04x"):format(char:byte())
    end) .. '"'
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

return words
