-- diff, container diff

local command = ...
local containers = command.use "containers"

return {
  summary = "Show which files a container has added (A), changed (C) and deleted (D)",
  words = containers.one,
  run = function(args)
    for _, change in ipairs(containers.find(args.container):diff()) do
      command.print(change.kind, change.path)
    end
  end,
}
