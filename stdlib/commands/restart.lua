-- restart, container restart

local command = ...
local containers = command.use "containers"

return {
  summary = "Stop containers and start them again",
  words = containers.many,
  flags = containers.stopping,
  run = function(args, flags)
    return containers.all(args.container, function(c)
      c:restart { timeout = flags.time, signal = flags.signal }
    end)
  end,
}
