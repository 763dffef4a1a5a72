-- ps, container ls

local command = ...
local containers = command.use "containers"
local filter = command.use "filter"
local format = command.use "format"

return {
  summary = "List containers",
  details = "Filters: " .. table.concat(containers.filters, ", ") .. ".",
  flags = {
    { long = "all", short = "a", help = "Also those that do not run" },
    filter.flag,
    format.flag(),
    { long = "last", short = "n", value = "NUMBER", type = "integer", help = "The last so many, running or not" },
    { long = "latest", short = "l", help = "The last one, running or not" },
    { long = "no-trunc", help = "Do not cut ids and commands" },
    { long = "quiet", short = "q", help = "Show ids only" },
    { long = "size", short = "s", help = "Show sizes" },
  },
  run = function(_, flags)
    local filters = filter.read(flags.filter, containers.filters)
    local last = flags.latest and 1 or flags.last
    local list = container.list { all = flags.all, last = last, filters = filters }
    local rows = {}
    for index, c in ipairs(list) do
      rows[index] = containers.row(c, flags.no_trunc, flags.size)
    end
    local columns = { "ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names" }
    if flags.size then
      columns[#columns + 1] = "Size"
    end
    format.rows(rows, {
      format = flags.format,
      headings = containers.headings,
      methods = containers.methods,
      columns = columns,
      quiet = flags.quiet and "ID" or nil,
    })
  end,
}
