-- image inspect

local command = ...
local format = command.use "format"

return {
  summary = "Show all that is known of images",
  words = { { name = "name", many = true, shown = "IMAGE" } },
  flags = { format.flag("f") },
  run = function(args, flags)
    flags.type = "image"
    return command.load("inspect").run(args, flags)
  end,
}
