-- Which variables a line of a Dockerfile sees: those of ENV, which the state has, and those of ARG.
--
-- What comes later wins: `ENV A=1` hides an `ARG A` before it, `ARG A=1` an `ENV A` before it. Arguments declared
-- before the first FROM are seen by FROM lines, and by stages that declare them again.

local use = ...
local expand = use "dockerfile.expand"

local Scope = {}
Scope.__index = Scope

--- Values that reach RUN without a declaration, and neither the history nor the cache.
local PROXIES = {
  "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy",
  "ALL_PROXY", "all_proxy",
}

--- The scope of FROM lines. `given`: the values the caller gave; `known`: those of platforms.
local function global(given, known, escape)
  local values = {}
  for name, value in pairs(known) do
    values[name] = given[name] or value
  end
  return setmetatable({ given = given, values = values, known = known, escape = escape, declared = {} }, Scope)
end

--- Declares an ARG before the first FROM.
function Scope:declare_global(argument)
  local value = self.given[argument.name]
  if value == nil and argument.value then
    value = self:expand(argument.value)
  end
  if value ~= nil then
    self.values[argument.name] = value
  end
end

--- The scope of a stage's beginning; `base` is that of the stage it starts from.
function Scope:stage(base)
  local stage = { given = self.given, globals = self.values, escape = self.escape, values = {}, declared = {} }
  for name, value in pairs(base and base.values or {}) do
    stage.values[name] = value
  end
  for index, name in ipairs(base and base.declared or {}) do
    stage.declared[index] = name
  end
  return setmetatable(stage, Scope)
end

--- Declares an ARG in a stage, and returns its value or nil. `state` has the variables of ENV.
function Scope:declare(argument, state)
  local name, value = argument.name, self.given[argument.name]
  if value == nil and argument.value == nil then
    value = self.globals[name]
  elseif value == nil then
    value = self:expand(argument.value, state)
  end
  if value ~= nil then
    self.values[name] = value
  end
  for _, known in ipairs(self.declared) do
    if known == name then
      return value
    end
  end
  table.insert(self.declared, name)
  return value
end

--- ENV hides an argument of that name.
function Scope:hide(name)
  self.values[name] = nil
end

local function variable(state, name)
  local prefix = name .. "="
  for _, line in ipairs(state and state.config.Env or {}) do
    if line:sub(1, #prefix) == prefix then
      return line:sub(#prefix + 1)
    end
  end
end

--- The value of a name for a line after `state`.
function Scope:get(name, state)
  local value = self.values[name]
  if value == nil then
    value = variable(state, name)
  end
  return value
end

--- Replaces the variables of a text: the result, and the words it falls into.
function Scope:expand(text, state, options)
  if not text:find "[$'\"<\\`%s]" then
    return text, text ~= "" and { text } or {}
  end
  options = options or {}
  options.escape = options.escape or self.escape
  return expand(text, function(name)
    return self:get(name, state)
  end, options)
end

--- What RUN finds in its environment besides the variables of ENV.
function Scope:environment()
  local env = {}
  for _, name in ipairs(self.declared) do
    env[name] = self.values[name]
  end
  return next(env) and env
end

--- What the history of RUN says of the arguments: a list of NAME=VALUE.
function Scope:words(state)
  local list = {}
  for index, name in ipairs(self.declared) do
    list[index] = name .. "=" .. (self:get(name, state) or "")
  end
  return list
end

--- Proxies the caller gave and the Dockerfile does not declare.
function Scope:proxies()
  local found, declared = {}, {}
  for _, name in ipairs(self.declared) do
    declared[name] = true
  end
  for _, name in ipairs(PROXIES) do
    if self.given[name] ~= nil and not declared[name] then
      found[#found + 1] = name
    end
  end
  return found
end

return { global = global, PROXIES = PROXIES }
