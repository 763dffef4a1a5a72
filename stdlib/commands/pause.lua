-- pause, container pause

local command = ...
local containers = command.use "containers"

return {
  summary = "Freeze all processes of containers",
  words = containers.many,
  run = function(args)
    return containers.each(args.container, function(c)
      c:pause()
    end)
  end,
}
