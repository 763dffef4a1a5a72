-- commit, container commit

local command = ...
local containers = command.use "containers"

return {
  summary = "Make an image of a container's changes",
  words = { { name = "container" }, { name = "name", optional = true, shown = "NAME[:TAG]" } },
  flags = {
    { long = "author", short = "a", value = "NAME", help = "Who made it" },
    { long = "change", short = "c", value = "INSTRUCTION", many = true, help = "Change it, such as 'CMD [\"sh\"]'" },
    { long = "message", short = "m", value = "TEXT", help = "What was done" },
    { long = "pause", short = "p", help = "Pause it meanwhile; the default, --pause=false leaves it running" },
  },
  run = function(args, flags)
    local img = containers.find(args.container):commit(args.name, {
      author = flags.author,
      changes = flags.change,
      message = flags.message,
      pause = flags.pause,
    })
    command.print(img.id)
  end,
}
