-- Platforms (`linux/arm64/v8`), and the arguments that tell a Dockerfile about them.

local use = ...
local failure = use "dockerfile.failure"
local api = use "dockerfile.api"

local platform = {}

local SAME = {
  x86_64 = "amd64", ["x86-64"] = "amd64", aarch64 = "arm64", armhf = "arm", armel = "arm", armv7l = "arm", i686 = "386",
  i386 = "386",
}

--- The parts of a platform's name: {os, arch, variant}.
function platform.parse(text)
  local os, arch, variant = text:lower():match "^([^/]+)/([^/]+)/?([^/]*)$"
  if not os then
    os, arch, variant = "linux", text:lower(), ""
  end
  if not os:find "^[%w_.-]+$" or not arch:find "^[%w_.-]+$" then
    failure.raise(("invalid platform '%s'"):format(text), "write OS/ARCH[/VARIANT], such as linux/arm64")
  end
  if variant == "" and (arch == "armhf" or arch == "armv7l" or arch == "arm") then
    variant = "v7"
  elseif arch == "armel" and variant == "" then
    variant = "v6"
  end
  arch = SAME[arch] or arch
  if (arch == "arm64" and variant == "v8") or (arch == "amd64" and variant == "v1") then
    variant = ""
  end
  return { os = os, arch = arch, variant = variant }
end

--- A platform's name.
function platform.format(parts)
  return parts.os .. "/" .. parts.arch .. (parts.variant ~= "" and "/" .. parts.variant or "")
end

--- This machine's.
function platform.host()
  return platform.parse("linux/" .. api.host.info().arch)
end

--- Arguments every Dockerfile may ask for.
function platform.arguments(target, stage)
  local here = platform.host()
  target = target and platform.parse(target) or here
  return {
    BUILDPLATFORM = platform.format(here),
    BUILDOS = here.os,
    BUILDARCH = here.arch,
    BUILDVARIANT = here.variant,
    TARGETPLATFORM = platform.format(target),
    TARGETOS = target.os,
    TARGETARCH = target.arch,
    TARGETVARIANT = target.variant,
    TARGETSTAGE = stage or "default",
  }
end

return platform
