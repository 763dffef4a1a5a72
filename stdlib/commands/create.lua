-- create, container create

local command = ...
local create = command.use "create"

return {
  summary = "Make a container without starting it",
  words = create.words,
  flags_first = true,
  failure = 125,
  flags = create.flags {},
  run = function(args, flags)
    command.print(container.create(args.image, create.command(args), create.options(flags)).id)
  end,
}
