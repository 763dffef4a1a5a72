-- pull, image pull

local command = ...
local units = command.use "units"

return {
  summary = "Pull an image from its registry",
  words = { { name = "name", shown = "NAME[:TAG|@DIGEST]" } },
  flags = {
    { long = "all-tags", short = "a", help = "Pull every tag of the repository" },
    { long = "platform", value = "OS/ARCH[/VARIANT]", type = "name", help = "For which machine" },
    { long = "quiet", short = "q", help = "Show no progress" },
  },
  run = function(args, flags)
    if flags.quiet then
      command.quiet()
    end
    local function pull(name)
      local img = image.pull(name, { policy = "always", platform = flags.platform })
      if not flags.quiet then
        command.print("Digest:", img.digest)
      end
      command.print(units.full_name(name))
    end
    if not flags.all_tags then
      return pull(args.name)
    end
    local repository, tag, digest = units.split_name(args.name)
    if tag or digest then
      command.fail("'" .. args.name .. "' has a tag or digest, and --all-tags pulls all of them")
    end
    local names = {}
    for index, one in ipairs(registry.tags(repository)) do
      names[index] = repository .. ":" .. one
    end
    return command.each(names, pull)
  end,
}
