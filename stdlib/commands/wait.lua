-- wait, container wait

local command = ...
local containers = command.use "containers"

return {
  summary = "Wait for containers to end and print their exit statuses",
  words = containers.many,
  run = function(args)
    return command.all(args.container, function(name)
      return containers.find(name):wait()
    end)
  end,
}
