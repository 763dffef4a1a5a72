#!/usr/bin/env moonshell
-- Packages of a distribution, with the downloads kept between builds and nothing of them in the image.
--
--   moonshell scripts/debian_packages.lua [BASE [PACKAGE...]]

local packages = require "packages"

local base = arg[1] or "debian:bookworm"
local names = #arg > 1 and table.move(arg, 2, #arg, 1, {}) or { "gcc", "libc6-dev" }

local s = packages.install(build.from(base), names)
s = packages.install(s, "file")           -- one more, later: only its own files are downloaded

for _, step in ipairs(s:tree()) do print(step.size, step.step) end
assert(#s:list "/var/lib/apt/lists" == 0, "no lists are left in the image")
print(s:commit "with-packages:1")
