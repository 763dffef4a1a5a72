-- system df

local command = ...
local format = command.use "format"
local units = command.use "units"

local HEADINGS = {
  Type = "TYPE",
  TotalCount = "TOTAL",
  Active = "ACTIVE",
  Size = "SIZE",
  Reclaimable = "RECLAIMABLE",
}

local function row(type, total, active, size, free)
  local share = size > 0 and string.format(" (%d%%)", free * 100 // size) or ""
  return {
    object = { type = type, total = total, active = active, size = size, reclaimable = free },
    fields = {
      Type = type,
      TotalCount = tostring(total),
      Active = tostring(active),
      Size = units.size(size),
      Reclaimable = units.size(free) .. share,
    },
  }
end

local function of_images(used)
  local list, active = image.list(), 0
  -- Images share layers: each counts once.
  local sizes, needed = {}, {}
  for _, img in ipairs(list) do
    active = active + (used[img.id] and 1 or 0)
    for _, layer in ipairs(img.layers) do
      sizes[layer.digest] = layer.size
      needed[layer.digest] = needed[layer.digest] or used[img.id]
    end
  end
  local size, free = 0, 0
  for digest, bytes in pairs(sizes) do
    size = size + bytes
    free = free + (needed[digest] and 0 or bytes)
  end
  return row("Images", #list, active, size, free)
end

local function of_cache()
  local list, active, size, free = cache.list(), 0, 0, 0
  for _, entry in ipairs(list) do
    active = active + (entry.in_use and 1 or 0)
    -- What an image has as well counts there.
    if not entry.shared then
      size = size + entry.size
      free = free + (entry.in_use and 0 or entry.size)
    end
  end
  return row("Build Cache", #list, active, size, free)
end

return {
  summary = "Show what takes space",
  flags = { format.flag() },
  run = function(_, flags)
    local used, active, size, free = {}, 0, 0, 0
    local list = container.list { all = true }
    for _, c in ipairs(list) do
      if c.image_id then
        used[c.image_id] = true
      end
      local status, bytes = c.status, c:size()
      size = size + bytes
      if status == "running" or status == "paused" or status == "restarting" then
        active = active + 1
      else
        free = free + bytes
      end
    end
    format.rows({ of_images(used), row("Containers", #list, active, size, free), of_cache() }, {
      format = flags.format,
      headings = HEADINGS,
      columns = { "Type", "TotalCount", "Active", "Size", "Reclaimable" },
    })
  end,
}
