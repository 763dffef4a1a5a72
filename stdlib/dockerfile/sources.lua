-- Where a build's files come from: the context, the Dockerfile, its ignore rules, and contexts given by name.

local use = ...
local api = use "dockerfile.api"
local failure = use "dockerfile.failure"

local sources = {}

--- What kind of thing a value is: "string", "State", "Image", "Context".
function sources.kind(value)
  return type(value) == "string" and "string" or tostring(value):match "^%a+"
end

local function stat(path)
  local ok, found = pcall(api.fs.stat, path)
  return ok and found or nil
end

local function is_remote(text)
  return text:find "^%a[%w+.-]*://" ~= nil or text:find "^git@" ~= nil
end

local function beside(folder, name)
  return folder:gsub("/+$", "") .. "/" .. name
end

-- The file of ignore rules: that of the Dockerfile's name, else the context's.
local function ignore_file(dockerfile, folder)
  for _, path in ipairs { dockerfile and dockerfile .. ".dockerignore", beside(folder, ".dockerignore") } do
    if path and stat(path) then
      return path
    end
  end
end

-- The Dockerfile of a folder: what is asked for, or the usual names.
local function find_file(folder, file)
  local names = file and { file } or { "Dockerfile", "dockerfile" }
  for _, name in ipairs(names) do
    local inside = beside(folder, name)
    local candidates = name:sub(1, 1) == "/" and { name } or file and { name, inside } or { inside }
    for _, path in ipairs(candidates) do
      local found = stat(path)
      if found and found.kind ~= "folder" then
        return path
      end
    end
  end
  local hint = not file and "name another file with `file`, or -f on the command line" or nil
  failure.raise(("there is no file '%s'"):format(file or beside(folder, "Dockerfile")), hint, "not_found")
end

local function context_of(folder, ignore)
  local made
  return function()
    made = made or api.build.context(folder, { ignore_file = ignore })
    return made
  end
end

--- Opens what a build reads: {text, file, context = function that returns the Context}. `options` has context, file
--- and text.
function sources.open(options)
  local source, file, text = options.context or ".", options.file, options.text
  if file == "-" then
    file, text = nil, io.read "a"
  end
  if sources.kind(source) ~= "string" then
    local name = file or "Dockerfile"
    text = text or source:read(name) or (not file and source:read "dockerfile")
    if not text then
      failure.raise(("the context has no file '%s'"):format(name), nil, "not_found")
    end
    return { text = text, file = name, context = function() return source end }
  end
  local found = stat(source)
  local folder, remote = source, nil
  if not (found and found.kind ~= "file") then
    -- A tar, a repository: what is in it is a folder then.
    if not found and not is_remote(source) and source ~= "-" then
      failure.raise(("there is no folder '%s'"):format(source), nil, "not_found")
    end
    remote = api.build.context(source)
    folder = remote.folder
  end
  if text then
    local outside = options.file and options.file ~= "-" and options.file or nil
    local context = context_of(folder, ignore_file(outside, folder))
    return { text = text, file = outside or "Dockerfile", context = context, remote = remote }
  end
  local path = find_file(folder, file)
  local shown = file or path:match "[^/]+$"
  local context = context_of(folder, ignore_file(path, folder))
  return { text = api.fs.read(path), file = shown, path = path, context = context, remote = remote }
end

--- A named context, or an image: a State or a Context.
function sources.resolve(node, options)
  local value, kind = node.value, sources.kind(node.value or node.ref)
  if kind == "State" or kind == "Context" then
    return value
  elseif kind == "Image" then
    return api.build.from(value)
  end
  local text = value or node.ref
  local image = text:match "^docker%-image://(.+)$"
  if value and not image then
    local layout = text:match "^oci%-layout://(.+)$"
    if layout then
      return api.build.from(api.image.load(layout)[1])
    elseif is_remote(text) or stat(text) then
      return api.build.context(text)
    end
  end
  return api.build.from(image or text, { pull = options.pull, platform = node.platform })
end

--- The state a stage starts from, given what `resolve` returned.
function sources.start(value)
  if sources.kind(value) == "Context" then
    return api.build.scratch():copy(".", "/", { from = value, history = "COPY . /" })
  end
  return value
end

return sources
