-- cache export

local command = ...
local units = command.use "units"

return {
  summary = "Push what builds remember to a registry",
  words = { { name = "name" } },
  run = function(args)
    local done = cache.export(args.name, { all = true })
    command.print(done.digest)
    command.print("Steps: " .. done.steps .. ", layers: " .. done.layers .. ", size: " .. units.size(done.bytes))
  end,
}
