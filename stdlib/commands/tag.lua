-- tag, image tag

local command = ...
local images = command.use "images"

return {
  summary = "Give an image another name",
  words = { { name = "source", shown = "IMAGE" }, { name = "target", shown = "NAME[:TAG]" } },
  run = function(args)
    image.tag(images.find(args.source), args.target)
  end,
}
