-- Reads what stands between the braces of a template: tokens, operands, calls, pipelines. Each becomes a Lua function
-- of a scope.

local command = ...
local values = command.use "template_functions"
local functions, show, sorted_keys, wrong = values.functions, values.show, values.sorted_keys, values.wrong

local PATTERNS = {
  { "blank", "^%s+" },
  { "raw", "^`[^`]*`" },
  { "number", "^%-?%d+%.?%d*" },
  { "field", "^%.[%a_][%w_]*" },
  { "dot", "^%." },
  { "variable", "^%$[%w_]*" },
  { "word", "^[%a_][%w_]*" },
  { "symbol", "^:=" },
  { "symbol", "^[|(),=]" },
}

local ESCAPES = { n = "\n", t = "\t", r = "\r", ['"'] = '"', ["\\"] = "\\" }

local function quoted(action, start)
  local at = start + 1
  while at <= #action do
    local c = action:sub(at, at)
    if c == "\\" then
      at = at + 1
    elseif c == '"' then
      local text = action:sub(start + 1, at - 1):gsub("\\(.)", function(letter)
        return ESCAPES[letter] or wrong("unknown escape '\\" .. letter .. "'")
      end)
      return text, at + 1
    end
    at = at + 1
  end
  wrong("a quotation mark is not closed in '" .. action .. "'")
end

local function tokens(action)
  local list, at = {}, 1
  while at <= #action do
    local kind, text
    if action:sub(at, at) == '"' then
      local value, after = quoted(action, at)
      list[#list + 1], at = { kind = "text", value = value }, after
    else
      for _, pattern in ipairs(PATTERNS) do
        text = action:match(pattern[2], at)
        if text then
          kind = pattern[1]
          break
        end
      end
      if not text then
        wrong("unexpected '" .. action:sub(at, at) .. "' in '{{" .. action .. "}}'")
      end
      if kind == "raw" then
        list[#list + 1] = { kind = "text", value = text:sub(2, -2) }
      elseif kind == "number" then
        list[#list + 1] = { kind = "number", value = tonumber(text) }
      else
        -- A blank ends a chain of fields: `.A .B` are two operands.
        list[#list + 1] = { kind = kind, value = text }
      end
      at = at + #text
    end
  end
  return list
end

local Reader = {}
Reader.__index = Reader

local function reader(action)
  return setmetatable({ action = action, list = tokens(action), at = 1 }, Reader)
end

function Reader:skip()
  while self.list[self.at] and self.list[self.at].kind == "blank" do
    self.at = self.at + 1
  end
end

function Reader:peek()
  self:skip()
  return self.list[self.at]
end

function Reader:take(value)
  local token = self:peek()
  if token and token.value == value and token.kind ~= "text" then
    self.at = self.at + 1
    return true
  end
  return false
end

function Reader:done()
  return self:peek() == nil
end

local function get(value, name, args)
  if type(value) ~= "table" and type(value) ~= "userdata" then
    if value == nil then
      return nil
    end
    wrong("'." .. name .. "' of something that has no fields: " .. show(value))
  end
  local field = value[name]
  if type(field) == "function" then
    return field(table.unpack(args or {}, 1, args and args.n or 0))
  end
  return field
end

-- The fields that follow an operand, without a blank between.
function Reader:fields(base)
  local names = {}
  while self.list[self.at] and self.list[self.at].kind == "field" do
    names[#names + 1] = self.list[self.at].value:sub(2)
    self.at = self.at + 1
  end
  if #names == 0 then
    return base
  end
  return function(scope, args)
    local value = base(scope)
    for index, name in ipairs(names) do
      value = get(value, name, index == #names and args or nil)
    end
    return value
  end
end

local function dot(scope)
  return scope.dot
end

function Reader:operand()
  local token = self:peek()
  if not token then
    wrong("something is missing in '{{" .. self.action .. "}}'")
  elseif token.kind == "field" then
    return self:fields(dot)
  end
  self.at = self.at + 1
  if token.kind == "text" or token.kind == "number" then
    return function()
      return token.value
    end
  elseif token.kind == "dot" then
    return dot
  elseif token.kind == "variable" then
    return self:fields(function(scope)
      return scope.vars[token.value]
    end)
  elseif token.value == "(" then
    local inner = self:pipeline()
    if not self:take(")") then
      wrong("')' is missing in '{{" .. self.action .. "}}'")
    end
    return self:fields(inner)
  elseif token.value == "true" or token.value == "false" then
    return function()
      return token.value == "true"
    end
  elseif token.value == "nil" then
    return function() end
  elseif functions[token.value] and token.kind == "word" then
    local call = functions[token.value]
    return function(_, args)
      return call(table.unpack(args or {}, 1, args and args.n or 0))
    end
  end
  local names = sorted_keys(functions)
  local near = token.kind == "word" and command.nearest(token.value, names)
  command.fail("invalid format: unknown function '" .. token.value .. "'", {
    hint = near and "did you mean '" .. near .. "'?" or "known functions: " .. table.concat(names, ", "),
  })
end

function Reader:call()
  local first, rest = self:operand(), {}
  local token = self:peek()
  while token and token.value ~= "|" and token.value ~= ")" or token and token.kind == "text" do
    rest[#rest + 1] = self:operand()
    token = self:peek()
  end
  return function(scope, piped)
    if #rest == 0 and not piped then
      return first(scope)
    end
    local args = { n = #rest }
    for index, operand in ipairs(rest) do
      args[index] = operand(scope)
    end
    if piped then
      args.n = args.n + 1
      args[args.n] = piped[1]
    end
    return first(scope, args)
  end
end

function Reader:pipeline()
  local calls = { self:call() }
  while self:take("|") do
    calls[#calls + 1] = self:call()
  end
  return function(scope)
    local value = calls[1](scope)
    for index = 2, #calls do
      value = calls[index](scope, { value })
    end
    return value
  end
end

-- Names before `:=`, or nothing.
function Reader:variables()
  local start, names = self.at, {}
  repeat
    local token = self:peek()
    if not token or token.kind ~= "variable" then
      break
    end
    names[#names + 1] = token.value
    self.at = self.at + 1
  until not self:take(",")
  if #names > 0 and (self:take(":=") or self:take("=")) then
    return names
  end
  self.at = start
  return {}
end

return reader
