-- moonshell build and registries: --cache-from and --cache-to move steps, --push images, and --pull asks for new ones.
-- timeout-ms: 90000
local check = require "check"
local R = host.env.REGISTRY
local dir <close> = fs.tempdir()
fs.write(dir.path .. "/Dockerfile", ("FROM %s/busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\n"):format(R))
local name = R .. "/caches/flags:1"
local function flags(root, ...)
  local words = { host.env.MOONSHELL, "--root=" .. dir.path .. "/" .. root, "--progress", "plain", "build", ... }
  words[#words + 1] = dir.path
  return host.run(words, { capture = true, check = false })
end
-- the first time there is no cache yet: a warning, and the build goes on
local first = flags("one", "--cache-from", name, "--cache-to", "type=registry,ref=" .. name .. ",mode=max")
check.same(first.exit_code, 0, first.stderr)
check.has(first.stderr, "no steps are taken from the cache " .. name)
check.has(first.stderr, "RUN cat /proc/sys/kernel/random/uuid > /u: done")
-- another store builds the same image without running anything
local second = flags("two", "--cache-from", "type=registry,ref=" .. name)
check.same(second.exit_code, 0, second.stderr)
check.same(second.stdout, first.stdout)
check.has(second.stderr, "RUN cat /proc/sys/kernel/random/uuid > /u: CACHED")
check.same(second.stderr:find("warning", 1, true), nil, second.stderr)
-- an image is no cache, and a registry may not answer: both are no reason to fail
for _, wrong in ipairs { R .. "/busybox", "127.0.0.1:1/none:1" } do
  local third = flags("two", "--cache-from", wrong)
  check.same(third.exit_code, 0, third.stderr)
  check.has(third.stderr, "no steps are taken from the cache " .. wrong)
end
-- what cannot be put there fails, unless the caller says otherwise
local fourth = flags("two", "--cache-to", "127.0.0.1:1/none:1")
check.same({ fourth.exit_code, fourth.stdout }, { 1, "" })
check.has(fourth.stderr, "cannot reach registry 127.0.0.1:1")
fourth = flags("two", "--cache-to", "ref=127.0.0.1:1/none:1,ignore-error=true")
check.same({ fourth.exit_code, fourth.stdout }, { 0, first.stdout }, fourth.stderr)
check.has(fourth.stderr, "nothing is put into the cache 127.0.0.1:1/none:1")
-- other kinds of caches name themselves, before anything is built
for _, flag in ipairs { "--cache-from", "--cache-to" } do
  local fifth = flags("two", flag, "type=gha")
  check.same(fifth.exit_code, 2)
  check.has(fifth.stderr, ("invalid value 'type=gha' for '%s'"):format(flag))
  fifth = flags("two", flag, "type=registry,dest=/x")
  check.has(fifth.stderr, ("unexpected 'dest=/x' in the value of '%s'"):format(flag))
end
-- --push: the image is there for others, under its name
local pushed = R .. "/built/flags:1"
local sixth = flags("two", "--push", "-t", pushed)
check.same(sixth.exit_code, 0, sixth.stderr)
check.same(image.pull(pushed).id .. "\n", first.stdout)
-- --pull: a base that has changed is noticed
fs.write(dir.path .. "/Dockerfile", ("FROM %s\nRUN true\n"):format(pushed))
local before = flags "three"
check.same(before.exit_code, 0, before.stderr)
build.from(pushed):env { NEW = "yes" }:commit(pushed):push()
check.same(flags("three").stdout, before.stdout)
local after = flags("three", "--pull")
check.same(after.exit_code, 0, after.stderr)
check.same(after.stdout ~= before.stdout, true, after.stderr)
