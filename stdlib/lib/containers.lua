-- What commands about containers share: finding one, its row in a list, its status in words.

local command = ...
local time = command.use "time"
local units = command.use "units"

local containers = {}

containers.filters = {
  "ancestor", "before", "exited", "health", "id", "label", "name", "network", "since", "status", "volume",
}

--- The argument of commands that take one container, and of those that take several.
containers.one = { { name = "container" } }
containers.many = { { name = "container", many = true } }

--- The container of that name or id, or an error.
function containers.find(name)
  local c = container.get(name)
  if not c then
    command.fail("no such container '" .. name .. "'", { kind = "not_found" })
  end
  return c
end

--- Calls `act` with each container in turn and prints the name it was given by.
function containers.each(names, act)
  return command.each(names, function(name)
    act(containers.find(name))
    command.print(name)
  end)
end

--- The same for things that take time: all at once.
function containers.all(names, act)
  return command.all(names, function(name)
    act(containers.find(name))
    return name
  end)
end

local function up(c)
  local text = "Up " .. time.span(math.max(command.now() - (c.started or command.now()), 0))
  if c.status == "paused" then
    return text .. " (Paused)"
  elseif c.health == "starting" then
    return text .. " (health: starting)"
  elseif c.health and c.health ~= "" and c.health ~= "none" then
    return text .. " (" .. c.health .. ")"
  end
  return text
end

--- A container's status in words: "Up 2 hours", "Exited (0) 3 minutes ago".
function containers.status(c)
  local status = c.status
  if status == "running" or status == "paused" then
    return up(c)
  elseif status == "restarting" then
    return "Restarting (" .. (c.exit_code or 0) .. ") " .. time.ago(c.finished)
  elseif status == "exited" then
    return "Exited (" .. (c.exit_code or 0) .. ") " .. time.ago(c.finished)
  elseif status == "removing" then
    return "Removal In Progress"
  end
  return status:sub(1, 1):upper() .. status:sub(2)
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    local names = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }
    return names[c] or c:find("%c") and string.format("\\x%02x", c:byte()) or "\\" .. c
  end) .. '"'
end

local function labels(c)
  local list = {}
  for name, value in pairs(c.labels) do
    list[#list + 1] = name .. "=" .. value
  end
  table.sort(list)
  return table.concat(list, ",")
end

local function mounts(c, no_trunc)
  local list = {}
  for index, target in ipairs(c.mounts) do
    list[index] = no_trunc and target or units.cut(target, 15)
  end
  return table.concat(list, ",")
end

containers.headings = {
  ID = "CONTAINER ID",
  Image = "IMAGE",
  Command = "COMMAND",
  CreatedAt = "CREATED AT",
  RunningFor = "CREATED",
  Ports = "PORTS",
  State = "STATE",
  Status = "STATUS",
  Size = "SIZE",
  Names = "NAMES",
  Labels = "LABELS",
  Mounts = "MOUNTS",
  Networks = "NETWORKS",
}

containers.methods = { "Label" }

local getters = {}

function getters.ID(c, no_trunc)
  return no_trunc and c.id or units.short(c.id)
end

function getters.Image(c)
  return c.image
end

function getters.Command(c, no_trunc)
  return quoted(no_trunc and c.command or units.cut(c.command, 20))
end

function getters.CreatedAt(c)
  return time.created_at(c.created)
end

function getters.RunningFor(c)
  return time.ago(c.created)
end

-- Without bridges nothing is published.
function getters.Ports()
  return ""
end

function getters.State(c)
  return c.status
end

getters.Status = containers.status

function getters.Size(c)
  local written, all = c:size()
  return units.size(written) .. " (virtual " .. units.size(all) .. ")"
end

function getters.Names(c)
  return c.name
end

getters.Labels, getters.Mounts = labels, mounts

function getters.Networks(c)
  return c.network_mode
end

function getters.Label(c)
  return function(name)
    return c.labels[name] or ""
  end
end

--- The row of a container. Fields are worked out when they are asked for, its size only by name or with `sized`.
function containers.row(c, no_trunc, sized)
  local fields = setmetatable({}, {
    __index = function(_, name)
      return getters[name] and getters[name](c, no_trunc)
    end,
    __pairs = function()
      local all = {}
      for name, get in pairs(getters) do
        all[name] = name == "Size" and not sized and "0B" or get(c, no_trunc)
      end
      return pairs(all)
    end,
  })
  return { object = c, fields = fields }
end

--- The flags of commands that stop containers.
containers.stopping = {
  { long = "signal", short = "s", value = "SIGNAL", type = "name", help = "Signal to send" },
  {
    long = "time",
    short = "t",
    value = "SECONDS",
    type = "integer",
    aliases = { "timeout" },
    help = "How long to wait before killing; -1 for ever",
  },
}

return containers
