-- system prune

local command = ...
local units = command.use "units"

return {
  summary = "Remove what is not used",
  flags = {
    { long = "all", short = "a", help = "Also images with a name that no container uses" },
    { long = "force", short = "f", help = "Do not ask" },
  },
  run = function(_, flags)
    local question = "This removes all containers that do not run and all images "
      .. (flags.all and "that no container uses" or "without a name")
      .. ", and what builds remember."
    if not flags.force and not command.use "ask"(question) then
      return 0
    end
    local gone = container.prune {}
    if #gone.ids > 0 then
      command.print("Deleted Containers:\n" .. table.concat(gone.ids, "\n") .. "\n")
    end
    local sizes, bytes = {}, gone.bytes
    for _, img in ipairs(image.list()) do
      sizes[img.id] = img.size
    end
    local removed = image.prune { all = flags.all }
    if #removed.images > 0 then
      command.print("Deleted Images:\n" .. table.concat(removed.images, "\n") .. "\n")
    end
    for _, id in ipairs(removed.images) do
      bytes = bytes + (sizes[id] or 0)
    end
    bytes = bytes + cache.prune({ all = flags.all }).bytes
    command.print("Total reclaimed space:", units.size(bytes))
  end,
}
