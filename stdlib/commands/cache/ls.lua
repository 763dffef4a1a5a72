-- cache ls

local command = ...
local format = command.use "format"
local time = command.use "time"
local units = command.use "units"

local HEADINGS = {
  ID = "KEY",
  Kind = "KIND",
  Step = "STEP",
  Size = "SIZE",
  CreatedAt = "CREATED AT",
  LastUsedSince = "LAST USED",
  Shared = "SHARED",
  InUse = "IN USE",
}

local function fields(entry, no_trunc)
  local step = (entry.step or entry.key):gsub("%s+", " ")
  return {
    ID = no_trunc and entry.key or units.short(entry.key),
    Kind = entry.kind,
    Step = no_trunc and step or units.cut(step, 45),
    Size = units.size(entry.size),
    CreatedAt = entry.created or "",
    LastUsedSince = time.ago(time.parse(entry.last_used)),
    Shared = tostring(entry.shared),
    InUse = tostring(entry.in_use),
  }
end

return {
  summary = "List what builds remember",
  flags = {
    format.flag(),
    { long = "no-trunc", help = "Do not cut keys and steps" },
    { long = "quiet", short = "q", help = "Show keys only" },
  },
  run = function(_, flags)
    local rows = {}
    for index, entry in ipairs(cache.list()) do
      rows[index] = { object = entry, fields = fields(entry, flags.no_trunc) }
    end
    format.rows(rows, {
      format = flags.format,
      headings = HEADINGS,
      columns = { "ID", "Kind", "Size", "LastUsedSince", "Shared", "Step" },
      quiet = flags.quiet and "ID" or nil,
    })
  end,
}
