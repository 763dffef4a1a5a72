-- top, container top

local command = ...
local containers = command.use "containers"

local function clock(seconds)
  return string.format("%02d:%02d:%02d", seconds // 3600, seconds // 60 % 60, seconds % 60)
end

-- The hour for today, else the day.
local function began(seconds)
  local today = os.date("%F", seconds) == os.date "%F"
  return os.date(today and "%H:%M" or "%b%d", seconds)
end

local COLUMNS = {}

local function column(names, title, get)
  for _, name in ipairs(names) do
    COLUMNS[name] = { title = title, get = get }
  end
end

-- The names and headings of ps(1).
column({ "uid" }, "UID", function(p)
  return p.uid
end)
column({ "user", "euser" }, "USER", function(p)
  return p.uid
end)
column({ "pid" }, "PID", function(p)
  return p.pid
end)
column({ "ppid" }, "PPID", function(p)
  return p.ppid
end)
column({ "c" }, "C", function(p)
  return p.cpu_seconds * 100 // math.max(os.time() - p.started, 1)
end)
column({ "stime", "start" }, "STIME", function(p)
  return began(p.started)
end)
column({ "tty", "tname" }, "TTY", function(p)
  return p.tty
end)
column({ "time", "cputime" }, "TIME", function(p)
  return clock(p.cpu_seconds)
end)
column({ "s", "state", "stat" }, "S", function(p)
  return p.state
end)
column({ "rss" }, "RSS", function(p)
  return p.rss_bytes // 1024
end)
column({ "cmd", "command", "args" }, "CMD", function(p)
  return p.command
end)

-- The columns of `-o pid,cmd`, `-eo pid,cmd`, `-o pid -o cmd`; the full ones of `-ef` otherwise.
local function chosen(options)
  local text, names = " " .. table.concat(options, " "), {}
  for list in text:gmatch " %-?%a*o[ =]?([%w,]+)" do
    for name in list:gmatch "[^,]+" do
      names[#names + 1] = name
    end
  end
  if #names == 0 then
    names = { "uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd" }
  end
  return names
end

return {
  summary = "Show the processes of a container",
  details = "PS_OPTIONS are those of ps that choose columns, such as `-o pid,user,cmd`.",
  words = { { name = "container" }, { name = "options", many = true, optional = true, shown = "PS_OPTIONS" } },
  flags_first = true,
  run = function(args)
    local titles, columns, rows = {}, {}, {}
    for index, name in ipairs(chosen(args.options)) do
      columns[index] = COLUMNS[name]
      if not columns[index] then
        local known = {}
        for other in pairs(COLUMNS) do
          known[#known + 1] = other
        end
        table.sort(known)
        command.fail("unknown column '" .. name .. "'", { hint = "columns: " .. table.concat(known, ", ") })
      end
      titles[index] = columns[index].title
    end
    for index, process in ipairs(containers.find(args.container):top()) do
      rows[index] = {}
      for place, one in ipairs(columns) do
        rows[index][place] = tostring(one.get(process))
      end
    end
    command.print(command.grid(titles, rows))
  end,
}
