-- unpause, container unpause

local command = ...
local containers = command.use "containers"

return {
  summary = "Thaw the processes of paused containers",
  words = containers.many,
  run = function(args)
    return containers.each(args.container, function(c)
      c:unpause()
    end)
  end,
}
