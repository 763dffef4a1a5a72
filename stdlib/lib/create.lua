-- The flags of `run` and `create`, and what they come to as options of container.run, start and create.

local command = ...

local create = {}

--- A flag's row; `more` holds what few flags have.
function create.flag(long, short, value, help, more)
  local row = { long = long, short = short, value = value, help = help }
  for key, setting in pairs(more or {}) do
    row[key] = setting
  end
  return row
end

local flag = create.flag
local MANY = { many = true }
local SIZE, INTEGER, NAME = { type = "size" }, { type = "integer" }, { type = "name" }

local process = {
  flag("annotation", nil, "NAME=VALUE", "Add an annotation to the runtime's configuration", MANY),
  flag("cidfile", nil, "FILE", "Write the container's id to a file", NAME),
  flag("domainname", nil, "NAME", "Domain name of the container"),
  flag("entrypoint", nil, "PROGRAM", "Replace the image's entry point; empty takes it away"),
  flag("env", "e", "NAME[=VALUE]", "Set a variable; without a value, this shell's", MANY),
  flag("env-file", nil, "FILE", "Read variables from a file", MANY),
  flag("group-add", nil, "GROUP", "Add a group to the user's", MANY),
  flag("hostname", "h", "NAME", "Host name of the container"),
  flag("init", nil, nil, "Run an init that passes on signals and reaps processes"),
  flag("interactive", "i", nil, "Keep standard input open"),
  flag("label", "l", "NAME[=VALUE]", "Set a label", MANY),
  flag("label-file", nil, "FILE", "Read labels from a file", MANY),
  flag("name", nil, "NAME", "Name of the container", NAME),
  flag("platform", nil, "OS/ARCH[/VARIANT]", "Platform of the image", NAME),
  flag("pull", nil, "WHEN", "When to pull the image", { choices = { "always", "missing", "never" } }),
  flag("quiet", "q", nil, "Show no progress of a pull"),
  flag("restart", nil, "POLICY", "no, on-failure[:MAX], always or unless-stopped", NAME),
  flag("rm", nil, nil, "Remove the container when it ends", { conflicts = { "restart" } }),
  flag("stop-signal", nil, "SIGNAL", "Signal that stops the container", NAME),
  flag("stop-timeout", nil, "SECONDS", "How long stopping waits before it kills", INTEGER),
  flag("tty", "t", nil, "Give it a terminal"),
  flag("user", "u", "USER[:GROUP]", "User, by name or number"),
  flag("workdir", "w", "FOLDER", "Working folder in the container"),
}

local files = {
  flag("device", nil, "HOST[:CONTAINER[:rwm]]", "Give it a device of the host", MANY),
  flag("mount", nil, "KEY=VALUE,...", "Mount something: type=bind|tmpfs|volume,source=...,target=...", MANY),
  flag("read-only", nil, nil, "Refuse writes to the root file system"),
  flag("shm-size", nil, "SIZE", "Size of /dev/shm", SIZE),
  flag("tmpfs", nil, "FOLDER[:OPTIONS]", "Mount memory on a folder", MANY),
  flag("volume", "v", "[SOURCE:]FOLDER[:OPTIONS]", "Mount a folder of the host, or one of its own", MANY),
  flag("volumes-from", nil, "CONTAINER[:ro]", "Mount what another container mounts", MANY),
}

local limits = {
  flag("blkio-weight", nil, "WEIGHT", "Weight of its block input and output, 10 to 1000", INTEGER),
  flag("blkio-weight-device", nil, "DEVICE:WEIGHT", "That weight for a device", MANY),
  flag("cpu-period", nil, "MICROSECONDS", "Period of the CPU quota", INTEGER),
  flag("cpu-quota", nil, "MICROSECONDS", "CPU time in a period", INTEGER),
  flag("cpu-shares", "c", "WEIGHT", "Weight when processors are scarce", INTEGER),
  flag("cpus", nil, "NUMBER", "Processors it may use, such as 1.5", { type = "number" }),
  flag("cpuset-cpus", nil, "LIST", "Which processors it may use, such as 0-3,6"),
  flag("cpuset-mems", nil, "LIST", "Which memory nodes it may use"),
  flag("device-read-bps", nil, "DEVICE:RATE", "Bytes a second it may read", MANY),
  flag("device-read-iops", nil, "DEVICE:RATE", "Reads a second", MANY),
  flag("device-write-bps", nil, "DEVICE:RATE", "Bytes a second it may write", MANY),
  flag("device-write-iops", nil, "DEVICE:RATE", "Writes a second", MANY),
  flag("memory", "m", "SIZE", "Memory it may use", SIZE),
  flag("memory-reservation", nil, "SIZE", "Memory it keeps when memory is short", SIZE),
  flag("memory-swap", nil, "SIZE", "Memory and swap together; -1 for any swap", { type = "size_or_unlimited" }),
  flag("memory-swappiness", nil, "NUMBER", "How readily it swaps, 0 to 100", INTEGER),
  flag("oom-kill-disable", nil, nil, "Do not kill it when memory is out"),
  flag("oom-score-adj", nil, "NUMBER", "How readily it is killed when the host's memory is out", INTEGER),
  flag("pids-limit", nil, "NUMBER", "Processes and threads it may have; -1 for any number", INTEGER),
  flag("ulimit", nil, "NAME=SOFT[:HARD]", "Set a resource limit", MANY),
}

local isolation = {
  flag("add-host", nil, "NAME:ADDRESS", "Add a name to /etc/hosts", MANY),
  flag("cap-add", nil, "NAME", "Add a capability", MANY),
  flag("cap-drop", nil, "NAME", "Take a capability away", MANY),
  flag("cgroupns", nil, "MODE", "Control group namespace", { choices = { "host", "private" } }),
  flag("device-cgroup-rule", nil, "RULE", "Allow devices, such as 'c 42:* rmw'", MANY),
  flag("dns", nil, "ADDRESS", "Name server instead of the host's", MANY),
  flag("dns-option", nil, "OPTION", "Option of /etc/resolv.conf", { many = true, aliases = { "dns-opt" } }),
  flag("dns-search", nil, "DOMAIN", "Domain to search names in", MANY),
  flag("ipc", nil, "MODE", "IPC namespace: private, shareable, host, none or container:NAME"),
  flag("network", nil, "NETWORK", "none, host or container:NAME", { type = "name", aliases = { "net" } }),
  flag("pid", nil, "MODE", "Process namespace: host or container:NAME"),
  flag("privileged", nil, nil, "Every capability and device, nothing hidden"),
  flag("security-opt", nil, "OPTION", "no-new-privileges, seccomp=FILE|unconfined, apparmor=NAME, ...", MANY),
  flag("sysctl", nil, "NAME=VALUE", "Set a kernel parameter of its namespaces", MANY),
  flag("userns", nil, "MODE", "User namespace"),
  flag("uts", nil, "MODE", "Host name namespace: host"),
}

local health = {
  flag("health-cmd", nil, "COMMAND", "Command that tells whether it works"),
  flag("health-interval", nil, "TIME", "Time between checks", { type = "duration" }),
  flag("health-start-interval", nil, "TIME", "Time between checks at first", { type = "duration" }),
  flag("health-retries", nil, "NUMBER", "Failures in a row that make it unhealthy", INTEGER),
  flag("health-start-period", nil, "TIME", "Time in which failures do not count", { type = "duration" }),
  flag("health-timeout", nil, "TIME", "How long a check may take", { type = "duration" }),
  flag("no-healthcheck", nil, nil, "Take the image's health check away", { conflicts = { "health-cmd" } }),
  flag("log-driver", nil, "DRIVER", "Where its output is kept", { choices = { "json-file", "none" } }),
  flag("log-opt", nil, "NAME=VALUE", "Option of the log: max-size, max-file, labels, env", MANY),
}

--- All flags, and those in `more`, sorted by name.
function create.flags(more)
  local all = {}
  for _, list in ipairs { process, files, limits, isolation, health, more } do
    table.move(list, 1, #list, #all + 1, all)
  end
  table.sort(all, function(left, right)
    return left.long < right.long
  end)
  return all
end

--- The arguments of `run` and `create`.
create.words = { { name = "image" }, { name = "command", many = true, optional = true, rest = "ARG" } }

-- Options that are called as the flag is.
local SAME = {
  "blkio_weight", "blkio_weight_device", "cap_add", "cap_drop", "cgroupns", "cidfile", "cpu_period", "cpu_quota",
  "cpu_shares", "cpus", "cpuset_cpus", "cpuset_mems", "device_read_bps", "device_read_iops", "device_write_bps",
  "device_write_iops", "dns", "dns_search", "domainname", "env_file", "group_add", "hostname", "init",
  "interactive", "ipc", "log_driver", "memory", "memory_reservation", "memory_swappiness", "name", "network",
  "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "privileged", "pull", "read_only",
  "restart", "security_opt", "shm_size", "stop_signal", "stop_timeout", "tmpfs", "tty", "user", "userns", "uts",
  "volumes_from", "workdir",
}

-- Those that are not.
local OTHER = {
  device = "devices", device_cgroup_rule = "device_cgroup_rules", dns_option = "dns_options", mount = "mounts",
  ulimit = "ulimits", volume = "volumes",
}

--- `NAME=VALUE` texts as a map; without `=`, the value is empty, or an error where `strict`.
function create.map(list, name, strict)
  if not list then
    return nil
  end
  local map = {}
  for _, text in ipairs(list) do
    local key, value = text:match("^([^=]+)=(.*)$")
    if not key and (strict or text == "" or text:sub(1, 1) == "=") then
      command.fail("invalid value '" .. text .. "' for '--" .. name .. "'", { hint = "write NAME=VALUE" })
    end
    map[key or text] = value or ""
  end
  return map
end

--- Variables: `NAME` alone takes this shell's value, and is left out when it has none.
function create.env(list)
  if not list then
    return nil
  end
  local env = {}
  for _, text in ipairs(list) do
    if text:find("=", 1, true) then
      if text:sub(1, 1) == "=" then
        command.fail("invalid value '" .. text .. "' for '--env'", { hint = "write NAME=VALUE" })
      end
      env[#env + 1] = text
    elseif host.env[text] then
      env[#env + 1] = text .. "=" .. host.env[text]
    end
  end
  return env
end

-- The lines of a file that are neither empty nor comments.
local function lines(path)
  local list = {}
  for line in fs.read(path):gmatch "[^\r\n]+" do
    line = line:gsub("^%s+", "")
    if line ~= "" and line:sub(1, 1) ~= "#" then
      list[#list + 1] = line
    end
  end
  return list
end

--- The lines of several files, and after them those of `list`; nil when there are none of either.
function create.with_files(files, list)
  if not files then
    return list
  end
  local all = {}
  for _, path in ipairs(files) do
    local found = lines(path)
    table.move(found, 1, #found, #all + 1, all)
  end
  return table.move(list or {}, 1, #(list or {}), #all + 1, all)
end

--- The value of --memory-swap.
function create.swap(text)
  return text == "-1" and -1 or text
end

local function hosts(list)
  if not list then
    return nil
  end
  local lines = {}
  for index, text in ipairs(list) do
    local name, address = text:match("^([^:=]+)[:=](.+)$")
    if not name then
      command.fail("invalid value '" .. text .. "' for '--add-host'", { hint = "write NAME:ADDRESS" })
    end
    lines[index] = name .. "=" .. address:gsub("^%[(.*)%]$", "%1")
  end
  return lines
end

local function check(flags)
  if flags.no_healthcheck then
    return { disable = true }
  end
  local settings = {
    cmd = flags.health_cmd,
    interval = flags.health_interval,
    retries = flags.health_retries,
    start_interval = flags.health_start_interval,
    start_period = flags.health_start_period,
    timeout = flags.health_timeout,
  }
  return next(settings) and settings or nil
end

--- The options that the flags come to.
function create.options(flags)
  if flags.quiet then
    command.quiet()
  end
  local options = {}
  for _, name in ipairs(SAME) do
    options[name] = flags[name]
  end
  for name, option in pairs(OTHER) do
    options[option] = flags[name]
  end
  options.annotations = create.map(flags.annotation, "annotation", true)
  options.env = create.env(flags.env)
  options.extra_hosts = hosts(flags.add_host)
  options.health = check(flags)
  options.labels = create.map(create.with_files(flags.label_file, flags.label), "label")
  options.memory_swap = create.swap(flags.memory_swap)
  options.rm = flags.rm or false
  options.log_opts = create.map(flags.log_opt, "log-opt", true)
  options.sysctls = create.map(flags.sysctl, "sysctl", true)
  if flags.entrypoint then
    options.entrypoint = flags.entrypoint ~= "" and { flags.entrypoint } or {}
  end
  return options
end

--- The command's words, or nil for the image's own.
function create.command(args)
  return #args.command > 0 and args.command or nil
end

--- A terminal for input must be one.
function create.check_terminal(flags)
  if flags.tty and flags.interactive and not flags.detach and not command.is_terminal "stdin" then
    command.fail("standard input is not a terminal", { hint = "leave out -t, or run it in a terminal" })
  end
end

return create
