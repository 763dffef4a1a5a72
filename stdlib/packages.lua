-- packages: installs packages of a distribution in a build, with the downloads kept between builds and nothing of them
-- in the image.
--
--   local packages = require "packages"
--   s = packages.install(s, { "gcc", "libc6-dev" })
--
-- Downloads and package lists live in cache mounts, one set a distribution and release, so that another build (or the
-- same one with one more package) downloads nothing twice; the image gets the packages and neither lists nor archives.
--
-- Options of every function: `upgrade` (bring what is there up to date, too), `args` (a list of further arguments of
-- the install command), and everything `s:run` takes (`env`, `network`, `secrets`, `cache`, `label`, ...).

local use = ...
local fail = use "fail"
local packages = {}

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The words for the command line: names of packages, with versions (`gcc=4:12*`) but never options.
local function words(list, what)
  if type(list) == "string" then
    list = { list }
  end
  local quoted = {}
  for index, name in ipairs(list) do
    if type(name) ~= "string" or not name:find "^[%w@/][%w@/.,+:=~<>*_-]*$" then
      fail("invalid_argument", ("%s: invalid name of a package: %s"):format(what, tostring(name)), { subject = name })
    end
    quoted[index] = quote(name)
  end
  if #quoted == 0 then
    fail("invalid_argument", what .. ": no packages are named")
  end
  return table.concat(quoted, " ")
end

local function arguments(opts)
  local quoted = {}
  for _, word in ipairs(opts.args or {}) do
    quoted[#quoted + 1] = " " .. quote(word)
  end
  return table.concat(quoted)
end

-- What tells the caches of two distributions apart: `debian-12`.
local function release(s)
  local text = s:exists "/etc/os-release" and s:read "/etc/os-release" or ""
  local function field(name)
    return (("\n" .. text):match("\n" .. name .. '="?([^"\n]*)') or "")
  end
  local id, version = field "ID", field "VERSION_ID"
  return (id == "" and "linux" or id) .. (version == "" and "" or "-" .. version)
end

local function run(s, line, caches, opts)
  local own = { args = true, upgrade = true, recommends = true }
  local step = { user = "0", workdir = "/", mounts = {}, env = {} }
  for key, value in pairs(opts) do
    if key == "mounts" then
      table.move(value, 1, #value, 1, step.mounts)
    elseif key == "env" then
      for name, text in pairs(value) do
        step.env[name] = text
      end
    elseif not own[key] then
      step[key] = value
    end
  end
  local where = release(s)
  for _, mount in ipairs(caches) do
    if mount.type == "cache" then
      mount.id, mount.sharing = ("packages:%s:%s"):format(where, mount.target), "locked"
    end
    table.insert(step.mounts, mount)
  end
  step.env.DEBIAN_FRONTEND = step.env.DEBIAN_FRONTEND or opts.frontend
  return s:run({ "/bin/sh", "-ec", line }, step)
end

--- Debian, Ubuntu. `recommends=true` installs recommended packages, too.
function packages.apt(s, names, opts)
  opts = opts or {}
  local install = "apt-get install -y" .. (opts.recommends and "" or " --no-install-recommends") .. arguments(opts)
  local line = "apt-get update\n"
    .. (opts.upgrade and "apt-get upgrade -y\n" or "")
    .. ("%s -o APT::Keep-Downloaded-Packages=true -- %s\n"):format(install, words(names, "packages.apt"))
    -- Logs and the caches apt makes of its lists differ from build to build and serve nobody.
    .. "rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/ldconfig/aux-cache"
  local caches = {
    { type = "cache", target = "/var/cache/apt" },
    { type = "cache", target = "/var/lib/apt/lists" },
  }
  -- The official images throw every download away; for this step they do not.
  local cleaner = "/etc/apt/apt.conf.d/docker-clean"
  if s:exists(cleaner) then
    table.insert(caches, { type = "file", target = cleaner, content = "" })
  end
  local env = { DEBIAN_FRONTEND = "noninteractive" }
  for name, value in pairs(opts.env or {}) do
    env[name] = value
  end
  local step = {}
  for key, value in pairs(opts) do
    step[key] = value
  end
  step.env = env
  return run(s, line, caches, step)
end

--- Alpine.
function packages.apk(s, names, opts)
  opts = opts or {}
  local apk = "apk --cache-dir /var/cache/apk --update-cache"
  local line = (opts.upgrade and apk .. " upgrade\n" or "")
    .. ("%s add%s -- %s"):format(apk, arguments(opts), words(names, "packages.apk"))
  return run(s, line, { { type = "cache", target = "/var/cache/apk" } }, opts)
end

--- Fedora, RHEL and their relatives. `recommends=true` installs weak dependencies, too.
function packages.dnf(s, names, opts)
  opts = opts or {}
  local dnf = s:exists "/usr/bin/dnf" and "dnf" or s:exists "/usr/bin/microdnf" and "microdnf" or "yum"
  local flags = " -y --setopt=keepcache=1 --setopt=install_weak_deps=" .. (opts.recommends and "1" or "0")
  local line = (opts.upgrade and dnf .. flags .. " upgrade\n" or "")
    .. ("%s%s install%s %s\n"):format(dnf, flags, arguments(opts), words(names, "packages.dnf"))
    .. "rm -rf /var/log/dnf* /var/log/yum* /var/log/hawkey.log /var/lib/dnf/history*"
  local caches = {
    { type = "cache", target = "/var/cache/dnf" },
    { type = "cache", target = "/var/cache/libdnf5" },
    { type = "cache", target = "/var/cache/yum" },
  }
  return run(s, line, caches, opts)
end

--- With whatever the state has: apt, apk or dnf.
function packages.install(s, names, opts)
  local managers = {
    { "/usr/bin/apt-get", packages.apt },
    { "/sbin/apk", packages.apk },
    { "/usr/bin/dnf", packages.dnf },
    { "/usr/bin/microdnf", packages.dnf },
    { "/usr/bin/yum", packages.dnf },
  }
  for _, manager in ipairs(managers) do
    if s:exists(manager[1]) then
      return manager[2](s, names, opts)
    end
  end
  fail("unsupported", "packages.install: the state has none of apt-get, apk, dnf and yum", {
    hint = "start from an image of a distribution, or copy programs into it",
  })
end

return packages
