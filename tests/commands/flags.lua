-- Prints what its words and flags come to.

local command = ...

return {
  summary = "Test",
  words = { { name = "first", optional = true }, { name = "rest", many = true, optional = true } },
  flags_first = true,
  flags = {
    { long = "switch", short = "s", help = "A switch" },
    { long = "other-switch", short = "o", help = "Another" },
    { long = "text", short = "t", value = "TEXT", help = "A text" },
    { long = "list", short = "l", value = "TEXT", many = true, aliases = { "items" }, help = "Some texts" },
    { long = "number", short = "n", value = "N", type = "integer", help = "A number" },
    { long = "secret", hidden = true, help = "Not shown" },
  },
  run = function(args, flags)
    command.print(json.encode { args = args.first or "", rest = args.rest, flags = flags })
  end,
}
