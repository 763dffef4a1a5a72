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
    local options = create.options(flags)
    command.print(container.create(create.image(args.image, flags), create.command(args), options).id)
  end,
}
