-- Examples that people copy: those of help() for everything that belongs to builds, and the guide's, run as they are
-- written, with images, programs and folders of the names they use.
-- timeout-ms: 120000
-- env: GUIDE=@DIR@/../../../docs/guide.md
local check = require "check"
local dir <close> = fs.tempdir()
local d = dir.path .. "/"

-- Programs of distributions that do nothing but make what the examples ask for.
local fake = build.from(image.load(host.env.BUSYBOX)[1])
for _, name in ipairs { "apt-get", "gcc", "curl" } do
  fake = fake:write("/bin/" .. name, "#!/bin/sh\necho 13\n", { mode = "0755" })
end
fake = fake:write("/bin/make", "#!/bin/sh\nmkdir -p /src && echo app > /src/app && echo > /made-${1:-all}\n", { mode = "0755" })
fake = fake:write("/usr/bin/app", "app"):write("/usr/bin/gcc", "#!/bin/sh\n"):write("/etc/os-release", "ID=fake\n")
fake = fake:mkdir("/var/lib/apt/lists"):mkdir("/var/cache"):mkdir("/app/out")
fake = fake:write("/etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:7:7::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
fake:commit { "debian:bookworm", "debian:bookworm-slim" }

-- A project with the files the examples copy.
local files = {
  Dockerfile = "FROM debian:bookworm\nARG VERSION=0\nCOPY src /src\nRUN make\n", [".dockerignore"] = "*.o\n",
  ["src/main.c"] = "int main() {}\n", ["src/a.o"] = "o", ["src/lib/a.c"] = "", ["src/lib/b.c"] = "", ["site/index.html"] = "hi",
  ["Cargo.toml"] = "", app = "app", Makefile = "all:\n", ["main.h"] = "",
}
for path, text in pairs(files) do
  fs.mkdir(d .. (path:match "^(.*)/" or "."))
  fs.write(d .. path, text)
end
host.run { "tar", "-C", d .. "src", "-cJf", d .. "rootfs.tar.xz", "." }
host.run({ "sh", "-c", "git init -q -b main && git config user.email a@b && git config user.name a && git add -A && git commit -qm one && git tag v1.2" }, { cwd = d })

-- Variables the examples of methods begin with.
local BEFORE = [[
local s = build.from "debian:bookworm":workdir "/src":mkdir "/data"
local img, ctx = image.get "debian:bookworm", build.context "."
local final = s
]]
-- In a process of its own, in the project.
local function run(what, code, more)
  code = code:gsub("127%.0%.0%.1:5000", host.env.REGISTRY):gsub("registry%.example", host.env.REGISTRY)
  local words = { host.env.MOONSHELL, "--progress", "plain", "-e", (more or BEFORE) .. code }
  local result = host.run(words, { capture = true, check = false, cwd = dir.path })
  if not result.ok then error(("%s: the example fails:\n%s\n%s%s"):format(what, code, result.stdout, result.stderr), 0) end
end

-- The functions and methods of a module or class, from its help.
local function names(of)
  local list = {}
  for name in check.moonshell("help", of).stdout:gmatch("\n  (" .. of .. "[.:][%w_]+)%(") do list[#list + 1] = name end
  check.same(#list > 0, true, of)
  return list
end
-- Not without a terminal.
local SKIPPED = { ["State:shell"] = true }
local count = 0
run("an image in the registry's cache", [[s:run "true" cache.export "127.0.0.1:5000/cache:main"]])
for _, of in ipairs { "build", "dockerfile", "cache", "State", "Context" } do
  for _, name in ipairs(names(of)) do
    local example = check.moonshell("help", name).stdout:match "\nExample:\n(.+)$"
    if not example then error(name .. " has no example") end
    if not SKIPPED[name] then run(name, example) end
    count = count + 1
  end
end
check.same(count > 45, true)

-- The guide's blocks on builds, Dockerfiles and errors. What is at an address somewhere is taken from here.
local text = fs.read(host.env.GUIDE)
local part = text:match "\n## Builds\n(.-)\n## Side by side\n"
host.run({ "git", "clone", "-q", "--bare", d, d .. "app.git" }, { check = true })
local blocks = 0
for block in part:gmatch "\n```lua\n(.-)\n```" do
  block = block:gsub("https://example%.com/app%.git#v1%.2:server", "file://" .. d .. "app.git#v1.2:src")
  -- What is downloaded is shown with a checksum nobody can know.
  block = block:gsub("[^\n]*https://example%.com/tool[^\n]*\n", "")
  if block:find "args%.GCC" then block = "local args, context = { GCC = arg and arg[1] }, build.context '.'\n" .. block end
  run("the guide", block, BEFORE .. "local base, out = s, s:run 'make'\n")
  blocks = blocks + 1
end
check.same(blocks >= 8, true, "blocks of the guide")
