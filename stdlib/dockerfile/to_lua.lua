-- dockerfile.to_lua: a Lua script that builds what a Dockerfile builds. Stages become variables, and so do ARGs; steps
-- become calls of State methods, and comments stay.

local use = ...
local api = use "dockerfile.api"
local build = use "dockerfile.build"
local failure = use "dockerfile.failure"
local parser = use "dockerfile.parser"
local platform = use "dockerfile.platform"
local text = use "dockerfile.lua_text"
local write = use "dockerfile.lua_steps"

-- The script: lines, and which helpers it needs.
local Script = {}
Script.__index = Script

function Script:line(line)
  self.lines[#self.lines + 1] = line
end

function Script:comments(item)
  for _, comment in ipairs(item.comments or {}) do
    self:line("-- " .. comment)
  end
end

-- A stage being written.
local Stage = {}
Stage.__index = Stage

--- Ends the statement that steps are added to.
function Stage:flush()
  self.open = false
end

--- Adds a step.
function Stage:call(method, ...)
  local arguments = {}
  for index = 1, select("#", ...) do
    arguments[#arguments + 1] = (select(index, ...))
  end
  for _, comment in ipairs(self.pending) do
    self.script:line((self.open and "  -- " or "-- ") .. comment)
  end
  self.pending = {}
  if not self.open then
    self.script:line(("%s = %s"):format(self.variable, self.variable))
    self.open = true
  end
  self.script:line(("  :%s(%s)"):format(method, table.concat(arguments, ", ")))
end

-- The expression of a variable: an ARG's, or one of the state's environment.
function Stage:value(name)
  local argument = self.arguments[name]
  if argument then
    return argument.always and argument.variable or ('(%s or "")'):format(argument.variable)
  end
  self.script.needs_env = true
  self:flush()
  return ("env(%s, %s)"):format(self.variable, text.quote(name))
end

--- The expression for a word with variables.
function Stage:word(word, options)
  options = options or {}
  options.escape = options.escape or self.script.escape
  return text.expression(word, function(name)
    return self:value(name)
  end, options)
end

--- A word that has to be known now, such as a variable's name.
function Stage:plain(word)
  if word:find("$", 1, true) then
    failure.raise(("the name '%s' has a variable in it, which Lua code has not"):format(word), nil, "unsupported")
  end
  return self:word(word):sub(2, -2)
end

function Stage:context()
  self.script.needs_context = true
  return "context"
end

function Stage:source(name, by_index)
  local node = self.script.graph:find(name, by_index)
  if node.outside then
    return text.quote(name)
  end
  return self.script.variables[node]
end

--- Declares an ARG: a local variable, unless it is the one from before FROM.
function Stage:declare(argument)
  local name = argument.name
  local known = self.script.globals[name]
  if argument.value == nil and known then
    self.arguments[name] = known
  elseif argument.value == nil then
    local preset = self.script.known[name]
    self.arguments[name] = self.script:argument(name, preset and text.quote(preset))
    self.open = false
  else
    local default = self:word(argument.value)
    self.open = false
    self.arguments[name] = self.script:argument(name, default)
  end
  for _, each in ipairs(self.declared) do
    if each == name then
      return
    end
  end
  table.insert(self.declared, name)
end

function Stage:hide(name)
  self.arguments[name] = nil
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

--- A local variable for an ARG; the same one where name and default are the same.
function Script:argument(name, default)
  local key = name .. "\0" .. (default or "")
  if not self.declared[key] then
    local variable = text.name(name, self.taken)
    local given = name:find "^[%a_][%w_]*$" and "args." .. name or "args[" .. text.quote(name) .. "]"
    self:line(("local %s = %s%s"):format(variable, given, default and " or " .. default or ""))
    self.needs_args = true
    self.declared[key] = { variable = variable, always = default ~= nil }
  end
  return self.declared[key]
end

-- Arguments before the first FROM.
local function write_globals(script, parsed)
  local function variable(name)
    local argument = script.globals[name]
    if argument then
      return argument.always and argument.variable or ('(%s or "")'):format(argument.variable)
    end
    return text.quote(script.known[name] or "")
  end
  script.global_variable = variable
  for _, item in ipairs(parsed.args) do
    script:comments(item)
    for _, argument in ipairs(item.args) do
      local default = argument.value and text.expression(argument.value, variable, { escape = parsed.escape })
      local preset = not default and script.known[argument.name]
      script.globals[argument.name] = script:argument(argument.name, default or preset and text.quote(preset))
    end
  end
end

-- The expression a stage starts with.
local function start(script, node)
  local stage = node.stage
  if node.base and not node.base.outside then
    return script.variables[node.base]
  elseif not node.base then
    return 'build.scratch():workdir("/"):env({ PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" })'
  end
  local options = { escape = script.escape }
  local base = text.expression(stage.base, script.global_variable, options)
  local wanted = stage.platform and text.expression(stage.platform, script.global_variable, options)
  return ("build.from(%s%s)"):format(base, wanted and ", { platform = " .. wanted .. " }" or "")
end

local function write_stage(script, node)
  local list = {}
  for index, item in ipairs(node.base and node.base.stage and node.base.stage.steps or {}) do
    if item.keyword == "ONBUILD" then
      list[#list + 1] = parser.trigger(item.trigger, node.place)
    end
  end
  local triggered = #list > 0
  table.move(node.stage.steps, 1, #node.stage.steps, #list + 1, list)
  local base = node.base and script.stages[node.base]
  local wanted = node.name or (#script.graph.nodes == 1 and "state" or "stage" .. node.index)
  script:line ""
  script:comments(node.stage.from)
  local first = start(script, node)
  local variable = text.name(wanted, script.taken)
  script.variables[node] = variable
  local out = setmetatable({
    script = script,
    variable = variable,
    arguments = {},
    declared = { table.unpack(base and base.declared or {}) },
    author = base and base.author,
    pending = {},
  }, Stage)
  for name, argument in pairs(base and base.arguments or {}) do
    out.arguments[name] = argument
  end
  script.stages[node] = out
  script:line(("local %s = %s"):format(variable, first))
  out.open = true
  if triggered then
    out:call("unset", "{ on_build = true }")
  end
  for _, item in ipairs(list) do
    for _, comment in ipairs(item.comments or {}) do
      table.insert(out.pending, comment)
    end
    write(out, item)
  end
  for _, comment in ipairs(out.pending) do
    script:line("-- " .. comment)
  end
  return out
end

local ARGS = [[
-- Arguments of this script: NAME=VALUE.
local args = {}
for _, word in ipairs(arg) do
  local name, value = word:match "^([^=]+)=(.*)$"
  args[name or word] = value or host.env[word]
end
]]

local ENV = [[
-- A variable of a state's environment; empty when there is none.
local function env(state, name)
  for _, line in ipairs(state.config.Env or {}) do
    if line:sub(1, #name + 1) == name .. "=" then
      return line:sub(#name + 2)
    end
  end
  return ""
end
]]

local function head(script, path, options)
  local parts = { ("-- Builds what %s says. Made by dockerfile.to_lua.\n"):format(path) }
  if script.needs_args then
    parts[#parts + 1] = ARGS
  end
  if script.needs_env then
    parts[#parts + 1] = ENV
  end
  if script.needs_context then
    local folder = options.context or "."
    local ignore
    for _, name in ipairs { path .. ".dockerignore", folder:gsub("/+$", "") .. "/.dockerignore" } do
      ignore = ignore or (api.fs.exists(name) and name or nil)
    end
    local rules = ignore and (", { ignore_file = %s }"):format(text.quote(ignore)) or ""
    parts[#parts + 1] = ("local context = build.context(%s%s)\n"):format(text.quote(folder), rules)
  end
  return table.concat(parts, "\n")
end

local function tail(script, out, options)
  local tags = type(options.tags) == "string" and { options.tags } or options.tags or {}
  local names = {}
  for index, tag in ipairs(tags) do
    names[index] = text.quote(tag)
  end
  local author = out.author and text.map { { "author", text.quote(out.author) } }
  local arguments = #names > 0 and text.list(names, true) or (author and "nil" or "")
  script:line ""
  script:line(("print(%s:commit(%s%s).id)"):format(out.variable, arguments, author and ", " .. author or ""))
end

--- The script for the Dockerfile at `path`.
return function(path, options)
  local parsed = parser.parse(api.fs.read(path), path)
  local script = setmetatable({
    lines = {},
    escape = parsed.escape,
    taken = {},
    declared = {},
    globals = {},
    variables = {},
    stages = {},
    known = platform.arguments(nil, options.target or parsed.stages[#parsed.stages].name),
  }, Script)
  script.graph = build.plan(parsed, { target = options.target })
  write_globals(script, parsed)
  local out
  for _, node in ipairs((script.graph:reachable())) do
    out = write_stage(script, node)
  end
  script:comments { comments = parsed.ending }
  tail(script, script.stages[script.graph.target] or out, options)
  return head(script, path, options) .. table.concat(script.lines, "\n") .. "\n"
end
