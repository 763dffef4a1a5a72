-- container inspect

local command = ...
local format = command.use "format"

return {
  summary = "Show all that is known of containers",
  words = { { name = "name", many = true, shown = "CONTAINER" } },
  flags = {
    format.flag("f"),
    { long = "size", short = "s", help = "Also their sizes" },
  },
  run = function(args, flags)
    flags.type = "container"
    return command.load("inspect").run(args, flags)
  end,
}
