-- stop, container stop

local command = ...
local containers = command.use "containers"

return {
  summary = "Stop running containers",
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
      c:stop { timeout = flags.time, signal = flags.signal }
    end)
  end,
}
