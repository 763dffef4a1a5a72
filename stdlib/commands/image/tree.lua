-- image tree

local command = ...
local images = command.use "images"
local units = command.use "units"

-- Layers as a tree: images that begin with the same layers share their branch.
local function grow(list)
  local root = { children = {}, order = {} }
  for _, img in ipairs(list) do
    local node = root
    for _, layer in ipairs(img.layers) do
      local child = node.children[layer.diff_id]
      if not child then
        child = { layer = layer, children = {}, order = {}, images = {} }
        node.children[layer.diff_id] = child
        table.insert(node.order, child)
      end
      node = child
    end
    if node.images then
      table.insert(node.images, img)
    end
  end
  return root
end

local function label(node, no_trunc)
  local id = no_trunc and node.layer.diff_id or units.short(node.layer.diff_id)
  local names = {}
  for _, img in ipairs(node.images) do
    for _, name in ipairs(#img.names > 0 and img.names or { units.short(img.id) }) do
      names[#names + 1] = name
    end
  end
  local text = id .. "  " .. units.size(node.layer.size)
  return #names > 0 and text .. "  " .. table.concat(names, ", ") or text
end

local function show(node, indent, no_trunc)
  for index, child in ipairs(node.order) do
    local last = index == #node.order
    command.print(indent .. (last and "└─ " or "├─ ") .. label(child, no_trunc))
    show(child, indent .. (last and "   " or "│  "), no_trunc)
  end
end

return {
  summary = "Show which layers images share",
  words = { { name = "image", many = true, optional = true } },
  flags = { { long = "no-trunc", help = "Do not cut ids" } },
  run = function(args, flags)
    local list = {}
    for index, name in ipairs(args.image) do
      list[index] = images.find(name)
    end
    show(grow(#list > 0 and list or images.list {}), "", flags.no_trunc)
  end,
}
