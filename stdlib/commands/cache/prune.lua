-- cache prune, builder prune

local command = ...
local units = command.use "units"

return {
  summary = "Remove what builds remember",
  details = "What builds that run now stand on stays, and so do the layers of images and containers.",
  flags = {
    { long = "all", short = "a", help = "Also the steps whose layers images have" },
    { long = "force", short = "f", help = "Do not ask" },
    { long = "keep", value = "SIZE", type = "size", help = "Keep this much of what was used last" },
    { long = "keep-storage", value = "SIZE", type = "size", help = "The same as --keep" },
    { long = "older", value = "TIME", type = "duration", help = "Only what was not used for this long, such as 7d" },
    { long = "filter", value = "until=TIME", many = true, help = "until=TIME is the same as --older=TIME" },
  },
  run = function(_, flags)
    local older = flags.older
    for _, filter in ipairs(flags.filter or {}) do
      local name, value = filter:match "^([^=]+)=(.+)$"
      if name ~= "until" then
        command.fail("unknown filter '" .. filter .. "'", { hint = "write until=24h" })
      end
      older = command.seconds(value)
    end
    local what = flags.all and "all that builds remember" or "all that builds remember and no image uses"
    if older or flags.keep or flags.keep_storage then
      what = "what builds remember and have not used lately"
    end
    if not flags.force and not command.use "ask"("This removes " .. what .. ".") then
      return 0
    end
    local gone = cache.prune { keep = flags.keep or flags.keep_storage, older = older, all = flags.all }
    command.print("Removed steps:", gone.steps)
    command.print("Total reclaimed space:", units.size(gone.bytes))
  end,
}
