-- rmi, image rm

local command = ...

return {
  summary = "Remove images",
  words = { { name = "image", many = true } },
  details = "A name takes away that name only, and the image with its last one; an id takes the image.",
  flags = {
    { long = "force", short = "f", help = "Also remove an image that has several names" },
  },
  run = function(args, flags)
    return command.each(args.image, function(name)
      local gone = image.remove(name, { force = flags.force })
      for _, one in ipairs(gone.names) do
        command.print("Untagged:", one)
      end
      for _, id in ipairs(gone.images) do
        command.print("Deleted:", id)
      end
    end)
  end,
}
