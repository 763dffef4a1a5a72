-- push, image push

local command = ...
local images = command.use "images"
local units = command.use "units"

return {
  summary = "Push an image to a registry",
  words = { { name = "name", shown = "NAME[:TAG]" } },
  flags = {
    { long = "all-tags", short = "a", help = "Push every tag of the repository" },
    { long = "quiet", short = "q", help = "Show no progress" },
  },
  run = function(args, flags)
    if flags.quiet then
      command.quiet()
    end
    local function push(name)
      local digest = image.push(images.find(name), { to = name })
      local _, tag = units.split_name(name)
      command.print(flags.quiet and name or (tag or "latest") .. ": digest: " .. digest)
    end
    if not flags.all_tags then
      return push(args.name)
    end
    local repository, tag = units.split_name(args.name)
    if tag then
      command.fail("'" .. args.name .. "' has a tag, and --all-tags pushes all of them")
    end
    local names = {}
    for _, img in ipairs(image.list()) do
      for _, name in ipairs(img.names) do
        if units.split_name(name) == repository then
          names[#names + 1] = name
        end
      end
    end
    if #names == 0 then
      command.fail("no image is named '" .. repository .. ":...'", { kind = "not_found" })
    end
    table.sort(names)
    return command.each(names, push)
  end,
}
