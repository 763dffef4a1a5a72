-- What each instruction does to a stage, on the public methods of State. `run` is a stage being built:
--
--   { state, scope, options, plan (of dockerfile/graph.lua), name, count, total, author, commands = {cmd set here} }

local use = ...
local api = use "dockerfile.api"
local failure = use "dockerfile.failure"
local files = use "dockerfile.files"
local history = use "dockerfile.history"
local mounts = use "dockerfile.mounts"
local heredoc = use "dockerfile.heredoc"
local ports = use "dockerfile.ports"
local shown = use "dockerfile.shown"

local steps = {}

local function expand(run, text)
  return (run.scope:expand(text, run.state))
end

local function expand_all(run, list)
  local result = {}
  for index, text in ipairs(list) do
    result[index] = expand(run, text)
  end
  return result
end

-- An entry of the history and nothing else.
local function note(run, words)
  run.state = run.state:env({}, { history = words })
end

local function expanded_pairs(run, item)
  local list = {}
  for index, pair in ipairs(item.pairs) do
    list[index] = { expand(run, pair[1]), expand(run, pair[2]) }
  end
  return list
end

function steps.ENV(run, item)
  local list = expanded_pairs(run, item)
  -- One by one: the order is kept.
  for index, pair in ipairs(list) do
    run.state = run.state:env({ [pair[1]] = pair[2] }, { history = index == #list and history.pairs("ENV", list) })
    run.scope:hide(pair[1])
  end
end

function steps.LABEL(run, item)
  local list, labels = expanded_pairs(run, item), {}
  for _, pair in ipairs(list) do
    labels[pair[1]] = pair[2]
  end
  run.state = run.state:label(labels, { history = history.pairs("LABEL", list) })
end

function steps.ARG(run, item)
  local parts = { "ARG" }
  for _, argument in ipairs(item.args) do
    local value = run.scope:declare(argument, run.state)
    parts[#parts + 1] = argument.name .. (value and "=" .. value or "")
  end
  note(run, table.concat(parts, " "))
end

function steps.CMD(run, item)
  run.commands.cmd = item.command
  run.state = run.state:cmd(item.command, { history = history.command("CMD", item.command, run.state) })
end

function steps.ENTRYPOINT(run, item)
  local set = run.commands.cmd and run.state.config.Cmd
  local words = history.command("ENTRYPOINT", item.command, run.state)
  run.state = run.state:entrypoint(item.command, { history = words })
  if set and #set > 0 then
    -- A command of this stage stays, one of the base does not.
    run.state = run.state:cmd(set, { history = false })
  end
end

function steps.EXPOSE(run, item)
  local list = {}
  for _, word in ipairs(item.ports) do
    local _, words = run.scope:expand(word, run.state)
    for _, each in ipairs(words) do
      local found = ports(each)
      table.move(found, 1, #found, #list + 1, list)
    end
  end
  run.state = run.state:expose(list, { history = history.list("EXPOSE", list) })
end

function steps.VOLUME(run, item)
  local list = expand_all(run, item.paths)
  run.state = run.state:volume(list, { history = history.list("VOLUME", list) })
end

function steps.USER(run, item)
  local user = expand(run, item.user)
  if user == "" then
    run.state = run.state:unset({ user = true }, { history = "USER " })
  else
    run.state = run.state:user(user, { history = "USER " .. user })
  end
end

-- A path after a working folder, without `.` and `..`.
local function joined(folder, path)
  local parts = {}
  for part in (path:sub(1, 1) == "/" and path or folder .. "/" .. path):gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

function steps.WORKDIR(run, item)
  local path = expand(run, item.path)
  if path == "" then
    failure.raise(("WORKDIR: '%s' is empty"):format(item.path))
  end
  local folder = joined(run.state.config.WorkingDir or "/", path)
  run.state = run.state:workdir(path, {
    create = folder ~= "/",
    label = shown.label(run, item),
    history = "WORKDIR " .. folder,
  })
end

function steps.STOPSIGNAL(run, item)
  local signal = expand(run, item.signal)
  run.state = run.state:stop_signal(signal, { history = "STOPSIGNAL " .. signal })
end

function steps.SHELL(run, item)
  run.state = run.state:shell_form(item.shell, { history = history.list("SHELL", item.shell) })
end

function steps.HEALTHCHECK(run, item)
  local words = { history = history.healthcheck(item) }
  if item.none then
    run.state = run.state:healthcheck(false, words)
    return
  end
  run.state = run.state:healthcheck({
    test = item.json and { "CMD", table.unpack(item.command) } or item.command,
    interval = item.interval,
    timeout = item.timeout,
    start_period = item.start_period,
    start_interval = item.start_interval,
    retries = item.retries,
  }, words)
end

function steps.MAINTAINER(run, item)
  run.author = item.name
  note(run, "MAINTAINER " .. item.name)
end

function steps.ONBUILD(run, item)
  run.state = run.state:on_build(item.trigger, { history = false })
end

-- The text that the shell gets: with here-documents, their lines too.
local function script(item)
  if #item.heredocs == 0 or item.json then
    return item.command
  elseif item.sole then
    local document = item.heredocs[1]
    return document.chomp and heredoc.chomped(document.content) or document.content
  end
  local lines = { item.command }
  for _, document in ipairs(item.heredocs) do
    lines[#lines + 1] = document.content .. document.name
  end
  return table.concat(lines, "\n")
end

local function mount_of(run, text)
  local mount = mounts(text, function(value)
    return expand(run, value)
  end)
  if mount.target and mount.type ~= "secret" and mount.type ~= "ssh" then
    mount.target = joined(run.state.config.WorkingDir or "/", mount.target)
    if mount.target == "/" then
      failure.raise "the root folder cannot be a mount's target"
    end
  end
  if mount.from then
    mount.from = run.plan:source(run.node, mount.from)
  elseif mount.type == "bind" then
    mount.from = run.plan:context()
  end
  return mount
end

-- Mounts, and whether secrets and agents are needed for them.
local function all_mounts(run, item)
  local list, needs = {}, {}
  for _, text in ipairs(item.flags.mount or {}) do
    local mount = mount_of(run, text)
    list[#list + 1], needs[mount.type] = mount, true
  end
  return list, needs
end

-- Proxies that were given and not declared.
local function proxies(run)
  local env = {}
  for _, name in ipairs(run.scope:proxies()) do
    env[name] = run.scope.given[name]
  end
  return next(env) and env
end

local function insecure(run, item)
  if item.flags.security ~= "insecure" then
    return nil
  end
  for _, right in ipairs(run.options.allow or {}) do
    if right == "security.insecure" then
      return true
    end
  end
  failure.raise("'--security=insecure' is not allowed", "allow it with --allow security.insecure", "permission")
end

-- Limits and surroundings of every RUN.
local SAME = {
  "memory", "memory_swap", "cpus", "cpu_shares", "cpu_quota", "cpu_period", "cpuset_cpus", "cpuset_mems", "pids_limit",
  "shm_size", "add_hosts", "ulimits",
}

function steps.RUN(run, item)
  local command, list, needs = script(item), all_mounts(run, item)
  local vector = history.vector(command, run.state)
  if item.sole and command:sub(1, 2) == "#!" then
    local path = "/dev/pipes/" .. item.heredocs[1].name:gsub("/", "_")
    table.insert(list, { type = "file", target = path, content = command, mode = "0755" })
    command, vector = { path }, { path }
  end
  local options = {
    env = run.scope:environment() or nil,
    hidden_env = proxies(run) or nil,
    network = item.flags.network or run.options.network,
    privileged = insecure(run, item),
    mounts = #list > 0 and list or nil,
    secrets = needs.secret and run.options.secrets or nil,
    ssh = needs.ssh and run.options.ssh or nil,
    cache = run.options.cache,
    label = shown.label(run, item),
    history = history.run(vector, run.scope:words(run.state)),
  }
  for _, name in ipairs(SAME) do
    options[name] = run.options[name]
  end
  run.state = run.state:run(command, options)
end

steps.COPY = files.copy
steps.ADD = files.add

--- Takes the steps of a stage.
function steps.take(run, list)
  for _, item in ipairs(list) do
    failure.at(item.place, steps[item.keyword], run, item)
  end
end

--- The folder `path` after the working folder `folder`.
steps.joined = joined

--- The default search path, which every image has.
steps.PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

--- A state with what every image has.
function steps.complete(state)
  for _, line in ipairs(state.config.Env or {}) do
    if line:sub(1, 5) == "PATH=" then
      return state
    end
  end
  return state:env({ PATH = steps.PATH }, { history = false })
end

--- An empty image.
function steps.scratch()
  return api.build.scratch():workdir("/", { history = false })
end

return steps
