-- A stage that `to_lua` is writing: the statement its steps are added to, and the variables its lines see.
--
--   { script, variable, first (what it begins with), begun, open (a statement is), pending (comments),
--     arguments, constants = {name -> {variable, always}} of ARG and ENV, declared = {names of ARG} }

local use = ...
local text = use "dockerfile.lua_text"

local Stage = {}
Stage.__index = Stage

--- Writes the comments before the instruction that is being written.
function Stage:say(indent)
  for _, comment in ipairs(self.pending) do
    self.script:line(indent .. "-- " .. comment)
  end
  self.pending = {}
end

--- Begins the stage: what comes before are ARGs.
function Stage:begin()
  if not self.begun then
    self.begun, self.open = true, true
    self.script:line(("local %s = %s"):format(self.variable, self.first))
    if self.triggered then
      self:call("unset", text.map { { "on_build", "true" } })
    end
  end
end

--- Ends the statement that steps are added to: the variable has its value now.
function Stage:flush()
  self:begin()
  self.open = false
end

-- The statement that steps are added to.
function Stage:statement()
  self:begin()
  if not self.open then
    self:say ""
    self.script:line(("%s = %s"):format(self.variable, self.variable))
    self.open = true
  end
  self:say "  "
end

--- Adds a step.
function Stage:call(method, ...)
  self:statement()
  self.script:line(text.call("  :" .. method, { ... }, "  "))
end

--- Adds several steps that make one layer.
function Stage:layer(calls)
  self:statement()
  self.script:line "  :layer(function(s)"
  self.script:line "    return s"
  for _, call in ipairs(calls) do
    self.script:line(text.call("      :" .. call[1], { table.unpack(call, 2) }, "      "))
  end
  self.script:line "  end)"
end

-- The expression of a variable: an ARG's, or one of the state's environment. With `bare` it may be nil.
function Stage:value(name, bare)
  local argument, constant = self.arguments[name], self.constants[name]
  if argument and constant and not argument.always then
    return ("(%s or %s)"):format(argument.variable, constant.variable)
  elseif argument or constant then
    argument = argument or constant
    return (argument.always or bare) and argument.variable or ('(%s or "")'):format(argument.variable)
  end
  self.script.needs_env = true
  self:flush()
  local call = ("env(%s, %s)"):format(self.variable, text.quote(name))
  return bare and call or "(" .. call .. ' or "")'
end

--- ENV: the value's expression. Where later lines use the variable, it is a variable of the script too.
function Stage:constant(name, value)
  self.arguments[name], self.constants[name] = nil, nil
  if not self.script:is_used(name, self.item) then
    return value
  end
  local variable = value
  if not value:find "^[%a_][%w_]*$" then
    variable = text.name(name, self.script.taken)
    if self.begun then
      self:flush()
    end
    self:say ""
    self.script:line(("local %s = %s"):format(variable, value))
  end
  self.constants[name] = { variable = variable, always = true }
  return variable
end

--- The expression for a word with variables.
function Stage:word(word, options)
  options = options or {}
  options.escape = options.escape or self.script.escape
  return text.expression(word, function(name, bare)
    return self:value(name, bare)
  end, options)
end

--- The expression for the main context.
function Stage:context()
  self.script.needs_context = true
  return "context"
end

--- The expression for what COPY --from or a mount names: a stage's variable, an image's name, a context.
function Stage:source(name, by_index)
  local node = self.script.graph:find(name, by_index)
  return node.outside and (self.script:named_context(node) or text.quote(name)) or self.script.variables[node]
end

--- The variable with the script's secrets (`kind` is "secrets") or its agents ("ssh").
function Stage:needed(kind)
  self.script.needs[kind] = true
  return kind
end

--- Declares an ARG: a local variable, unless it is the one from before FROM.
function Stage:declare(argument)
  local name = argument.name
  local known = self.script.globals[name]
  if argument.value == nil and known then
    self.arguments[name] = known
  else
    local preset = argument.value == nil and self.script.known[name]
    local default = argument.value and self:word(argument.value) or preset and text.quote(preset) or nil
    if self.begun then
      self:flush()
    end
    self:say ""
    self.arguments[name] = self.script:argument(name, default)
  end
  for _, each in ipairs(self.declared) do
    if each == name then
      return
    end
  end
  table.insert(self.declared, name)
end

--- What RUN gets of the ARGs.
function Stage:environment()
  local list = {}
  for _, name in ipairs(self.declared) do
    local argument = self.arguments[name]
    list[#list + 1] = argument and { name, argument.variable } or nil
  end
  return text.map(list)
end

return Stage
