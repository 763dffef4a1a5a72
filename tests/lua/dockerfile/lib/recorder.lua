-- A stand-in for the build functions, which writes down what is called. A State has just enough of a configuration.
local api = require "dockerfile.api"

local recorder = { calls = {}, images = {}, files = {}, labels = true }

local State = {}
State.__index = State
State.__tostring = function(s) return "State(" .. s.name .. ")" end

local function shown(value)
  if type(value) ~= "table" or getmetatable(value) then return type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n") or tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do
    if key ~= "label" or recorder.labels then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do parts[#parts + 1] = (type(key) == "number" and "" or key .. "=") .. shown(value[key]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function record(name, ...)
  local parts = {}
  for index = 1, select("#", ...) do
    local value = select(index, ...)
    if value ~= nil and not (type(value) == "table" and not getmetatable(value) and next(value) == nil) then parts[#parts + 1] = shown(value) end
  end
  table.insert(recorder.calls, name .. "(" .. table.concat(parts, ", ") .. ")")
end

local function state(name, config)
  local copy = {}
  for key, value in pairs(config or {}) do copy[key] = value end
  copy.Env = { table.unpack(copy.Env or {}) }
  return setmetatable({ name = name, config = copy }, State)
end

for _, method in ipairs { "run", "copy", "add", "write", "label", "expose", "volume", "stop_signal", "shell_form", "healthcheck", "on_build", "unset", "entrypoint", "cmd", "user" } do
  State[method] = function(s, ...)
    local options = select(select("#", ...), ...)
    if type(options) == "table" and options.from ~= nil and type(options.from) == "string" then error "from is a name" end
    record(method, ...)
    if method == "run" and (...) == "fail" then error({ kind = "exit", message = "command exited with code 3: fail", exit_code = 3, stderr = "oh", state = s }, 0) end
    local after = state(s.name, s.config)
    if method == "cmd" then after.config.Cmd = { ... } elseif method == "entrypoint" then after.config.Cmd = nil elseif method == "shell_form" then after.config.Shell = ... elseif method == "unset" then after.config.OnBuild = nil end
    return after
  end
end
function State:env(vars, options)
  record("env", vars, options)
  local after = state(self.name, self.config)
  for name, value in pairs(vars) do table.insert(after.config.Env, 1, name .. "=" .. value) end
  return after
end
function State:workdir(path, options)
  record("workdir", path, options)
  local after = state(self.name, self.config)
  after.config.WorkingDir = path:sub(1, 1) == "/" and path or (after.config.WorkingDir or "") .. "/" .. path
  return after
end
function State:stat(path) return recorder.files[path] and { kind = recorder.files[path] } end
function State:layer(f, options)
  record("layer", options)
  return f(self)
end
function State:commit(...)
  record("commit", ...)
  return "image"
end

local Context = { __tostring = function(c) return "Context(" .. c.name .. ")" end, __name = "Context" }
Context.__index = { read = function(c, path) return recorder.files[path] end }

rawset(api, "build", {
  from = function(name, options)
    record("from", name, options)
    local config = { Env = { "PATH=/bin" } }
    for key, value in pairs(recorder.images[tostring(name)] or {}) do config[key] = value end
    return state(tostring(name), config)
  end,
  scratch = function() return state "scratch" end,
  context = function(source, options)
    record("context", source, options)
    return setmetatable({ name = tostring(source) }, Context)
  end,
})
rawset(api, "image", {
  get = function(name) return recorder.here and { platform = recorder.here } end,
  pull = function(name, options)
    record("pull", name, options)
    return name
  end,
})
rawset(api, "host", { info = function() return { arch = "x86_64" } end })

function recorder.context(name) return setmetatable({ name = name }, Context) end
function recorder.state(name) return state(name, { Env = { "PATH=/bin" } }) end

-- Builds a text and returns what was called; labels are left out where `recorder.labels` is false.
function recorder.build(text, options)
  recorder.calls = {}
  local given = { text = text, context = recorder.context "ctx" }
  for key, value in pairs(options or {}) do given[key] = value end
  local result = require("dockerfile.init").build(given)
  return recorder.calls, result
end

return recorder
