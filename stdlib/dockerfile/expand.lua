-- Variables and quotes in a word of a Dockerfile, as BuildKit's shell lexer reads them:
-- $x ${x} ${x-y} ${x:-y} ${x+y} ${x:+y} ${x?m} ${x:?m} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}.
--
-- A scanner goes over the text once. It makes both the whole result and the words it falls into, because the value
-- of a variable is split at blanks and what stands in quotes is not.

local use = ...
local failure = use "dockerfile.failure"
local glob = use "dockerfile.glob"

local Scanner = {}
Scanner.__index = Scanner

local SPECIAL = { ["@"] = true, ["*"] = true, ["#"] = true, ["?"] = true, ["-"] = true, ["$"] = true, ["!"] = true }

function Scanner:peek()
  return self.text:sub(self.at, self.at)
end

function Scanner:next()
  local char = self:peek()
  self.at = self.at + #char
  return char
end

function Scanner:ended()
  return self.at > #self.text
end

-- What a text falls into: words separated by blanks, those in quotes excepted.
local function splitter()
  local words, parts, inside = {}, {}, false
  local function flush()
    local word = table.concat(parts)
    if word ~= "" then
      words[#words + 1] = word
    end
    parts, inside = {}, false
  end
  return {
    raw = function(text)
      parts[#parts + 1], inside = text, true
    end,
    plain = function(text)
      for blank, other in text:gmatch "(%s*)([^%s]*)" do
        if blank ~= "" and inside and table.concat(parts) ~= "" then
          flush()
        end
        if other ~= "" then
          parts[#parts + 1], inside = other, true
        end
      end
    end,
    finish = function()
      flush()
      return words
    end,
  }
end

function Scanner:single_quoted()
  local first = self:next()
  local stop = self.text:find("'", self.at, true)
  if not stop then
    failure.raise "a single quote is not closed"
  end
  local inner = self.text:sub(self.at, stop - 1)
  self.at = stop + 1
  return self.raw_quotes and first .. inner .. first or inner
end

function Scanner:double_quoted()
  local parts = { self.raw_quotes and self:peek() or "" }
  self:next()
  while true do
    local char = self:peek()
    if char == "" then
      failure.raise "a double quote is not closed"
    elseif char == '"' then
      self:next()
      parts[#parts + 1] = self.raw_quotes and char or ""
      return table.concat(parts)
    elseif char == "$" then
      parts[#parts + 1] = self:dollar()
    else
      self:next()
      if char == self.escape then
        if self.raw_escapes then
          parts[#parts + 1] = char
        end
        local following = self:peek()
        -- Other characters keep the escape before them.
        if following == '"' or following == "$" or following == self.escape then
          char = self:next()
        elseif following == "" then
          char = ""
        end
      end
      parts[#parts + 1] = char
    end
  end
end

-- "<<" and blanks after it are one word with what follows.
function Scanner:less()
  self:next()
  if self:peek() ~= "<" then
    return "<"
  end
  self:next()
  local blanks = self.text:match("^[\t\r ]*", self.at)
  self.at = self.at + #blanks
  return "<<" .. blanks
end

function Scanner:name()
  local first = self:peek()
  if SPECIAL[first] then
    return self:next()
  end
  -- Letters of other scripts count as letters.
  local name = self.text:match("^%d+", self.at) or self.text:match("^[%w_\128-\255]*", self.at)
  self.at = self.at + #name
  return name
end

-- The text up to `stop`, or to the end, with its variables replaced.
function Scanner:until_stop(stop, raw_escapes)
  local before = self.raw_escapes
  self.raw_escapes = raw_escapes
  local parts, split = {}, splitter()
  while not self:ended() do
    local char = self:peek()
    if char == stop then
      self:next()
      self.raw_escapes = before
      return table.concat(parts), split.finish()
    end
    local text
    if char == "$" then
      text = self:dollar()
      split.plain(text)
    elseif char == "<" then
      text = self:less()
      split.raw(text)
    elseif char == "'" and not self.skip_quotes then
      text = self:single_quoted()
      split.raw(text)
    elseif char == '"' and not self.skip_quotes then
      text = self:double_quoted()
      split.raw(text)
    elseif char == self.escape then
      self:next()
      text = (self.raw_escapes and char or "") .. self:next()
      split.raw(text)
    else
      text = self:next()
      split.plain(text)
    end
    parts[#parts + 1] = text
  end
  self.raw_escapes = before
  if stop then
    failure.raise("syntax error: missing '" .. stop .. "' in ${...}")
  end
  return table.concat(parts), split.finish()
end

local function required(name, value, null_is_unset, message)
  if value == nil then
    failure.raise(("%s: %s"):format(name, message ~= "" and message or "is not allowed to be unset"))
  elseif null_is_unset and value == "" then
    failure.raise(("%s: %s"):format(name, message ~= "" and message or "is not allowed to be empty"))
  end
  return value
end

-- ${name<operator>word}
function Scanner:modified(name, operator, null_is_unset)
  local trims = operator == "#" or operator == "%"
  local shown = (null_is_unset and ":" or "") .. operator
  if not operator:find "^[%-+?#%%]$" or (trims and null_is_unset) then
    failure.raise(("unsupported modifier '%s' in ${%s%s...}"):format(shown, name, shown))
  end
  local word = self:until_stop("}", trims)
  local value = self.get(name)
  if value == nil and self.keep_unset then
    return ("${%s%s%s}"):format(name, shown, word)
  end
  local there = value ~= nil and not (null_is_unset and value == "")
  if operator == "-" then
    return there and value or word
  elseif operator == "+" then
    return there and word or ""
  elseif operator == "?" then
    return required(name, value, null_is_unset, word)
  end
  local greedy = word:sub(1, 1) == operator
  local pattern = greedy and word:sub(2) or word
  local trim = operator == "#" and glob.trim_start or glob.trim_end
  return trim(value or "", pattern, greedy)
end

-- ${name/pattern/replacement}
function Scanner:replaced(name)
  local all = self:peek() == "/"
  if all then
    self:next()
  end
  local pattern = self:until_stop("/", true)
  local replacement = self:until_stop("}", true)
  local value = self.get(name)
  if value == nil and self.keep_unset then
    return ("${%s/%s/%s}"):format(name, pattern, replacement)
  end
  return glob.replace(value or "", pattern, replacement, all)
end

function Scanner:dollar()
  self:next()
  if self:peek() ~= "{" then
    local name = self:name()
    if name == "" then
      return "$"
    end
    return self.get(name) or (self.keep_unset and "$" .. name or "")
  end
  self:next()
  local first = self:peek()
  if first == "" then
    failure.raise "syntax error: missing '}' in ${...}"
  elseif first == "{" or first == "}" or first == ":" then
    failure.raise "syntax error: bad substitution, ${ needs a name"
  end
  local name = self:name()
  local operator = self:next()
  if operator == "}" then
    return self.get(name) or (self.keep_unset and "${" .. name .. "}" or "")
  elseif operator == "/" then
    return self:replaced(name)
  elseif operator == ":" then
    return self:modified(name, self:next(), true)
  elseif operator == "" then
    failure.raise "syntax error: missing '}' in ${...}"
  end
  return self:modified(name, operator, false)
end

--- The text with variables replaced and quotes removed, and the list of words it falls into. `get` gives the value
--- of a name, or nil. Options: `escape`, `raw_quotes` (quotes stay), `raw_escapes` (escapes stay), `skip_quotes` (they
--- are letters as any other), `keep_unset` (a variable without value stays as it is).
local function expand(text, get, options)
  options = options or {}
  local scanner = setmetatable({
    text = text,
    at = 1,
    get = get,
    escape = options.escape or "\\",
    raw_quotes = options.raw_quotes,
    skip_quotes = options.skip_quotes,
    keep_unset = options.keep_unset,
  }, Scanner)
  return scanner:until_stop(nil, options.raw_escapes)
end

return expand
