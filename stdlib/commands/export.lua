-- export, container export

local command = ...
local containers = command.use "containers"

return {
  summary = "Write a container's root file system as a tar archive",
  words = containers.one,
  flags = {
    { long = "output", short = "o", value = "FILE", type = "name", help = "Write to a file" },
  },
  run = function(args, flags)
    if not flags.output and command.is_terminal "stdout" then
      command.fail("an archive does not belong on a terminal", { hint = "give --output FILE, or redirect" })
    end
    containers.find(args.container):export(flags.output or "-")
  end,
}
