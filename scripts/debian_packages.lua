#!/usr/bin/env moonshell
-- Packages of a distribution, with the downloads kept between builds and nothing of them in the image.
--
--   moonshell scripts/debian_packages.lua [BASE [PACKAGE...]]

local packages = require "packages"

local base = arg[1] or "debian:bookworm"
local names = #arg > 1 and table.move(arg, 2, #arg, 1, {}) or { "gcc", "libc6-dev" }

local start = build.from(base)
local s = packages.install(start, names)
s = packages.install(s, "file")           -- one more, later: only its own files are downloaded

for _, step in ipairs(s:tree()) do print(step.size, step.step) end
local lists = "/var/lib/apt/lists"
assert(#s:list(lists) == #start:list(lists), "no lists are left in the image")
print(s:commit "with-packages:1")
