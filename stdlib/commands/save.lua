-- save, image save

local command = ...

return {
  summary = "Write images to an archive",
  words = { { name = "image", many = true } },
  flags = {
    { long = "output", short = "o", value = "FILE", type = "name", help = "Write to a file" },
    {
      long = "format",
      value = "FORMAT",
      choices = { "docker-archive", "oci-archive" },
      help = "Default docker-archive",
    },
  },
  run = function(args, flags)
    if not flags.output and command.is_terminal "stdout" then
      command.fail("an archive does not belong on a terminal", { hint = "give --output FILE, or redirect" })
    end
    local images = table.move(args.image, 1, #args.image, 1, {})
    images[#images + 1] = { format = flags.format == "oci-archive" and "oci" or "docker" }
    image.save(flags.output or "-", table.unpack(images))
  end,
}
