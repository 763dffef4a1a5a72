-- require, dofile, loadfile and load, written in Lua so that a module may call the engine while it loads.
--
-- A module is looked for beside the script that requires it, in MOONSHELL_PATH, in the user's library folder and
-- among the built-in libraries. Two scripts in different folders may mean different files by one name, so files
-- are remembered by path; package.loaded shows them by name.

local core = ...
local native = core.native
local raw_load, raw_loadfile = load, loadfile
local raw_yield, raw_yieldable = core.raw.yield, core.raw.isyieldable

local origin = {} -- module name -> path that package.loaded[name] came from
local values = {} -- path -> value
local loading = {} -- path -> list of branches that wait for it

local function owner()
  return core.branch or core
end

local function search_path(template, name, tried)
  local file = name:gsub("%.", "/")
  for pattern in template:gmatch("[^;]+") do
    local path = pattern:gsub("%?", (file:gsub("%%", "%%%%")))
    if native.is_file(path) then
      return path
    end
    tried[#tried + 1] = "no file '" .. path .. "'"
  end
end

local function search_preload(name, tried)
  local loader = package.preload[name]
  if loader then
    return loader, ":preload:"
  end
  tried[#tried + 1] = "no field package.preload['" .. name .. "']"
end

local function search_files(name, tried)
  local here = native.folder()
  local path = search_path(here .. "/?.lua;" .. here .. "/?/init.lua", name, tried)
    or search_path(package.path, name, tried)
  if path then
    return function(...)
      local chunk, err = raw_loadfile(path, "t")
      if not chunk then
        error(err, 0)
      end
      return chunk(...)
    end, native.real_path(path)
  end
end

local libraries = {} -- name -> value

--- A built-in library, whatever files the script has. Its chunk is given this function, and `core`.
function core.use(name)
  if libraries[name] == nil then
    local chunk = native.builtin(name)
    if not chunk then
      error("no built-in library '" .. name .. "'", 2)
    end
    libraries[name] = chunk(core.use, core)
  end
  return libraries[name]
end

--- A function of the API whose body is a built-in library's. `check` looks at the arguments.
function core.in_library(check, library, name)
  return function(...)
    core.finish(check(false, ...))
    return core.use(library)[name](...)
  end
end

local function search_builtin(name, tried)
  if native.builtin(name) then
    return function()
      return core.use(name)
    end, ":builtin:" .. name
  end
  tried[#tried + 1] = "no built-in library '" .. name .. "'"
end

-- Names of the modules being loaded by this branch, outermost first, or nil when `path` is not among them.
local function loop(path)
  local names, entry = {}, owner().chain
  while entry do
    table.insert(names, 1, entry.name)
    if entry.path == path then
      return table.concat(names, " -> ")
    end
    entry = entry.parent
  end
end

local function raise_loop(name, names)
  error("module '" .. name .. "' requires itself: " .. names .. " -> " .. name, 3)
end

-- Another branch loads the same file: wait for it.
local function wait(name, path)
  if not (core.branch and raw_yieldable()) then
    raise_loop(name, name)
  end
  table.insert(loading[path], core.branch)
  local branch = core.branch
  branch.idle = true
  raw_yield(core.PENDING, path)
  branch.idle = false
  if branch.deadlock then
    branch.deadlock = nil
    raise_loop(name, name)
  end
end

--- Two branches wait for each other's modules: tells one of them. False when nobody waits for a module.
function core.break_deadlock()
  for _, branches in pairs(loading) do
    local branch = table.remove(branches)
    if branch then
      branch.deadlock = true
      core.push(branch)
      return true
    end
  end
  return false
end

local loaded = {
  __close = function(self)
    self.owner.chain = self.parent
    for _, branch in ipairs(loading[self.path]) do
      core.push(branch)
    end
    loading[self.path] = nil
  end,
}

local function run(name, path, loader)
  local who = owner()
  local entry <close> = setmetatable({ name = name, path = path, parent = who.chain, owner = who }, loaded)
  who.chain = entry
  loading[path] = {}
  local value = loader(name, path)
  if value == nil then
    value = package.loaded[name]
  end
  if value == nil then
    value = true
  end
  return value
end

local function find(name)
  local tried = {}
  for _, searcher in ipairs(package.searchers) do
    local loader, path = searcher(name, tried)
    if type(loader) == "function" then
      return loader, path or ":searcher:" .. name
    elseif type(loader) == "string" then
      tried[#tried + 1] = loader
    end
  end
  core.finish(native.no_module(name, tried))
end

function require(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  local present = package.loaded[name]
  if present ~= nil and not origin[name] then
    return present
  end
  local loader, path = find(name)
  if origin[name] == path and present ~= nil then
    return present, path
  elseif origin[name] ~= path and values[path] ~= nil then
    return values[path], path
  end
  local names = loop(path)
  if names then
    raise_loop(name, names)
  end
  if loading[path] then
    wait(name, path)
    return require(name)
  end
  local value = run(name, path, loader)
  values[path] = value
  if present == nil then
    package.loaded[name], origin[name] = value, path
  end
  return value, path
end

package.searchers = { search_preload, search_files, search_builtin }
package.path, package.cpath = native.library_path, ""
package.loadlib = nil

function package.searchpath(name, path)
  local tried = {}
  local found = search_path(path, name, tried)
  if found then
    return found
  end
  return nil, table.concat(tried, "\n\t")
end

-- Binary chunks can crash the interpreter, so only text is loaded, whatever the caller asks for.
function load(chunk, name, mode, ...)
  if mode ~= nil and not tostring(mode):find("t", 1, true) then
    return nil, "attempt to load a text chunk (mode is '" .. tostring(mode) .. "')"
  end
  return raw_load(chunk, name, "t", ...)
end

function loadfile(path, mode, ...)
  if mode ~= nil and not tostring(mode):find("t", 1, true) then
    return nil, "attempt to load a text chunk (mode is '" .. tostring(mode) .. "')"
  end
  return raw_loadfile(path, "t", ...)
end

function dofile(path)
  local chunk, err = raw_loadfile(path, "t")
  if not chunk then
    error(err, 0)
  end
  return chunk()
end
