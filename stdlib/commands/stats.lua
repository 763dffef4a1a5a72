-- stats, container stats

local command = ...
local containers = command.use "containers"
local format = command.use "format"
local units = command.use "units"

local HEADINGS = {
  Container = "CONTAINER",
  ID = "CONTAINER ID",
  Name = "NAME",
  CPUPerc = "CPU %",
  MemUsage = "MEM USAGE / LIMIT",
  MemPerc = "MEM %",
  NetIO = "NET I/O",
  BlockIO = "BLOCK I/O",
  PIDs = "PIDS",
}

local INTERVAL = 1 -- seconds between two samples

-- Figures of each container that runs, by id.
local function sample(list)
  local figures = {}
  for _, c in ipairs(list) do
    if c.status == "running" or c.status == "paused" then
      -- One that has just ended has no figures any more.
      local ok, stats = pcall(c.stats, c)
      figures[c.id] = ok and { at = command.now(), stats = stats } or nil
    end
  end
  return figures
end

local function percent(part, whole)
  return string.format("%.2f%%", whole > 0 and part / whole * 100 or 0)
end

local function fields(c, before, after, no_trunc)
  local stats = after and after.stats
  local row = {
    Container = units.short(c.id),
    ID = no_trunc and c.id or units.short(c.id),
    Name = c.name,
    CPUPerc = "0.00%",
    MemUsage = "0B / 0B",
    MemPerc = "0.00%",
    NetIO = "0B / 0B",
    BlockIO = "0B / 0B",
    PIDs = "0",
  }
  if stats then
    if before then
      row.CPUPerc = percent((stats.cpu.total_ns - before.stats.cpu.total_ns) / 1e9, after.at - before.at)
    end
    row.MemUsage = units.memory(stats.memory.usage_bytes) .. " / " .. units.memory(stats.memory.limit_bytes)
    row.MemPerc = percent(stats.memory.usage_bytes, stats.memory.limit_bytes)
    row.NetIO = units.size(stats.net_rx_bytes) .. " / " .. units.size(stats.net_tx_bytes)
    row.BlockIO = units.size(stats.blkio.read_bytes) .. " / " .. units.size(stats.blkio.write_bytes)
    row.PIDs = tostring(stats.pids.current)
  end
  return row
end

local function chosen(names, all)
  if #names == 0 then
    return container.list { all = all }
  end
  local list = {}
  for index, name in ipairs(names) do
    list[index] = containers.find(name)
  end
  return list
end

return {
  summary = "Show what containers use, as it changes",
  words = { { name = "container", many = true, optional = true } },
  flags = {
    { long = "all", short = "a", help = "Also those that do not run" },
    format.flag(),
    { long = "no-stream", help = "Show it once" },
    { long = "no-trunc", help = "Do not cut ids" },
  },
  run = function(args, flags)
    local spec = {
      format = flags.format,
      headings = HEADINGS,
      columns = { "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs" },
    }
    local screen = not flags.no_stream and not flags.format and command.is_terminal "stdout"
    local before = sample(chosen(args.container, flags.all))
    repeat
      command.wait(INTERVAL)
      local list, rows = chosen(args.container, flags.all), {}
      local after = sample(list)
      for index, c in ipairs(list) do
        rows[index] = { object = c, fields = fields(c, before[c.id], after[c.id], flags.no_trunc) }
      end
      if screen then
        command.write "\27[2J\27[H"
      end
      format.rows(rows, spec)
      command.flush()
      before = after
    until flags.no_stream
  end,
}
