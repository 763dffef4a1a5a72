-- load, image load

local command = ...
local images = command.use "images"

return {
  summary = "Load images from an archive",
  flags = {
    { long = "input", short = "i", value = "FILE", type = "name", help = "Read a file" },
    { long = "quiet", short = "q", help = "Show no progress" },
  },
  run = function(_, flags)
    if flags.quiet then
      command.quiet()
    end
    if not flags.input and command.is_terminal "stdin" then
      command.fail("an archive is not typed on a terminal", { hint = "give --input FILE, or redirect" })
    end
    for _, img in ipairs(image.load(flags.input or "-")) do
      for _, name in ipairs(img.names) do
        command.print("Loaded image:", name)
      end
      if #img.names == 0 then
        command.print("Loaded image ID:", images.find(img.id).id)
      end
    end
  end,
}
