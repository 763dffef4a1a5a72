-- top, container top

local command = ...
local containers = command.use "containers"

return {
  summary = "Show the processes of a container",
  words = { { name = "container" }, { name = "options", many = true, optional = true, shown = "PS_OPTIONS" } },
  flags_first = true,
  run = function(args)
    local options = #args.options > 0 and table.concat(args.options, " ") or nil
    local found = containers.find(args.container):top(options)
    command.print(command.grid(found.titles, found.processes))
  end,
}
