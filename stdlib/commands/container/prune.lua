-- container prune

local command = ...
local filter = command.use "filter"
local units = command.use "units"

local FILTERS = { "label", "until" }

return {
  summary = "Remove all containers that do not run",
  details = "Filters: " .. table.concat(FILTERS, ", ") .. ".",
  flags = {
    { long = "filter", value = "KEY=VALUE", many = true, help = "Remove only what matches" },
    { long = "force", short = "f", help = "Do not ask" },
  },
  run = function(_, flags)
    local filters = filter.read(flags.filter, FILTERS)
    if not flags.force and not command.use "ask"("This removes all containers that do not run.") then
      return 0
    end
    local gone = container.prune { filters = filters }
    if #gone.ids > 0 then
      command.print("Deleted Containers:")
      for _, id in ipairs(gone.ids) do
        command.print(id)
      end
      command.print()
    end
    command.print("Total reclaimed space:", units.size(gone.bytes))
  end,
}
