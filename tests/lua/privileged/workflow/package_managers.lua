-- The packages library: what it asks a package manager to do, seen through managers that write down their arguments.
local check = require "check"
local packages = require "packages"
local base = build.from(check.busybox()):env { PATH = "/usr/bin:/sbin:/bin" }

local function has(manager, path)
  return base:write(path, "#!/bin/sh\necho " .. manager .. ' "$@" >> /asked\nenv | grep ^DEBIAN >> /asked || true\n',
    { mode = "0755" })
end

local debian = has("apt-get", "/usr/bin/apt-get"):write("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
local s = packages.install(debian, { "gcc", "libc6-dev=2.36*" })
check.same(s:read "/asked", [[
apt-get update
DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends -o APT::Keep-Downloaded-Packages=true -- gcc libc6-dev=2.36*
DEBIAN_FRONTEND=noninteractive
]])
s = packages.apt(debian, "gcc", { recommends = true, upgrade = true, args = { "-t", "back ports" }, env = { A = "1" } })
check.has(s:read "/asked", "apt-get upgrade -y\n")
check.has(s:read "/asked", "apt-get install -y -t back ports -o ")
check.same(packages.install(has("apk", "/sbin/apk"), "gcc"):read "/asked",
  "apk --cache-dir /var/cache/apk --update-cache add -- gcc\n")
s = packages.install(has("dnf", "/usr/bin/dnf"), { "gcc", "@development-tools" })
check.has(s:read "/asked", "dnf -y --setopt=keepcache=1 --setopt=install_weak_deps=0 install gcc @development-tools\n")

-- What a manager keeps in its caches is there for the next build and in no image.
local keeps = base:write("/sbin/apk", "#!/bin/sh\necho x >> /var/cache/apk/kept; cat /var/cache/apk/kept > /seen\n",
  { mode = "0755" })
check.same(packages.apk(keeps, "one"):read "/seen", "x\n")
local second = packages.apk(keeps, "two")
check.same(second:read "/seen", "x\nx\n")
check.same(second:exists "/var/cache/apk/kept", false)

-- Names are names: no options, no shell.
for _, name in ipairs { "-y", "a b", "$(id)", "a;b", "", "a'b" } do
  local err = check.fails("invalid_argument", "packages.apt: invalid name of a package: " .. name, nil,
    packages.apt, debian, { name })
  check.same(err.subject, name)
end
check.fails("invalid_argument", "packages.apt: no packages are named", nil, packages.apt, debian, {})
check.fails("unsupported", "packages.install: the state has none of apt-get, apk, dnf and yum",
  "start from an image of a distribution, or copy programs into it", packages.install, base, "gcc")
