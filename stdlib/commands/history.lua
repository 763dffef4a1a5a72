-- history, image history

local command = ...
local format = command.use "format"
local images = command.use "images"
local time = command.use "time"
local units = command.use "units"

local HEADINGS = {
  ID = "IMAGE",
  CreatedSince = "CREATED",
  CreatedAt = "CREATED AT",
  CreatedBy = "CREATED BY",
  Size = "SIZE",
  Comment = "COMMENT",
}

local function fields(step, id, flags)
  local created = step.created and time.parse(step.created)
  local by = (step.created_by or ""):gsub("%s+", " ")
  local size = step.size or 0
  return {
    ID = id and (flags.no_trunc and id or units.short(id)) or "<missing>",
    CreatedSince = flags.human == false and (step.created or "N/A") or time.ago(created),
    CreatedAt = step.created or "",
    CreatedBy = flags.no_trunc and by or units.cut(by, 45),
    Size = flags.human == false and tostring(size) or units.size(size),
    Comment = step.comment or "",
  }
end

return {
  summary = "Show how an image was made",
  words = { { name = "image" } },
  flags = {
    format.flag(),
    { long = "human", short = "H", help = "Sizes and times for people; --human=false for exact ones" },
    { long = "no-trunc", help = "Do not cut ids and commands" },
    { long = "quiet", short = "q", help = "Show ids only" },
  },
  run = function(args, flags)
    local img = images.find(args.image)
    local steps, rows = img:history(), {}
    -- The newest step first; only that one is an image by itself.
    for index = #steps, 1, -1 do
      local id = index == #steps and img.id or nil
      rows[#rows + 1] = { object = steps[index], fields = fields(steps[index], id, flags) }
    end
    format.rows(rows, {
      format = flags.format,
      headings = HEADINGS,
      columns = { "ID", flags.human == false and "CreatedAt" or "CreatedSince", "CreatedBy", "Size", "Comment" },
      quiet = flags.quiet and "ID" or nil,
    })
  end,
}
