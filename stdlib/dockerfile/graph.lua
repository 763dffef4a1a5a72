-- Stages and what they need of each other. A node is a stage, or an image or context that is needed as it is:
--
--   { stage, index, name, base, platform, list (its instructions), needs = {node -> item}, place }     a stage
--   { outside = true, ref or value, platform, place }                                                  anything else
--
-- `base` is the node a stage starts from; nil means from scratch.

local use = ...
local failure = use "dockerfile.failure"
local parser = use "dockerfile.parser"

local Graph = {}
Graph.__index = Graph

--- An image or context outside of the Dockerfile; the same one for the same name and platform.
function Graph:outside(name, platform, place)
  local key = name .. "\0" .. (platform or "")
  if not self.known[key] then
    local value = self.contexts[name] or self.contexts[name:lower()]
    self.known[key] = { outside = true, ref = name, value = value, platform = platform, place = place }
  end
  return self.known[key]
end

local function expand_from(self, stage)
  local base = self.scope:expand(stage.base)
  if base == "" then
    failure.raise(("the image '%s' has no name"):format(stage.base), "give the ARG a value, or a default")
  end
  local platform = stage.platform and self.scope:expand(stage.platform)
  if platform == "" then
    failure.raise(("the platform '%s' has no name"):format(stage.platform))
  end
  return base, platform or self.platform
end

local function add_stage(self, stage)
  local place = stage.from.place
  local base, platform = failure.at(place, expand_from, self, stage)
  local node = { stage = stage, index = stage.index, name = stage.name, platform = platform, place = place, needs = {} }
  node.list = { table.unpack(stage.steps) }
  if stage.name and self.contexts[stage.name] then
    -- A context of the caller's takes the stage's place.
    node.base, node.list, node.replaced = self:outside(stage.name, platform, place), {}, true
  elseif self.by_name[base:lower()] then
    node.base = self.by_name[base:lower()]
  elseif base:lower() ~= "scratch" then
    node.base = self:outside(base, platform, place)
  end
  self.nodes[#self.nodes + 1] = node
  if stage.name then
    self.by_name[stage.name] = node
  end
end

--- What a name in COPY --from or in a mount means: a stage, its number, a context or an image.
function Graph:find(name, by_index)
  local node = self.by_name[name:lower()]
  if node then
    return node
  elseif by_index and name:find "^%d+$" then
    node = self.nodes[math.tointeger(tonumber(name)) + 1]
    if not node then
      failure.raise(("there is no stage %s"):format(name), ("stages are 0 to %d"):format(#self.nodes - 1))
    end
    return node
  end
  return self:outside(name, self.platform)
end

-- Names an instruction takes files from, and whether numbers mean stages.
local function sources(item)
  if item.keyword == "COPY" and item.flags.from then
    return { item.flags.from }, true
  elseif item.keyword == "RUN" then
    local names = {}
    for _, text in ipairs(item.flags.mount or {}) do
      names[#names + 1] = text:match "^from=([^,]*)" or text:match ",from=([^,]*)"
    end
    return names, false
  end
  return {}, false
end

-- Notes what the instructions of a list need.
local function scan(self, node, list)
  for _, item in ipairs(list) do
    local names, by_index = sources(item)
    for _, name in ipairs(names) do
      local found = failure.at(item.place, self.find, self, name, by_index)
      found.place = found.place or item.place
      node.needs[found] = node.needs[found] or item
    end
  end
end

local function each_need(node)
  local list = {}
  if node.base then
    list[1] = node.base
  end
  for need in pairs(node.needs or {}) do
    list[#list + 1] = need
  end
  table.sort(list, function(left, right)
    return (left.index or -1) < (right.index or -1)
  end)
  return list
end

local function called(node)
  return node.name or tostring(node.index)
end

-- Raises when a stage needs itself, or one that comes after it.
local function check_order(self)
  local path, done = {}, {}
  local function visit(node)
    for index, above in ipairs(path) do
      if above == node then
        local names, item = {}, nil
        for at = index, #path do
          names[#names + 1] = called(path[at])
          item = item or path[at].needs[path[at + 1] or node]
        end
        names[#names + 1] = called(node)
        failure.at(item and item.place or node.place, failure.raise, "stages need each other: " .. table.concat(names, " -> "))
      end
    end
    if done[node] then
      return
    end
    path[#path + 1] = node
    for _, need in ipairs(each_need(node)) do
      if need.stage then
        visit(need)
      end
    end
    path[#path] = nil
    done[node] = true
  end
  for _, node in ipairs(self.nodes) do
    visit(node)
  end
  for _, node in ipairs(self.nodes) do
    for need, item in pairs(node.needs) do
      if need.stage and need.index > node.index then
        local text = ("stage '%s' comes after stage '%s', which needs it"):format(called(need), called(node))
        failure.at(item.place, failure.raise, text, "move it up")
      end
    end
  end
end

--- Everything the target needs, itself included: stages in order, and the others.
function Graph:reachable()
  local seen, stages, others = {}, {}, {}
  local function visit(node)
    if seen[node] then
      return
    end
    seen[node] = true
    for _, need in ipairs(each_need(node)) do
      visit(need)
    end
    table.insert(node.outside and others or stages, node)
  end
  visit(self.target)
  table.sort(stages, function(left, right)
    return left.index < right.index
  end)
  table.sort(others, function(left, right)
    if left.place.line ~= right.place.line then
      return left.place.line < right.place.line
    end
    return left.ref < right.ref
  end)
  return stages, others
end

--- Puts triggers in front of a stage's instructions. True when the stage needs more than before.
function Graph:trigger(node, texts)
  local list = {}
  for index, text in ipairs(texts) do
    list[index] = parser.trigger(text, node.place)
  end
  table.move(node.list, 1, #node.list, #list + 1, list)
  node.list, node.triggers = list, #texts
  scan(self, node, list)
  check_order(self)
end

local function find_target(self, name)
  if not name or name == "" then
    return self.nodes[#self.nodes]
  end
  local node = self.by_name[name:lower()] or (name:find "^%d+$" and self.nodes[math.tointeger(tonumber(name)) + 1])
  if not node then
    local names = {}
    for known in pairs(self.by_name) do
      names[#names + 1] = known
    end
    table.sort(names)
    failure.unknown(("%s has no stage '%s'"):format(self.file, name), name, names)
  end
  return node
end

--- The graph of a parsed Dockerfile. `scope` is that of FROM lines; `options` has target, platform and contexts.
local function make(parsed, scope, options)
  local graph = setmetatable({
    file = parsed.file,
    scope = scope,
    contexts = options.contexts or {},
    platform = options.platform,
    nodes = {},
    by_name = {},
    known = {},
  }, Graph)
  for _, stage in ipairs(parsed.stages) do
    add_stage(graph, stage)
  end
  for _, node in ipairs(graph.nodes) do
    scan(graph, node, node.list)
  end
  check_order(graph)
  graph.target = find_target(graph, options.target)
  return graph
end

return make
