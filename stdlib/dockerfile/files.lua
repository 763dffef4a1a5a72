-- COPY and ADD.

local use = ...
local failure = use "dockerfile.failure"
local history = use "dockerfile.history"
local modes = use "dockerfile.modes"
local shown = use "dockerfile.shown"

local files = {}

local FILE_MODE = 0x1a4 -- 0644

-- The instruction with its variables replaced.
local function expanded(run, item)
  local function expand(text)
    return text and (run.scope:expand(text, run.state))
  end
  local result = { keyword = item.keyword, sources = {}, contents = {}, target = expand(item.target) }
  for name, value in pairs(item.flags) do
    result[name] = value
  end
  for _, name in ipairs { "chown", "chmod", "checksum" } do
    local value = expand(item.flags[name])
    result[name] = value ~= "" and value or nil
  end
  for index, source in ipairs(item.sources) do
    result.sources[index] = expand(source)
  end
  for index, document in ipairs(item.contents) do
    local content = document.content
    if document.expand then
      content = run.scope:expand(content, run.state, { skip_quotes = true, escape = "\\" })
    end
    result.contents[index] = { name = document.name, content = content }
  end
  return result
end

local function options_of(run, copy, from)
  return {
    from = from,
    exclude = copy.exclude,
    chown = copy.chown,
    chmod = copy.chmod,
    link = copy.link,
    cache = run.options.cache,
  }
end

-- Where a here-document goes: into a folder, or to the path itself.
local function place_of(state, copy, name)
  local target = copy.target
  if target:sub(-1) == "/" or target == "." or target == ".." then
    return (target:gsub("/*$", "")) .. "/" .. name
  end
  local folder = state.config.WorkingDir or "/"
  local full = target:sub(1, 1) == "/" and target or folder .. "/" .. target
  local there = state:stat(full)
  return there and there.kind == "dir" and target .. "/" .. name or target
end

local function write(run, state, copy, document, more)
  local options = { chown = copy.chown, mode = copy.chmod and modes.apply(copy.chmod, FILE_MODE), cache = run.options.cache }
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return state:write(place_of(state, copy, document.name), document.content, options)
end

-- Takes a step as one layer: `transfer(state, options)` copies the sources.
local function take(run, item, copy, transfer)
  local manner = { label = shown.label(run, item), history = history.copy(copy) }
  local count = #copy.contents + (#copy.sources > 0 and 1 or 0)
  if #copy.sources + #copy.contents > 1 and copy.target:sub(-1) ~= "/" and copy.target ~= "." and #copy.contents > 0 then
    local hint = "write a / behind it"
    failure.raise(("several sources need a folder as their target, not '%s'"):format(copy.target), hint)
  elseif #copy.contents == 0 then
    run.state = transfer(run.state, manner)
  elseif count == 1 then
    run.state = write(run, run.state, copy, copy.contents[1], manner)
  else
    run.state = run.state:layer(function(state)
      if #copy.sources > 0 then
        state = transfer(state, {})
      end
      for _, document in ipairs(copy.contents) do
        state = write(run, state, copy, document)
      end
      return state
    end, manner)
  end
end

local function with(options, manner)
  for name, value in pairs(manner) do
    options[name] = value
  end
  return options
end

local function is_url(source)
  return source:find "^https?://" or source:find "^git@" or source:find "^git://" or source:find "^ssh://"
end

function files.copy(run, item)
  local copy = expanded(run, item)
  for _, source in ipairs(copy.sources) do
    if is_url(source) then
      failure.raise(("COPY takes no URL: '%s'"):format(source), "use ADD")
    end
  end
  local from = item.flags.from and run.plan:source(run.node, item.flags.from) or nil
  take(run, item, copy, function(state, manner)
    local options = with(options_of(run, copy, from or run.plan:context()), manner)
    options.parents = copy.parents
    return state:copy(copy.sources, copy.target, options)
  end)
end

function files.add(run, item)
  local copy = expanded(run, item)
  if copy.checksum and (#copy.sources ~= 1 or not is_url(copy.sources[1])) then
    failure.raise("'--checksum' needs one URL as the source")
  end
  local only_urls = true
  for _, source in ipairs(copy.sources) do
    only_urls = only_urls and is_url(source) ~= nil
  end
  take(run, item, copy, function(state, manner)
    local options = with(options_of(run, copy, not only_urls and run.plan:context() or nil), manner)
    options.unpack, options.checksum, options.keep_git_dir = copy.unpack, copy.checksum, copy.keep_git_dir
    return state:add(copy.sources, copy.target, options)
  end)
end

return files
