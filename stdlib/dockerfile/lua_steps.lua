-- What `to_lua` writes for each instruction: a call of a State method. `out` is a stage being written:
--
--   out:call(method, arguments...)   a step; nil arguments at the end are left out
--   out:layer(calls)                 several steps in one layer, each {method, arguments...}
--   out:word(text)                   the expression for a word with variables
--   out:source(name, by_index)       the expression for what COPY --from or a mount names

local use = ...
local failure = use "dockerfile.failure"
local heredoc = use "dockerfile.heredoc"
local modes = use "dockerfile.modes"
local mounts = use "dockerfile.mounts"
local ports = use "dockerfile.ports"
local text = use "dockerfile.lua_text"

local write = {}

local function quoted(list)
  local result = {}
  for index, word in ipairs(list) do
    result[index] = text.quote(word)
  end
  return result
end

-- A command: a line, or a list.
local function command(item)
  if type(item.command) == "table" then
    return text.list(quoted(item.command))
  end
  return text.command(item.command)
end

local function words(out, list)
  local result = {}
  for index, word in ipairs(list) do
    result[index] = out:word(word)
  end
  return result
end

local function pairs_of(out, item)
  local list = {}
  for index, pair in ipairs(item.pairs) do
    local computed = pair[1]:find("$", 1, true) ~= nil
    local name = out:word(pair[1])
    list[index] = { computed and name or name:sub(2, -2), out:word(pair[2]), computed = computed }
  end
  return list
end

function write.ENV(out, item)
  local list = pairs_of(out, item)
  for _, pair in ipairs(list) do
    if not pair.computed then
      pair[2] = out:constant(pair[1], pair[2])
    end
  end
  for _, pair in ipairs(list) do
    out:call("env", text.map { pair })
  end
end

function write.LABEL(out, item)
  out:call("label", text.map(pairs_of(out, item)))
end

function write.ARG(out, item)
  for _, argument in ipairs(item.args) do
    out:declare(argument)
  end
end

function write.CMD(out, item)
  out.cmd = command(item)
  out:call("cmd", out.cmd)
end

function write.ENTRYPOINT(out, item)
  out:call("entrypoint", command(item))
  if out.cmd then
    out:call("cmd", out.cmd)
  end
end

function write.EXPOSE(out, item)
  local list = {}
  for _, word in ipairs(item.ports) do
    if word:find("$", 1, true) then
      list[#list + 1] = out:word(word)
    else
      table.move(quoted(ports(word)), 1, 65536, #list + 1, list)
    end
  end
  out:call("expose", text.list(list, true))
end

function write.VOLUME(out, item)
  out:call("volume", text.list(words(out, item.paths), true))
end

function write.USER(out, item)
  out:call("user", out:word(item.user))
end

function write.WORKDIR(out, item)
  out:call("workdir", out:word(item.path), item.path ~= "/" and "{ create = true }" or nil)
end

function write.STOPSIGNAL(out, item)
  out:call("stop_signal", out:word(item.signal))
end

function write.SHELL(out, item)
  out:call("shell_form", text.list(quoted(item.shell)))
end

function write.HEALTHCHECK(out, item)
  if item.none then
    out:call("healthcheck", "false")
    return
  end
  local test = item.json and text.list { '"CMD"', table.unpack(quoted(item.command)) } or text.quote(item.command)
  local list = { { "test", test } }
  for _, name in ipairs { "interval", "timeout", "start_period", "start_interval", "retries" } do
    list[#list + 1] = { name, item[name] and ("%.14g"):format(item[name]) }
  end
  out:call("healthcheck", text.map(list))
end

function write.MAINTAINER(out, item)
  out.author = item.name
end

function write.ONBUILD(out, item)
  out:call("on_build", text.quote(item.trigger))
end

-- The expression of a mount, and its type.
local function mount(out, value)
  local expressions = {}
  local parsed = mounts(value, function(word)
    if word:find("$", 1, true) then
      -- Read again below, as an expression; what is checked is that the rest is right.
      expressions[#expressions + 1] = out:word(word)
      return "\1" .. #expressions
    end
    return word
  end)
  local list = {}
  for _, name in ipairs { "type", "from", "source", "target", "id", "sharing", "rw", "required", "size", "mode", "uid",
    "gid", "env" } do
    local field = parsed[name]
    local number = type(field) == "string" and field:match "^\1(%d+)$"
    if name == "from" then
      field = field and out:source(field) or (parsed.type == "bind" and out:context()) or nil
    elseif number then
      field = expressions[tonumber(number)]
    elseif type(field) == "string" then
      field = text.quote(field)
    elseif field ~= nil then
      field = tostring(field)
    end
    list[#list + 1] = { name, field }
  end
  return text.map(list), parsed.type
end

function write.RUN(out, item)
  local list, types = {}, {}
  for _, value in ipairs(item.flags.mount or {}) do
    local expression, kind = mount(out, value)
    list[#list + 1], types[kind] = expression, true
  end
  local line = command(item)
  if item.sole then
    local document = item.heredocs[1]
    local content = document.chomp and heredoc.chomped(document.content) or document.content
    line = text.command(content)
    if content:sub(1, 2) == "#!" then
      local path = text.quote("/dev/pipes/" .. document.name:gsub("/", "_"))
      list[#list + 1] = text.map {
        { "type", '"file"' }, { "target", path }, { "mode", '"0755"' }, { "content", line },
      }
      line = text.list { path }
    end
  elseif #item.heredocs > 0 then
    local parts = { item.command }
    for _, document in ipairs(item.heredocs) do
      parts[#parts + 1] = document.content .. document.name
    end
    line = text.command(table.concat(parts, "\n"))
  end
  local network = item.flags.network or out.script.network
  out:call("run", line, text.map {
    { "env", out:environment() },
    { "network", network and text.quote(network) },
    { "privileged", item.flags.security == "insecure" and "true" or nil },
    { "mounts", #list > 0 and text.list(list) or nil },
    { "secrets", types.secret and out:needed "secrets" or nil },
    { "ssh", types.ssh and out:needed "ssh" or nil },
  })
end

local FILE_MODE = 0x1a4 -- 0644

local function document_call(out, item, document)
  local target = item.target
  if target:sub(-1) == "/" or target == "." or target == ".." then
    target = target:gsub("/*$", "") .. "/" .. document.name
  end
  local content = document.expand and out:word(document.content, { skip_quotes = true, escape = "\\" })
    or text.quote(document.content)
  local mode = item.flags.chmod and not item.flags.chmod:find("$", 1, true) and modes.apply(item.flags.chmod, FILE_MODE)
  return { "write", out:word(target), content, text.map {
    { "mode", mode and text.quote(mode) or nil },
    { "chown", item.flags.chown and out:word(item.flags.chown) },
  } }
end

local function transfer_call(out, item, method, from)
  local flags = item.flags
  return { method, text.list(words(out, item.sources), true), out:word(item.target), text.map {
    { "from", from },
    { "exclude", flags.exclude and text.list(quoted(flags.exclude)) },
    { "chown", flags.chown and out:word(flags.chown) },
    { "chmod", flags.chmod and out:word(flags.chmod) },
    { "parents", flags.parents and "true" or nil },
    { "link", flags.link and "true" or nil },
    { "unpack", flags.unpack ~= nil and tostring(flags.unpack) or nil },
    { "checksum", flags.checksum and out:word(flags.checksum) },
    { "keep_git_dir", flags.keep_git_dir and "true" or nil },
  } }
end

local function copy(out, item, method)
  local calls = {}
  if #item.sources > 0 then
    local from = item.flags.from and out:source(item.flags.from, true) or out:context()
    calls[1] = transfer_call(out, item, method, from)
  end
  for _, document in ipairs(item.contents) do
    calls[#calls + 1] = document_call(out, item, document)
  end
  if #calls == 1 then
    out:call(table.unpack(calls[1]))
  else
    out:layer(calls)
  end
end

function write.COPY(out, item)
  copy(out, item, "copy")
end

function write.ADD(out, item)
  copy(out, item, "add")
end

--- Writes an instruction.
return function(out, item)
  failure.at(item.place, write[item.keyword], out, item)
end
