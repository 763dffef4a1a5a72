-- dockerfile.to_lua: a Lua script that builds what a Dockerfile builds. Stages become variables, and so do ARGs; steps
-- become calls of State methods, and comments stay.

local use = ...
local api = use "dockerfile.api"
local build = use "dockerfile.build"
local failure = use "dockerfile.failure"
local parser = use "dockerfile.parser"
local platform = use "dockerfile.platform"
local sources = use "dockerfile.sources"
local steps = use "dockerfile.steps"
local text = use "dockerfile.lua_text"
local Stage = use "dockerfile.lua_stage"
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

-- Names of variables in the words of an instruction that are expanded.
local function names_in(item)
  local found = {}
  local function look(words)
    for name in words:gmatch "%$%{?([%a_][%w_]*)" do
      found[name] = true
    end
  end
  if item.keyword == "RUN" then
    for _, mount in ipairs(item.flags.mount or {}) do
      look(mount)
    end
  elseif item.keyword ~= "CMD" and item.keyword ~= "ENTRYPOINT" and item.keyword ~= "ONBUILD" then
    look(item.text)
    for _, document in ipairs(item.heredocs or {}) do
      look(document.content)
    end
  end
  return found
end

--- Whether an instruction after `item` uses a variable.
function Script:is_used(name, item)
  local behind = false
  for _, each in ipairs(self.items) do
    if behind and names_in(each)[name] then
      return true
    end
    behind = behind or each == item
  end
  return false
end

--- A local variable for an ARG; the same one where name and default are the same.
function Script:argument(name, default)
  default = self.given[name] and text.quote(self.given[name]) or default
  local key = name .. "\0" .. (default or "")
  if not self.declared[key] then
    local variable = text.name(name, self.taken)
    local given = text.field("args", name)
    self:line(("local %s = %s%s"):format(variable, given, default and " or " .. default or ""))
    self.needs_args = true
    self.declared[key] = { variable = variable, always = default ~= nil }
  end
  return self.declared[key]
end

--- The expression for what the caller put in the place of a name, and whether it is an image; nil for nothing.
function Script:named_context(node)
  local image = node.value and node.value:match "^docker%-image://(.+)$"
  if image then
    return text.quote(image), true
  end
  local layout = node.value and node.value:match "^oci%-layout://(.+)$"
  if layout then
    return ("image.load(%s)[1]"):format(text.quote(layout)), true
  end
  return node.value and ("build.context(%s)"):format(text.quote(node.value))
end

-- Arguments before the first FROM.
local function write_globals(script, parsed)
  local function variable(name, bare)
    local argument = script.globals[name]
    if argument then
      return (argument.always or bare) and argument.variable or ('(%s or "")'):format(argument.variable)
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

-- What is known of an image that a stage starts from: its configuration, if it is here.
local function known_config(node)
  if not node.base or not node.base.outside then
    return nil
  end
  local name = node.base.value and node.base.value:match "^docker%-image://(.+)$" or not node.base.value and node.base.ref
  local ok, found = pcall(api.image.get, name or "")
  return ok and found and found.config.config or nil
end

-- Puts triggers of images and stages in front of the instructions of stages that start from them.
local function add_triggers(script)
  local found
  repeat
    found = false
    for _, node in ipairs((script.graph:reachable())) do
      if not node.triggers then
        node.triggers = 0
        local texts = { table.unpack((known_config(node) or {}).OnBuild or {}) }
        for _, item in ipairs(node.base and node.base.stage and node.base.stage.steps or {}) do
          if item.keyword == "ONBUILD" and not node.base.replaced then
            texts[#texts + 1] = item.trigger
          end
        end
        if #texts > 0 then
          failure.at(node.place, script.graph.trigger, script.graph, node, texts)
          found = true
        end
      end
    end
  until not found
end

local PATH = ':env({ PATH = "' .. steps.PATH .. '" })'

-- The expression a stage starts with.
local function start(script, node)
  local stage = node.stage
  if not node.base then
    return 'build.scratch():workdir("/")' .. PATH
  elseif not node.base.outside then
    return script.variables[node.base]
  end
  local context, is_image = script:named_context(node.base)
  if context and not is_image then
    return ('build.scratch():copy(".", "/", { from = %s })'):format(context) .. PATH
  end
  local options = { escape = script.escape }
  local base = context or text.expression(stage.base, script.global_variable, options)
  local wanted = stage.platform and text.expression(stage.platform, script.global_variable, options)
  if wanted and wanted ~= text.quote(script.known.BUILDPLATFORM) then
    base = ("image.pull(%s, { platform = %s })"):format(base, wanted)
  end
  local config = known_config(node)
  local has_path = not config
  for _, line in ipairs(config and config.Env or {}) do
    has_path = has_path or line:sub(1, 5) == "PATH="
  end
  return ("build.from(%s)"):format(base) .. (has_path and "" or PATH)
end

local function write_stage(script, node)
  local base = node.base and script.stages[node.base]
  local wanted = node.name or #script.graph.nodes == 1 and "state"
    or node == script.graph.target and "final" or "stage" .. node.index
  script:line ""
  script:comments(node.stage.from)
  local first = start(script, node)
  local variable = text.name(wanted, script.taken, "_stage")
  script.variables[node] = variable
  local out = setmetatable({
    script = script,
    variable = variable,
    first = first,
    triggered = node.triggers > 0,
    arguments = {},
    constants = {},
    declared = { table.unpack(base and base.declared or {}) },
    author = base and base.author,
    pending = {},
  }, Stage)
  for _, kind in ipairs { "arguments", "constants" } do
    for name, argument in pairs(base and base[kind] or {}) do
      out[kind][name] = argument
    end
  end
  script.stages[node] = out
  for _, item in ipairs(node.list) do
    for _, comment in ipairs(item.comments or {}) do
      table.insert(out.pending, comment)
    end
    out.item = item
    write(out, item)
  end
  out:begin()
  out:say ""
  return out
end

-- Values of ARGs by which bases are found: the caller's, and for those that have none a word that is no image.
local function arguments_of(parsed, script)
  local args = {}
  for _, item in ipairs(parsed.args) do
    for _, argument in ipairs(item.args) do
      if argument.value == nil and not script.known[argument.name] then
        args[argument.name] = "$" .. argument.name
      end
    end
  end
  for name, value in pairs(script.given) do
    args[name] = value
  end
  return args
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
-- A variable of a state's environment; nil when there is none.
local function env(state, name)
  for _, line in ipairs(state.config.Env or {}) do
    if line:sub(1, #name + 1) == name .. "=" then
      return line:sub(#name + 2)
    end
  end
end
]]

-- What is needed for mounts: the caller's words, or a place for them.
local GIVEN = {
  secrets = { about = "Secrets for RUN", form = '"id=ID,src=FILE", "id=ID,env=NAME"' },
  ssh = { about = "Agents and keys for RUN", form = '"default", "ID=SOCKET"' },
}

local function given(options, name)
  local words = {}
  for index, word in ipairs(options[name] or {}) do
    words[index] = text.quote(word)
  end
  local form = #words == 0 and ": " .. GIVEN[name].form or ""
  return ("-- %s%s.\n%s\n"):format(GIVEN[name].about, form, "local " .. name .. " = " .. text.flat(text.list(words)))
end

local function head(script, path, options)
  local parts = { ("-- Builds what %s says. Made by dockerfile.to_lua.\n"):format((path:gsub("^%./", ""))) }
  if script.needs_args then
    parts[#parts + 1] = ARGS
  end
  if script.needs_env then
    parts[#parts + 1] = ENV
  end
  for _, name in ipairs { "secrets", "ssh" } do
    parts[#parts + 1] = script.needs[name] and given(options, name) or nil
  end
  if script.needs_context then
    local folder = options.context or "."
    local rules = sources.rules(path, folder)
    local lines = {}
    for index, line in ipairs(rules.ignore or {}) do
      lines[index] = text.quote(line)
    end
    rules = text.map {
      { "ignore", rules.ignore and text.list(lines) },
      { "ignore_file", rules.ignore_file and text.quote(rules.ignore_file) },
    }
    rules = rules and ", " .. text.flat(rules) or ""
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
  local labels = {}
  for name in pairs(options.labels or {}) do
    labels[#labels + 1] = name
  end
  table.sort(labels)
  for index, name in ipairs(labels) do
    labels[index] = { name, text.quote(options.labels[name]) }
  end
  local more = text.map {
    { "author", out.author and text.quote(out.author) },
    { "labels", text.map(labels) },
    { "squash", options.squash and (options.squash == "all" and '"all"' or "true") or nil },
  }
  local arguments = { #names > 0 and text.list(names, true) or more and "nil" or nil }
  arguments[#arguments + 1] = more
  script:line ""
  script:line("print(" .. text.call(out.variable .. ":commit", arguments, "") .. ".id)")
end

local function given_arguments(args)
  local given = {}
  for name, value in pairs(args or {}) do
    given[name] = tostring(value)
  end
  return given
end

--- The script for the Dockerfile at `path`.
return function(path, options)
  local parsed = parser.parse(api.fs.read(path), path)
  local script = setmetatable({
    lines = {},
    items = {},
    escape = parsed.escape,
    taken = {},
    declared = {},
    globals = {},
    variables = {},
    stages = {},
    needs = {},
    network = options.network,
    given = given_arguments(options.args),
    known = platform.arguments(nil, options.target or parsed.stages[#parsed.stages].name),
  }, Script)
  script.graph = build.plan(parsed, {
    target = options.target,
    contexts = options.contexts,
    args = arguments_of(parsed, script),
  })
  write_globals(script, parsed)
  add_triggers(script)
  local stages = script.graph:reachable()
  for _, node in ipairs(stages) do
    table.move(node.list, 1, #node.list, #script.items + 1, script.items)
  end
  local out
  for _, node in ipairs(stages) do
    out = write_stage(script, node)
  end
  script:comments { comments = parsed.ending }
  tail(script, script.stages[script.graph.target] or out, options)
  if script.lines[1] ~= "" then
    table.insert(script.lines, 1, "")
  end
  return head(script, path, options) .. table.concat(script.lines, "\n") .. "\n"
end
