-- Where a build's files come from: the context, the Dockerfile, its ignore rules, and contexts given by name.

local use = ...
local api = use "dockerfile.api"
local failure = use "dockerfile.failure"
local platform = use "dockerfile.platform"

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

-- A file of ignore rules as a list.
local function lines_of(content)
  local lines = {}
  for line in content:gmatch "[^\r\n]+" do
    if line:sub(1, 1) ~= "#" then
      lines[#lines + 1] = line
    end
  end
  return lines
end

--- Where the ignore rules are: those beside the Dockerfile, else the context's; as options of build.context. `inside`
--- is the Dockerfile's name in the context, if it is there.
function sources.rules(dockerfile, folder, inside)
  local own = dockerfile and dockerfile .. ".dockerignore"
  if own and stat(own) then
    return inside and { ignore_file = inside .. ".dockerignore" } or { ignore = lines_of(api.fs.read(own)) }
  end
  return { ignore_file = stat(beside(folder, ".dockerignore")) and ".dockerignore" or nil }
end

-- The Dockerfile of a folder: what is asked for, or one of the usual names, which comes with its name in the folder.
local function find_file(folder, file)
  local names = file and { file } or { "Dockerfile", "dockerfile" }
  for _, name in ipairs(names) do
    local inside = beside(folder, name)
    local candidates = name:sub(1, 1) == "/" and { name } or file and { name, inside } or { inside }
    for _, path in ipairs(candidates) do
      local found = stat(path)
      if found and found.kind ~= "folder" then
        return path, not file and name or nil
      end
    end
  end
  local hint = not file and "name another file with `file`, or -f on the command line" or nil
  failure.raise(("there is no file '%s'"):format(file or beside(folder, "Dockerfile")), hint, "not_found")
end

local function context_of(source, rules)
  local made
  return function()
    made = made or api.build.context(source, rules)
    return made
  end
end

-- The Dockerfile of a Context and its name: links in it lead nowhere else.
local function read_inside(context, file)
  for _, name in ipairs(file and { file } or { "Dockerfile", "dockerfile" }) do
    local text = context:read(name)
    if text then
      return text, name
    end
  end
  failure.raise(("the context has no file '%s'"):format(file or "Dockerfile"), nil, "not_found")
end

-- The text that a URL serves, if it may be a Dockerfile: with a line that begins with FROM.
local function served(url)
  local text = api.build.scratch():add(url, "/Dockerfile", { unpack = false }):read "/Dockerfile"
  local is_text = utf8.len(text) and not text:find("\0", 1, true)
  return is_text and ("\n" .. text):find "\n%s*[Ff][Rr][Oo][Mm]%s" and text or nil
end

-- The Dockerfile of a folder that nobody has named: like all that is in the folder it may be somebody else's work, so
-- links in it lead nowhere but into the folder, and pipes and devices are not read.
local function read_found(folder, path, inside)
  if not inside then
    return api.fs.read(path)
  end
  local context <close> = api.build.context(folder)
  local text = context:read(inside)
  if not text then
    failure.raise(("'%s' is a link that leads out of the context"):format(path), "name the file itself with `file`, or -f on the command line", "not_found")
  end
  return text
end

-- A Context; of standard input or a URL that is a Dockerfile an empty one, and the text.
local function open_context(source)
  if source == "-" then
    local context = api.build.context(source, { file = "Dockerfile" })
    local text = context.file and context:read(context.file)
    return text and api.build.context(context, { ignore = "*" }) or context, text
  end
  local ok, context = pcall(api.build.context, source)
  if ok then
    return context
  end
  local is_file = context.kind == "integrity" and source:find "^https?://[^#]+$"
  local fine, text = pcall(is_file and served or error, source)
  if not fine or not text then
    error(context, 0)
  end
  local empty = api.fs.tempdir()
  return api.build.context(empty.path), text, empty
end

-- A tar or a repository: what somebody else packed is read inside of it, never through links out of it.
local function open_packed(source, file, text)
  local context, only, held = open_context(source)
  local name = file
  if only and not text then
    return { text = only, file = "Dockerfile", context = function() return context end, held = held }
  elseif not text then
    text, name = read_inside(context, file)
  end
  local rules = { ignore_file = context:exists ".dockerignore" and ".dockerignore" or nil }
  local own = name and context:read(name .. ".dockerignore")
  if own then
    rules = { ignore = lines_of(own) }
  end
  return { text = text, file = name or "Dockerfile", context = context_of(context, rules) }
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
    if not text then
      text, name = read_inside(source, file)
    end
    return { text = text, file = name, context = function() return source end }
  end
  local found = stat(source)
  if not found and not is_remote(source) and source ~= "-" then
    failure.raise(("there is no folder '%s'"):format(source), nil, "not_found")
  elseif not found or found.kind == "file" then
    return open_packed(source, file, text)
  elseif text then
    return { text = text, file = file or "Dockerfile", context = context_of(source, sources.rules(file, source)) }
  end
  local path, inside = find_file(source, file)
  local context = context_of(source, sources.rules(path, source, inside))
  return { text = read_found(source, path, inside), file = file or path:match "[^/]+$", context = context }
end

--- The state of an image, for a platform if one is asked for.
function sources.image(name, wanted, pull)
  if not wanted then
    return api.build.from(name, { pull = pull })
  end
  wanted = platform.format(platform.parse(wanted))
  local here = pull ~= "always" and api.image.get(name) or nil
  if here and platform.format(platform.parse(here.platform)) == wanted then
    return api.build.from(here)
  end
  local ok, pulled = pcall(api.image.pull, name, { platform = wanted, policy = pull })
  if not ok then
    if here and type(pulled) == "table" and not pulled.hint then
      pulled.hint = ("the image '%s' here is for %s"):format(name, here.platform)
    end
    error(pulled, 0)
  end
  return api.build.from(pulled)
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
  return sources.image(image or text, node.platform, options.pull)
end

--- The state a stage starts from, given what `resolve` returned.
function sources.start(value)
  if sources.kind(value) == "Context" then
    return api.build.scratch():copy(".", "/", { from = value, history = "COPY . /" })
  end
  return value
end

return sources
