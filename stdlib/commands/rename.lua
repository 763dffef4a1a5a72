-- rename, container rename

local command = ...
local containers = command.use "containers"

return {
  summary = "Give a container another name",
  words = { { name = "container" }, { name = "name", shown = "NEW_NAME" } },
  run = function(args)
    containers.find(args.container):rename(args.name)
  end,
}
