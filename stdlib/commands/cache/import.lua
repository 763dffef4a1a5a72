-- cache import

local command = ...
local units = command.use "units"

return {
  summary = "Learn the steps of a cache in a registry",
  words = { { name = "name" } },
  flags = { { long = "now", help = "Fetch all layers at once" } },
  run = function(args, flags)
    local done = cache.import(args.name, { now = flags.now })
    command.print("New steps: " .. done.steps .. ", layers: " .. done.layers .. ", size: " .. units.size(done.bytes))
  end,
}
