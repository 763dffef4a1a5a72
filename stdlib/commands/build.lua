-- build, image build

local command = ...
local create = command.use "create"
local flag = create.flag

local MANY = { many = true }

local flags = {
  flag("add-host", nil, "NAME:ADDRESS", "Add a name to /etc/hosts", MANY),
  flag("allow", nil, "RIGHT", "Allow security.insecure", MANY),
  flag("annotation", nil, "NAME=VALUE", "Add an annotation to the image's manifest", MANY),
  flag("build-arg", nil, "NAME[=VALUE]", "Set an ARG; without a value, this shell's", MANY),
  flag("build-context", nil, "NAME=SOURCE", "Put a folder, docker-image://NAME or URL in the place of a name", MANY),
  flag("cache-from", nil, "[type=registry,ref=]NAME", "Take steps from a cache in a registry", MANY),
  flag("cache-to", nil, "[type=registry,ref=]NAME", "Put the steps into a cache in a registry", MANY),
  flag("cpu-period", nil, "MICROSECONDS", "Period of the CPU quota", { type = "integer" }),
  flag("cpu-quota", nil, "MICROSECONDS", "CPU time in a period", { type = "integer" }),
  flag("cpu-shares", "c", "WEIGHT", "Weight when processors are scarce", { type = "integer" }),
  flag("cpuset-cpus", nil, "LIST", "Which processors to use, such as 0-3,6"),
  flag("cpuset-mems", nil, "LIST", "Which memory nodes to use"),
  flag("file", "f", "FILE", "The Dockerfile; - for standard input", { type = "name" }),
  flag("iidfile", nil, "FILE", "Write the image's id to a file", { type = "name" }),
  flag("label", nil, "NAME=VALUE", "Set a label", MANY),
  flag("load", nil, nil, "Does nothing: an image is in the store when it is built", { hidden = true }),
  flag("memory", "m", "SIZE", "Memory a RUN may use", { type = "size" }),
  flag("memory-swap", nil, "SIZE", "Memory and swap together; -1 for any swap", { type = "size_or_unlimited" }),
  flag("network", nil, "NETWORK", "Network of RUN", { choices = { "default", "none", "host" }, aliases = { "net" } }),
  flag("no-cache", nil, nil, "Take every step even if its result is known"),
  flag("on-error", nil, "WHAT", "What to do when a step fails: shell opens one in its state", { choices = { "shell" } }),
  flag("output", "o", "TYPE", "Put the result there besides: type=local|tar|oci|docker,dest=FILE or a folder", MANY),
  flag("platform", nil, "OS/ARCH[/VARIANT]", "Platform to build for", { type = "name" }),
  flag("progress", nil, "MODE", "How to show progress", { choices = { "auto", "plain", "tty", "none", "quiet", "json" } }),
  flag("pull", nil, nil, "Ask the registry for newer images"),
  flag("push", nil, nil, "Push the image when it is built", { conflicts = { "output" } }),
  flag("quiet", "q", nil, "Print the image's id and nothing else"),
  flag("secret", nil, "id=ID[,src=FILE|,env=NAME]", "Give a secret to RUN --mount=type=secret", MANY),
  flag("shm-size", nil, "SIZE", "Size of /dev/shm", { type = "size" }),
  flag("squash", nil, nil, "Make one layer of this build's"),
  flag("ssh", nil, "default|ID[=SOCKET|KEY,...]", "Give an agent or keys to RUN --mount=type=ssh", MANY),
  flag("tag", "t", "NAME[:TAG]", "Name of the image", MANY),
  flag("target", nil, "STAGE", "Stage to build", { type = "name" }),
  flag("to-lua", nil, nil, "Print a Lua script that builds the same, and build nothing"),
  flag("ulimit", nil, "NAME=SOFT[:HARD]", "Set a resource limit", MANY),
}

-- Values of ARGs; without one, the environment's, and none when there is none.
local function arguments(list)
  local args = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match "^([^=]+)=(.*)$"
    if not name and (text == "" or text:sub(1, 1) == "=") then
      command.fail("invalid value '" .. text .. "' for '--build-arg'", { hint = "write NAME=VALUE", exit_code = 2 })
    end
    args[name or text] = value or host.env[text]
  end
  return args
end

local function contexts(list)
  local found = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match "^([^=]+)=(.+)$"
    if not name then
      command.fail("invalid value '" .. text .. "' for '--build-context'", { hint = "write NAME=SOURCE", exit_code = 2 })
    end
    found[name:lower()] = value
  end
  return found
end

-- What a cache may be named with; all steps of a build go there, whatever the mode.
local CACHE_KEYS = { type = true, ref = true, mode = true, ["ignore-error"] = true }

-- The fields of `type=registry,ref=NAME`, or of the name alone.
local function cache_fields(text, name)
  if not text:find("=", 1, true) then
    return { ref = text }
  end
  local fields, hint = {}, "write type=registry,ref=NAME: caches are kept in registries"
  for word in text:gmatch "[^,]+" do
    local key, value = word:match "^([^=]+)=(.*)$"
    if not key or not CACHE_KEYS[key] then
      command.fail("unexpected '" .. word .. "' in the value of '--" .. name .. "'", { hint = hint, exit_code = 2 })
    end
    fields[key] = value
  end
  if (fields.type or "registry") ~= "registry" or not fields.ref or fields.ref == "" then
    command.fail("invalid value '" .. text .. "' for '--" .. name .. "'", { hint = hint, exit_code = 2 })
  end
  return fields
end

-- The fields of all values of a flag: wrong ones are told before anything is built.
local function caches(list, name)
  local found = {}
  for index, text in ipairs(list or {}) do
    found[index] = cache_fields(text, name)
  end
  return found
end

-- Errors of a cache that is not there, or is none: the build does without.
local ABSENT = { not_found = true, network = true, timeout = true, permission = true, unsupported = true }

local function import(fields)
  local ok, err = pcall(cache.import, fields.ref)
  if ok then
    return
  elseif type(err) ~= "table" or not ABSENT[err.kind] then
    error(err, 0)
  end
  command.warning("no steps are taken from the cache " .. fields.ref .. ": " .. err.message)
end

local function export(fields)
  local ok, err = pcall(cache.export, fields.ref)
  if ok then
    return
  elseif type(err) ~= "table" or (fields["ignore-error"] ~= "true" and err.message ~= "there is no step to export") then
    error(err, 0)
  end
  command.warning("nothing is put into the cache " .. fields.ref .. ": " .. err.message)
end

local function output(flags)
  return flags.push and { "type=registry" } or flags.output
end

-- Whether an output goes to where the image's id would be printed.
local function to_standard_output(list)
  for _, text in ipairs(list or {}) do
    if text == "-" or text:find "dest=%-$" or text:find "dest=%-," then
      return true
    end
  end
  return false
end

-- `NAME=ADDRESS` is accepted too.
local function hosts(list)
  local lines = {}
  for index, text in ipairs(list or {}) do
    lines[index] = text:gsub("^([^:=]+)=", "%1:")
  end
  return list and lines
end

local function options_of(args, flags)
  return {
    context = args.context or ".",
    file = flags.file,
    target = flags.target,
    args = arguments(flags.build_arg),
    contexts = contexts(flags.build_context),
    platform = flags.platform,
    pull = flags.pull,
    secrets = flags.secret,
    ssh = flags.ssh,
    network = flags.network,
    allow = flags.allow,
    add_hosts = hosts(flags.add_host),
    ulimits = flags.ulimit,
    memory = flags.memory,
    memory_swap = create.swap(flags.memory_swap),
    cpu_period = flags.cpu_period,
    cpu_quota = flags.cpu_quota,
    cpu_shares = flags.cpu_shares,
    cpuset_cpus = flags.cpuset_cpus,
    cpuset_mems = flags.cpuset_mems,
    shm_size = flags.shm_size,
    tags = flags.tag,
    labels = create.map(flags.label, "label"),
    annotations = create.map(flags.annotation, "annotation", true),
    squash = flags.squash,
    output = output(flags),
  }
end

local SECRET_KEYS = { id = true, src = true, source = true, env = true, type = true }

-- Wrong words are told before anything is built, and when no step needs them, too.
local function check_words(flags)
  for _, text in ipairs(flags.secret or {}) do
    local fields = {}
    for word in text:gmatch "[^,]+" do
      local key, value = word:match "^([^=]+)=(.+)$"
      fields[SECRET_KEYS[key or ""] and key or "?"] = value or word
    end
    if fields["?"] or not fields.id then
      local hint = "write id=ID, id=ID,src=FILE or id=ID,env=NAME"
      command.fail("invalid value '" .. text .. "' for '--secret'", { hint = hint, exit_code = 2 })
    end
  end
  for name, pattern in pairs { ssh = "^[^=]+", ulimit = "^[%l]+=.", add_host = "^[^:=]+[:=]." } do
    for _, text in ipairs(flags[name] or {}) do
      if not text:find(pattern) then
        command.fail("invalid value '" .. text .. "' for '--" .. name:gsub("_", "-") .. "'", { exit_code = 2 })
      end
    end
  end
end

-- The Lua script for --to-lua.
local function script(options)
  local more = {}
  for _, name in ipairs { "context", "target", "args", "contexts", "secrets", "ssh", "network", "tags", "labels", "squash" } do
    more[name] = options[name]
  end
  return dockerfile.to_lua(options.file or options.context:gsub("/+$", "") .. "/Dockerfile", more)
end

-- Builds; where a step fails and a terminal is there, the user may look around.
local function build_it(options, flags)
  local ok, result = pcall(build.dockerfile, options)
  if ok then
    return result
  end
  local state = type(result) == "table" and rawget(result, "state")
  if flags.on_error == "shell" and state then
    if command.is_terminal "stdin" and command.is_terminal "stdout" then
      command.report(result)
      state:shell {}
      return nil
    end
    command.warning "--on-error shell opens no shell: standard input and output are no terminal"
  end
  if type(result) == "table" then
    -- The status is the build's, not the program's that failed in it.
    result.exit_code = 1
  end
  error(result, 0)
end

local function run(args, flags)
  if flags.quiet or flags.progress == "quiet" or flags.progress == "none" then
    command.quiet()
  elseif flags.progress then
    command.show_progress(flags.progress)
  end
  check_words(flags)
  local options = options_of(args, flags)
  if flags.no_cache then
    options.cache = false
  end
  if options.context == "-" and options.file == "-" then
    command.fail("standard input cannot be both the context and the Dockerfile", { exit_code = 2 })
  end
  if flags.to_lua then
    command.write(script(options))
    return 0
  end
  local from, to = caches(flags.cache_from, "cache-from"), caches(flags.cache_to, "cache-to")
  for _, fields in ipairs(from) do
    import(fields)
  end
  local img = build_it(options, flags)
  if not img then
    return 1
  end
  for _, fields in ipairs(to) do
    export(fields)
  end
  if flags.iidfile then
    fs.write(flags.iidfile, img.id)
  end
  if not to_standard_output(options.output) then
    command.print(img.id)
  end
  return 0
end

return {
  summary = "Build an image from a Dockerfile",
  details = "The context is a folder, a tar file, a URL of one, of a Dockerfile or of a git repository "
    .. "(`URL#REF:FOLDER`), or - for a tar or a Dockerfile on standard input.",
  words = { { name = "context", shown = "CONTEXT", optional = true } },
  flags = flags,
  run = run,
}
