-- stop, container stop

local command = ...
local containers = command.use "containers"

return {
  summary = "Stop running containers",
  words = containers.many,
  flags = containers.stopping,
  run = function(args, flags)
    return containers.all(args.container, function(c)
      c:stop { timeout = flags.time, signal = flags.signal }
    end)
  end,
}
