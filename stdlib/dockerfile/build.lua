-- Builds an image as a Dockerfile says: every stage is a branch of `parallel`, and waits where it needs another one.

local use, core = ...
local api = use "dockerfile.api"
local failure = use "dockerfile.failure"
local make_graph = use "dockerfile.graph"
local parser = use "dockerfile.parser"
local platform = use "dockerfile.platform"
local scopes = use "dockerfile.scope"
local shown = use "dockerfile.shown"
local sources = use "dockerfile.sources"
local steps = use "dockerfile.steps"

local Plan = {}
Plan.__index = Plan

--- The main context, opened when it is needed.
function Plan:context()
  return self.opened.context()
end

--- The State or Context a name means in an instruction of `node`; waits for a stage that is being built.
function Plan:source(node, name)
  local found = self.graph:find(name, true)
  if found.outside then
    return self.values[found]
  end
  return self:result(found).state
end

--- The finished run of a stage.
function Plan:result(node)
  local gate = self.gates[node]
  gate.pass()
  return gate.run
end

-- Kinds of errors that a name has which is none.
local ABSENT = { network = true, not_found = true, permission = true, timeout = true }

local function hinted(self, node, ok, ...)
  if ok then
    return ...
  end
  local err, names = ..., {}
  for name in pairs(self.graph.by_name) do
    names[#names + 1] = name
  end
  table.sort(names)
  local near = not node.value and core.native.nearest(node.ref:lower(), names)
  if near and type(err) == "table" and ABSENT[err.kind] then
    local later = near == node.ref:lower()
    err.hint = later and "the stage '" .. near .. "' comes later" or "did you mean the stage '" .. near .. "'?"
  end
  error(err, 0)
end

-- What is not a stage. Where it cannot be had, its name may have been meant for one.
local function outside(self, node)
  return hinted(self, node, pcall(sources.resolve, node, self.options))
end

-- Pulls images and opens contexts, all at once, until no trigger of an image asks for more.
local function resolve(self)
  local stages, others
  repeat
    stages, others = self.graph:reachable()
    local branches, wanted = {}, {}
    for _, node in ipairs(others) do
      if not self.values[node] then
        wanted[#wanted + 1] = node
        branches[#branches + 1] = function()
          return failure.at(node.place, outside, self, node)
        end
      end
    end
    for index, value in ipairs(#branches > 1 and api.parallel(branches) or #branches == 1 and { branches[1]() } or {}) do
      self.values[wanted[index]] = value
    end
  until not self:add_triggers(stages) and #wanted == 0
  return stages
end

-- Triggers of the images and stages that stages start from. True when there were new ones.
function Plan:add_triggers(stages)
  local found = false
  for _, node in ipairs(stages) do
    if not node.triggers then
      local texts, base = {}, node.base
      if base and base.outside then
        local value = self.values[base]
        local config = sources.kind(value) ~= "Context" and value.config or {}
        texts = { table.unpack(config.OnBuild or {}) }
      end
      for _, item in ipairs(base and base.stage and base.stage.steps or {}) do
        if item.keyword == "ONBUILD" and not base.replaced then
          texts[#texts + 1] = item.trigger
        end
      end
      node.triggers = 0
      if #texts > 0 then
        failure.at(node.place, self.graph.trigger, self.graph, node, texts)
        found = true
      end
    end
  end
  return found
end

local function begin(self, node)
  local base = node.base and not node.base.outside and self:result(node.base) or nil
  local run = {
    node = node,
    plan = self,
    options = self.options,
    scope = self.scope:stage(base and base.scope),
    author = base and base.author,
    commands = {},
    total = shown.total(node.list, node.base ~= nil and node.base.outside),
    count = node.base and node.base.outside and 1 or 0,
  }
  if #self.graph.nodes > 1 then
    run.name = node.name or "stage-" .. node.index
  end
  if not node.base then
    run.state = steps.scratch()
  else
    run.state = base and base.state or sources.start(self.values[node.base])
  end
  if #(run.state.config.OnBuild or {}) > 0 and not node.replaced then
    run.state = run.state:unset({ on_build = true }, { history = false })
  end
  run.state = steps.complete(run.state)
  return run
end

local function build_stage(self, node)
  local gate = self.gates[node]
  local run = failure.at(node.place, begin, self, node)
  steps.take(run, node.list)
  gate.run = run
  gate.open()
end

local function build_stages(self, stages)
  local branches = {}
  for index, node in ipairs(stages) do
    local open, pass = core.gate()
    self.gates[node] = { open = open, pass = pass }
    branches[index] = function()
      build_stage(self, node)
    end
  end
  if #branches == 1 then
    branches[1]()
  else
    api.parallel(branches)
  end
end

local build = {}

-- Values of `args`: text, or nothing for what has no value.
local function texts(args)
  local given = {}
  for name, value in pairs(args or {}) do
    given[name] = tostring(value)
  end
  return given
end

--- The graph and the scope of a parsed Dockerfile.
function build.plan(parsed, options)
  local last = parsed.stages[#parsed.stages]
  local known = platform.arguments(options.platform, options.target or last.name)
  local scope = scopes.global(texts(options.args), known, parsed.escape)
  for _, item in ipairs(parsed.args) do
    for _, argument in ipairs(item.args) do
      failure.at(item.place, scope.declare_global, scope, argument)
    end
  end
  return make_graph(parsed, scope, options), scope
end

-- SOURCE_DATE_EPOCH as a time.
local function created(plan)
  local seconds = plan.scope.given.SOURCE_DATE_EPOCH
  if not seconds or not seconds:find "^%d+$" then
    return nil
  end
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.tointeger(tonumber(seconds)))
end

local function commit(plan, run)
  local options = plan.options
  local tags = options.tags
  return run.state:commit(type(tags) == "table" and #tags == 0 and nil or tags, {
    author = run.author,
    labels = options.labels,
    annotations = options.annotations,
    squash = options.squash,
    output = options.output,
    compression = options.compression,
    created = created(plan),
  })
end

-- The names of ARGs that the file and the triggers of its images declare.
local function declared(plan, parsed)
  local names = {}
  local function note(list)
    for _, item in ipairs(list) do
      for _, argument in ipairs(item.keyword == "ARG" and item.args or {}) do
        names[argument.name] = true
      end
    end
  end
  note(parsed.args)
  for _, node in ipairs(plan.graph.nodes) do
    note(node.stage.steps)
    note(node.list)
  end
  return names
end

-- Values that no ARG asks for are told: their names are probably misspelt.
local function tell_unused(plan, parsed)
  local names = declared(plan, parsed)
  for _, name in ipairs(scopes.PROXIES) do
    names[name] = true
  end
  names.SOURCE_DATE_EPOCH = true
  local unused = {}
  for name in pairs(plan.scope.given) do
    if not names[name] and not plan.scope.known[name] and not name:find "^BUILDKIT_" then
      unused[#unused + 1] = name
    end
  end
  table.sort(unused)
  for _, name in ipairs(unused) do
    core.native.warn(("no ARG asks for the build argument '%s'"):format(name))
  end
end

-- Rights that may be given. Steps see the host's network anyway.
local RIGHTS = { "security.insecure", "network.host" }

local function check_rights(rights)
  for _, right in ipairs(rights or {}) do
    if right ~= RIGHTS[1] and right ~= RIGHTS[2] then
      failure.unknown(("unknown right '%s'"):format(right), right, RIGHTS)
    end
  end
end

--- Builds and returns the image.
function build.image(given)
  check_rights(given.allow)
  -- What would fail at the end is told at the beginning.
  core.finish(core.native.check_commit(given.tags, given.output))
  local options = {}
  for name, value in pairs(given) do
    options[name] = value
  end
  if type(options.pull) == "boolean" then
    options.pull = options.pull and "always" or nil
  end
  local opened = sources.open(options)
  local parsed = parser.parse(opened.text, opened.file)
  local graph, scope = build.plan(parsed, options)
  local plan = setmetatable({
    options = options,
    opened = opened,
    graph = graph,
    scope = scope,
    values = {},
    gates = {},
  }, Plan)
  local stages = resolve(plan)
  tell_unused(plan, parsed)
  build_stages(plan, stages)
  return commit(plan, plan.gates[graph.target].run)
end

return build
