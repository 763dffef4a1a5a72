-- What each instruction may say: its flags and its arguments. A function per instruction reads `item` (keyword,
-- flags, rest, heredocs) and puts what it found into it.

local use = ...
local failure = use "dockerfile.failure"
local heredoc = use "dockerfile.heredoc"
local mounts = use "dockerfile.mounts"
local words = use "dockerfile.words"

local instructions = {}

--- All keywords.
instructions.NAMES = {
  "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
  "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}

local TEXT, TRUTH, MANY = "text", "truth", "many"

local FLAGS = {
  ADD = {
    chown = TEXT, chmod = TEXT, link = TRUTH, ["keep-git-dir"] = TRUTH, checksum = TEXT, unpack = TRUTH, exclude = MANY,
  },
  COPY = { chown = TEXT, chmod = TEXT, from = TEXT, link = TRUTH, parents = TRUTH, exclude = MANY },
  FROM = { platform = TEXT },
  HEALTHCHECK = {
    interval = TEXT, timeout = TEXT, ["start-period"] = TEXT, ["start-interval"] = TEXT, retries = TEXT,
  },
  RUN = { mount = MANY, network = TEXT, security = TEXT },
}

local function truth(name, value)
  if value == nil then
    return true
  end
  local word = value:lower()
  if word ~= "true" and word ~= "false" then
    failure.raise(("flag '--%s' must be true or false, not '%s'"):format(name, value))
  end
  return word == "true"
end

-- The flags as a table by name, with underscores for dashes.
local function read_flags(item)
  local known, result, names = FLAGS[item.keyword] or {}, {}, {}
  for name in pairs(known) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, flag in ipairs(item.flags) do
    local name, value = flag.name, flag.value
    local kind, key = known[name], name:gsub("-", "_")
    if not kind then
      failure.unknown(("%s has no flag '--%s'"):format(item.keyword, name), name, names, "--")
    elseif kind ~= TRUTH and value == nil then
      failure.raise(("flag '--%s' needs a value"):format(name), ("write --%s=VALUE"):format(name))
    elseif kind == MANY then
      result[key] = result[key] or {}
      table.insert(result[key], value)
    elseif result[key] ~= nil then
      failure.raise(("flag '--%s' is there twice"):format(name))
    else
      result[key] = kind == TRUTH and truth(name, value) or value
      if kind == TRUTH then
        result[key] = truth(name, value)
      end
    end
  end
  return result
end

local function one_argument(item)
  if item.rest == "" then
    failure.raise(item.keyword .. " needs an argument")
  end
  return item.rest
end

local read = {}

-- ADD and COPY
local function read_sources(item)
  local list = words.json(item.rest)
  item.json = list ~= nil
  list = list or words.split(item.rest)
  if #list < 2 then
    local what = #list == 0 and "needs a source and a target" or "needs a target"
    failure.raise(item.keyword .. " " .. what, ("write %s SOURCE... TARGET"):format(item.keyword))
  end
  item.target = table.remove(list)
  if heredoc.of_word(item.target) then
    failure.raise(item.keyword .. " cannot have a here-document as its target")
  end
  local contents = {}
  for _, document in ipairs(item.heredocs) do
    contents[document.name] = document
  end
  item.sources, item.contents = {}, {}
  for _, word in ipairs(list) do
    local document = not item.json and heredoc.of_word(word)
    if document then
      document = contents[document.name]
      local content = document.chomp and heredoc.chomped(document.content) or document.content
      table.insert(item.contents, { name = document.name, content = content, expand = document.expand })
    else
      table.insert(item.sources, word)
    end
  end
end

function read.COPY(item)
  read_sources(item)
  local from = item.flags.from
  if from and from:find("$", 1, true) then
    failure.raise("COPY --from takes no variables", "name a stage for it: FROM IMAGE AS name")
  end
end

read.ADD = read_sources

function read.ARG(item)
  local list = words.quoted(item.rest, item.escape)
  if #list == 0 then
    failure.raise "ARG needs at least one argument"
  end
  item.args = {}
  for index, word in ipairs(list) do
    local name, value = word:match "^(.-)=(.*)$"
    if name == "" then
      failure.raise(("ARG: the name in '%s' is empty"):format(word))
    end
    item.args[index] = { name = name or word, value = value }
  end
end

function read.ENV(item)
  item.pairs = words.pairs(item.rest, "ENV", item.escape)
end

function read.LABEL(item)
  item.pairs = words.pairs(item.rest, "LABEL", item.escape)
end

-- A command: a list in JSON form or a line for the shell.
local function read_command(item, text)
  local list = words.json(text)
  item.json = list ~= nil
  item.command = list or text
end

function read.CMD(item)
  read_command(item, item.rest)
end

function read.ENTRYPOINT(item)
  read_command(item, item.rest)
end

local NETWORKS, SECURITY = { "default", "none", "host" }, { "sandbox", "insecure" }

local function choice(item, name, list)
  local word = item.flags[name]
  for _, each in ipairs(list) do
    if word == nil or word == each then
      return
    end
  end
  failure.unknown(("invalid value '%s' for '--%s': expected %s"):format(word, name, table.concat(list, ", ")), word, list)
end

function read.RUN(item)
  read_command(item, item.rest)
  if item.rest == "" or (item.json and #item.command == 0) then
    failure.raise "RUN needs a command"
  end
  choice(item, "network", NETWORKS)
  choice(item, "security", SECURITY)
  for _, text in ipairs(item.flags.mount or {}) do
    local from = text:match "^from=([^,]*)" or text:match ",from=([^,]*)"
    if from and from:find "%$." then
      failure.raise("'from' of a mount takes no variables", "name a stage for it: FROM IMAGE AS name")
    end
    -- With variables it is read when their values are known.
    if not text:find("$", 1, true) then
      mounts(text, function(value)
        return value
      end)
    end
  end
  if #item.heredocs > 0 and not item.json then
    item.sole = heredoc.of_word(item.rest) ~= nil
  end
end

function read.EXPOSE(item)
  item.ports = words.split(item.rest)
  if #item.ports == 0 then
    failure.raise "EXPOSE needs at least one port"
  end
end

function read.FROM(item)
  local list = words.split(item.rest)
  if #list == 3 and list[2]:lower() == "as" then
    item.name = list[3]:lower()
    if not item.name:find "^[a-z][a-z0-9_.-]*$" then
      local hint = "it begins with a letter, and has letters, digits, '-', '_' and '.'"
      failure.raise(("invalid stage name '%s'"):format(list[3]), hint)
    end
  elseif #list ~= 1 then
    failure.raise("FROM takes an image, or an image AS a name", "write FROM IMAGE [AS NAME]")
  end
  item.base = list[1]
end

local DURATION_UNITS = { ns = true, us = true, ["µs"] = true, ms = true, s = true, m = true, h = true }

-- A time span such as 1m30s, as Go writes it; nil for none and 0.
local function duration(item, name)
  local text = item.flags[name]
  if not text or text == "" or text == "0" then
    return nil
  end
  local shown, at, total = name:gsub("_", "-"), 1, 0
  while at <= #text do
    local value, unit = text:match("^(%d*%.?%d*)([^%d.]+)", at)
    if not value or not tonumber(value) or not DURATION_UNITS[unit] then
      failure.raise(("invalid time '%s' for '--%s'"):format(text, shown), "write a number and a unit, such as 30s or 1m30s")
    end
    local seconds = { ns = 1e-9, us = 1e-6, ["µs"] = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600 }
    total = total + tonumber(value) * seconds[unit]
    at = at + #value + #unit
  end
  if total == 0 then
    return nil
  elseif total < 0.001 then
    failure.raise(("'--%s' must be at least 1ms, not '%s'"):format(shown, text))
  end
  return total
end

function read.HEALTHCHECK(item)
  local kind, rest = words.first(item.rest)
  kind = kind:upper()
  if kind == "NONE" then
    if rest ~= "" then
      failure.raise "HEALTHCHECK NONE takes no arguments"
    end
    item.none = true
    return
  elseif kind ~= "CMD" then
    local what = kind == "" and "needs CMD or NONE" or ("does not know '%s'"):format(kind)
    failure.raise("HEALTHCHECK " .. what, "write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE")
  end
  read_command(item, rest)
  if rest == "" or (item.json and #item.command == 0) then
    failure.raise "HEALTHCHECK CMD needs a command"
  end
  for _, name in ipairs { "interval", "timeout", "start_period", "start_interval" } do
    item[name] = duration(item, name)
  end
  local retries = item.flags.retries
  if retries and retries ~= "" then
    item.retries = retries:find "^%d+$" and math.tointeger(tonumber(retries))
    if not item.retries then
      failure.raise(("invalid number '%s' for '--retries'"):format(retries))
    end
  end
end

function read.MAINTAINER(item)
  item.name = one_argument(item)
end

function read.SHELL(item)
  local list = words.json(item.rest)
  if not list or #list == 0 then
    failure.raise("SHELL needs a list in JSON form", 'write SHELL ["/bin/bash", "-c"]')
  end
  item.shell = list
end

function read.STOPSIGNAL(item)
  item.signal = one_argument(item)
end

function read.USER(item)
  item.user = one_argument(item)
end

function read.VOLUME(item)
  item.paths = words.json(item.rest) or words.split(item.rest)
  if #item.paths == 0 then
    failure.raise "VOLUME needs at least one path"
  end
  for index, path in ipairs(item.paths) do
    item.paths[index] = words.trim(path)
    if item.paths[index] == "" then
      failure.raise "VOLUME: a path is empty"
    end
  end
end

function read.WORKDIR(item)
  item.path = one_argument(item)
end

--- Splits the text of an instruction into keyword, flags and rest.
function instructions.split(text, escape)
  local keyword, rest = words.first(words.trim(text))
  local upper = keyword:upper()
  local flags
  flags, rest = words.flags(rest, escape)
  return { keyword = upper, written = keyword, flags = flags, rest = rest, escape = escape, heredocs = {} }
end

--- Whether here-documents may follow the instruction.
function instructions.may_have_documents(item)
  if item.keyword == "ONBUILD" then
    local inner = instructions.split(item.rest, item.escape)
    return inner.keyword ~= "ONBUILD" and instructions.may_have_documents(inner)
  end
  local takes = item.keyword == "RUN" or item.keyword == "COPY" or item.keyword == "ADD"
  return takes and not words.json(item.rest)
end

local NO_TRIGGER = { ONBUILD = true, FROM = true, MAINTAINER = true }

function read.ONBUILD(item)
  if item.rest == "" then
    failure.raise "ONBUILD needs an instruction"
  end
  local inner = instructions.split(item.rest, item.escape)
  if NO_TRIGGER[inner.keyword] then
    failure.raise(inner.keyword .. " cannot be a trigger of ONBUILD")
  end
  inner.heredocs = item.heredocs
  instructions.read(inner)
  local lines = { item.rest }
  for _, document in ipairs(item.heredocs) do
    lines[#lines + 1] = document.content .. document.name
  end
  item.trigger = table.concat(lines, "\n")
end

--- Checks a split instruction and reads its arguments.
function instructions.read(item)
  local reader = read[item.keyword]
  if not reader then
    failure.unknown(("unknown instruction '%s'"):format(item.written), item.keyword, instructions.NAMES)
  end
  item.flags = read_flags(item)
  reader(item)
  return item
end

return instructions
