-- kill, container kill

local command = ...
local containers = command.use "containers"

return {
  summary = "Send a signal to running containers",
  words = containers.many,
  flags = {
    { long = "signal", short = "s", value = "SIGNAL", type = "name", help = "Which one. Default KILL" },
  },
  run = function(args, flags)
    return containers.each(args.container, function(c)
      c:kill(flags.signal or "KILL")
    end)
  end,
}
