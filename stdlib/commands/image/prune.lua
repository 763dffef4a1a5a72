-- image prune

local command = ...

return {
  summary = "Remove images that nothing names",
  flags = {
    { long = "all", short = "a", help = "Also remove images with a name that no container uses" },
    { long = "force", short = "f", help = "Do not ask" },
  },
  run = function(_, flags)
    local question = flags.all and "all images that no container uses" or "all images without a name"
    if not flags.force and not command.use("ask")("This removes " .. question .. ".") then
      return 0
    end
    local sizes = {}
    for _, img in ipairs(image.list()) do
      sizes[img.id] = img.size
    end
    local gone, bytes = image.prune { all = flags.all }, 0
    for _, name in ipairs(gone.names) do
      command.print("untagged:", name)
    end
    for _, id in ipairs(gone.images) do
      command.print("deleted:", id)
      bytes = bytes + (sizes[id] or 0)
    end
    command.print("\nTotal reclaimed space:", command.use("units").size(bytes))
  end,
}
