-- image inspect

local command = ...
local format = command.use "format"
local images = command.use "images"

return {
  summary = "Show all that is known of images",
  words = { { name = "image", many = true } },
  flags = { format.flag("f") },
  run = function(args, flags)
    local items = {}
    local status = command.each(args.image, function(name)
      local img = images.find(name)
      items[#items + 1] = { object = img, details = images.details(img) }
    end)
    format.details(items, flags.format)
    return status
  end,
}
