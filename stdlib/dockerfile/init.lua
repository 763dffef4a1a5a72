-- The API: build.dockerfile, dockerfile.parse, dockerfile.to_lua, dockerfile.expand.

local use = ...
local api = use "dockerfile.api"
local build = use "dockerfile.build"
local expand = use "dockerfile.expand"
local failure = use "dockerfile.failure"
local parser = use "dockerfile.parser"

local module = {}

--- build.dockerfile{...}
function module.build(options)
  return failure.named("build.dockerfile", build.image, options or {})
end

--- dockerfile.parse(path)
function module.parse(path)
  return failure.named("dockerfile.parse", function()
    return parser.parse(api.fs.read(path), path)
  end)
end

--- dockerfile.to_lua(path, options)
function module.to_lua(path, options)
  return failure.named("dockerfile.to_lua", use("dockerfile.to_lua"), path, options or {})
end

--- dockerfile.expand(text, variables)
function module.expand(text, variables)
  return failure.named("dockerfile.expand", function()
    return (expand(text, function(name)
      local value = variables[name]
      return value ~= nil and tostring(value) or nil
    end))
  end)
end

return module
