-- What a build reads before its first step, of a folder that may be somebody else's work or of standard input.
local check = require "check"
check.busybox():tag "busybox:1"
local dir <close> = fs.tempdir()
local d = dir.path .. "/ctx"
fs.mkdir(d)
fs.write(d .. "/secret", "s")
local TEXT = "FROM scratch\nCOPY . /all/\n"
local function moonshell(words, input)
  return host.run({ host.env.MOONSHELL, table.unpack(words) }, { capture = true, check = false, input = input })
end
local function names(...)
  local got = moonshell { "build", "-q", "-t", "read:1", d }
  if not got.ok then error(got.stderr) end
  local list = {}
  for _, entry in ipairs(build.from "read:1":list "/all") do list[#list + 1] = entry.name end
  return table.concat(list, " "), got.stderr
end
local function link(target, name) host.run { "ln", "-sfn", target, d .. "/" .. name } end
local function fails(...)
  local got = moonshell { "build", "-q", d }
  check.same(got.ok, false)
  for _, part in ipairs { ... } do check.has(got.stderr, part) end
end

-- rules behind a link are those that it leads to in the context; outside of it nothing is read
fs.write(d .. "/Dockerfile", TEXT)
fs.write(d .. "/rules", "secret\n")
link("/rules", ".dockerignore")
check.same((names()), ".dockerignore Dockerfile rules")
fs.write(dir.path .. "/rules", "*\n")
link(dir.path .. "/rules", ".dockerignore")
local list, said = names()
check.same(list, ".dockerignore Dockerfile rules secret")
check.has(said, "the ignore rules '.dockerignore' are a link that leads out of the context: nothing is left out")
link("/dev/zero", ".dockerignore")
check.same((names()), ".dockerignore Dockerfile rules secret")
fs.remove(d .. "/.dockerignore")
link("/dev/zero", "Dockerfile.dockerignore")
check.same((names()), "Dockerfile Dockerfile.dockerignore rules secret")
fs.remove(d .. "/Dockerfile.dockerignore")

-- so it is with a Dockerfile that nobody has named
fs.remove(d .. "/Dockerfile")
fs.write(d .. "/real", TEXT)
link("/real", "Dockerfile")
check.same((names()), "Dockerfile real rules secret")
fs.write(dir.path .. "/outside", TEXT)
for _, target in ipairs { dir.path .. "/outside", "/dev/zero" } do
  link(target, "Dockerfile")
  fails("/ctx/Dockerfile' is a link that leads out of the context", "name the file itself")
end
check.same(moonshell({ "build", "-q", "-f", dir.path .. "/outside", d }).ok, true)
fs.remove(d .. "/Dockerfile")
host.run { "mkfifo", d .. "/Dockerfile" }
fails "Dockerfile"
fs.remove(d .. "/Dockerfile")

-- standard input: an archive in any form is the context, a text is a Dockerfile without one
local function areas() return host.out { "sh", "-c", "ls " .. host.env.MOONSHELL_ROOT .. "/tmp" } end
local before = areas()
local function piped(input, ...)
  return moonshell({ "build", "-q", "-t", "piped:1", "-", ... }, input)
end
fs.write(d .. "/Dockerfile", "FROM busybox:1\nCOPY secret /s\nRUN cat /s > /t\n")
for _, form in ipairs { "", "z", "j" } do
  local packed = host.run({ "tar", "-C", d, "-c" .. form, "." }, { capture = true }).stdout
  local got = piped(packed)
  check.same({ got.ok, got.stderr }, { true, "" }, "form " .. form)
  check.same(build.from "piped:1":read "/t", "s")
end
local text = "FROM busybox:1\nCOPY . /all/\nRUN ls -A /all | wc -l > /count\n"
check.same(piped(text).ok, true)
check.same(build.from "piped:1":read "/count", "0\n")
check.same(piped("# " .. ("x"):rep(3000) .. "\n" .. text).ok, true)
check.has(piped("").stderr, "there is no FROM")
local long = piped(("#" .. ("x"):rep(1023) .. "\n"):rep(5000) .. text)
check.has(long.stderr, "longer than 4194304 bytes")
check.same(areas(), before)
