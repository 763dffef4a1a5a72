-- restart, container restart

local command = ...
local containers = command.use "containers"

return {
  summary = "Stop containers and start them again",
  words = containers.many,
  flags = {
    { long = "signal", short = "s", value = "SIGNAL", type = "name", help = "Signal to send" },
    {
      long = "time",
      short = "t",
      value = "SECONDS",
      type = "integer",
      aliases = { "timeout" },
      help = "How long to wait before killing; -1 for ever",
    },
  },
  run = function(args, flags)
    return containers.all(args.container, function(c)
      c:restart { timeout = flags.time, signal = flags.signal }
    end)
  end,
}
