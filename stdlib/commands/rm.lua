-- rm, container rm

local command = ...
local containers = command.use "containers"

return {
  summary = "Remove containers",
  words = containers.many,
  flags = {
    { long = "force", short = "f", help = "Kill a running one first; one that is not there is no error" },
    { long = "volumes", short = "v", help = "Also remove its anonymous volumes" },
  },
  run = function(args, flags)
    return command.all(args.container, function(name)
      local c = container.get(name)
      if not c and flags.force then
        return command.warning("no such container '" .. name .. "'")
      end
      containers.find(name):remove { force = flags.force, volumes = flags.volumes }
      return name
    end)
  end,
}
