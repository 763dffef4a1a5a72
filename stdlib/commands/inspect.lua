-- inspect

local command = ...
local format = command.use "format"
local images = command.use "images"

local FIND = {}

function FIND.container(name, flags)
  local c = container.get(name)
  if not c then
    return nil
  end
  local details = c:inspect()
  details.SizeRw = flags.size and c:size() or nil
  return { object = c, details = details }
end

function FIND.image(name)
  local named = image.get(name)
  -- Found by a name, an image tells that name only; found by its id, all.
  local img = named and image.get(named.id)
  return img and { object = img, details = images.details(img) }
end

return {
  summary = "Show all that is known of containers or images",
  words = { { name = "name", many = true } },
  flags = {
    format.flag("f"),
    { long = "size", short = "s", help = "Also the sizes of containers" },
    { long = "type", value = "TYPE", choices = { "container", "image" }, help = "Look only for things of this type" },
  },
  run = function(args, flags)
    local items = {}
    local status = command.each(args.name, function(name)
      local item
      for _, kind in ipairs { "container", "image" } do
        if not item and (not flags.type or flags.type == kind) then
          item = FIND[kind](name, flags)
        end
      end
      if not item then
        command.fail("no such " .. (flags.type or "container or image") .. " '" .. name .. "'", { kind = "not_found" })
      end
      items[#items + 1] = item
    end)
    format.details(items, flags.format)
    return status
  end,
}
