-- images, image ls

local command = ...
local filter = command.use "filter"
local format = command.use "format"
local images = command.use "images"

return {
  summary = "List images",
  words = { { name = "reference", optional = true, shown = "REPOSITORY[:TAG]" } },
  details = "Filters: dangling=true|false, label=NAME[=VALUE], before=IMAGE, since=IMAGE, reference=PATTERN.",
  flags = {
    { long = "all", short = "a", help = "Show all images; none are hidden without it" },
    { long = "digests", help = "Show digests" },
    filter.flag,
    format.flag(),
    { long = "no-trunc", help = "Do not cut ids" },
    { long = "quiet", short = "q", help = "Show ids only" },
  },
  run = function(args, flags)
    local values = filter.read(flags.filter, images.filters)
    local references = values.reference
    if args.reference then
      references = { args.reference, table.unpack(references or {}) }
    end
    local rows = images.rows(images.list(values), { no_trunc = flags.no_trunc, references = references })
    if flags.quiet then
      -- An image with several names is one image.
      local seen, once = {}, {}
      for _, row in ipairs(rows) do
        if not seen[row.object.id] then
          seen[row.object.id] = true
          once[#once + 1] = row
        end
      end
      rows = once
    end
    local columns = { "Repository", "Tag", "ID", "CreatedSince", "Size" }
    if flags.digests then
      table.insert(columns, 3, "Digest")
    end
    format.rows(rows, {
      format = flags.format,
      headings = images.headings,
      columns = columns,
      quiet = flags.quiet and "ID" or nil,
    })
  end,
}
