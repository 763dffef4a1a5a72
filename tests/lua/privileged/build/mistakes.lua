-- Mistakes in build scripts and Dockerfiles: what is wrong, in the words of whoever made it, before anything is built.
local check = require "check"
check.busybox():tag "busybox:1"
local s = build.from "busybox:1"
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
fs.write(d .. "file", "no archive")

-- names that are empty: a variable that is not set
check.fails("invalid_argument", "a source to copy has no name", "'.' is the whole folder", s.copy, s, "", "/x")
check.fails("invalid_argument", "'' is no path", nil, s.copy, s, d .. "file", "")
check.fails("invalid_argument", "'' is no path", nil, s.write, s, "", "x")
check.fails("invalid_argument", "a label needs a name", nil, s.label, s, { [""] = "x" })
check.fails("invalid_argument", "a working folder needs a path", nil, s.workdir, s, "")
-- settings that could only fail later, or in somebody else's build
check.fails("invalid_argument", "State:healthcheck: interval: invalid duration 'soon'", "write 1.5s, 200ms or 1m30s", s.healthcheck, s, { test = "x", interval = "soon" })
check.fails("invalid_argument", "ONBUILD cannot be a trigger", nil, s.on_build, s, "ONBUILD RUN x")
check.fails("invalid_argument", "unknown instruction 'RUM'", "did you mean 'RUN'?", s.on_build, s, "RUM x")
check.same(s:on_build("run make").config.OnBuild, { "run make" })
-- contexts and outputs
local e = check.fails("integrity", "cannot open context '" .. d .. "file'", nil, build.context, d .. "file")
check.same(e.causes, { "archive is cut off in its first header" })
e = check.fails("network", "cannot fetch file://" .. d .. "none", nil, build.context, "file://" .. d .. "none#main")
check.same(e.causes, { "'" .. d .. "none' does not appear to be a git repository" })
check.fails("not_found", ("cannot write %snone/x.tar: there is no folder '%snone'"):format(d, d), nil, s.commit, s, nil, { output = "type=oci,dest=" .. d .. "none/x.tar" })

-- Dockerfiles: what the end of the build needs is looked at first
local function build_of(text, options)
  options = options or {}
  options.text, options.context = text, dir.path
  return build.dockerfile(options)
end
local ran = "RUN touch /ran"
local function refused(message, hint, options)
  check.fails("invalid_argument", message, hint, build_of, "FROM busybox:1\n" .. ran, options)
  for _, entry in ipairs(cache.list()) do check.same(entry.step ~= ran, true, "nothing ran") end
end
refused("invalid image name 'Bad:1': the repository must be lower case", nil, { tags = "Bad:1" })
refused("invalid image name 'Bad:1': the repository must be lower case", nil, { tags = { "good:1", "Bad:1" } })
refused("unknown output type 'tra'", "did you mean 'tar'?", { output = "type=tra,dest=x" })
refused("an output of type oci needs a 'dest'", nil, { output = { "type=oci" } })
refused("unknown right 'security.insecur'", "did you mean 'security.insecure'?", { allow = { "security.insecur" } })
check.same(pcall(build_of, "FROM busybox:1", { allow = { "network.host" } }), true)
-- names that were meant for a stage
check.same(select(2, pcall(build_of, "FROM busybox:1 AS builder\nFROM 127.0.0.1:1/builder")).hint, "there is no image '127.0.0.1:1/builder' here")
e = select(2, pcall(build_of, "FROM busybox:1 AS builder\nRUN true\nFROM busybox:1\nCOPY --from=biulder /a /", { pull = "never" }))
check.same({ e.line, e.hint }, { 4, "did you mean the stage 'builder'?" })
e = select(2, pcall(build_of, "FROM busybox:1 AS tools\nFROM busybox:1\nRUN --mount=from=tool,target=/t true", { pull = "never" }))
check.same({ e.line, e.hint }, { 3, "did you mean the stage 'tools'?" })
e = select(2, pcall(build_of, "FROM later\nFROM busybox:1 AS later", { target = "0", pull = "never" }))
check.same({ e.line, e.hint }, { 1, "the stage 'later' comes later" })
-- flags, and what a mount takes
e = select(2, pcall(build_of, "FROM busybox:1\nCOPY --chwon=1 file /"))
check.same({ e.line, e.hint }, { 2, "did you mean '--chown'?" })
fs.write(d .. ".dockerignore", "file\n")
for _, name in ipairs { "none", "file" } do
  e = select(2, pcall(build_of, "FROM busybox:1\nRUN --mount=source=" .. name .. ",target=/m true"))
  check.same(e.message:match "^[^\n]+", ("Dockerfile:2: cannot mount '%s': it is not in the context"):format(name))
end
fs.remove(d .. ".dockerignore")
check.fails("invalid_argument", "a label needs a name", nil, build_of, "FROM busybox:1", { labels = { [""] = "x" } })
check.fails("invalid_argument", "Dockerfile has no stage 'biuld'", "did you mean 'build'?", build_of, "FROM busybox:1 AS build", { target = "biuld" })
-- an image that is here for another machine
image.get("busybox:1"):tag "127.0.0.1:1/busybox:1"
e = select(2, pcall(build_of, "FROM 127.0.0.1:1/busybox:1", { platform = "linux/s390x" }))
check.same({ e.kind, e.hint }, { "network", "the image '127.0.0.1:1/busybox:1' here is for " .. image.get("busybox:1").platform })
-- secrets that nobody gave: what to write, in a script and on the command line
e = select(2, pcall(build_of, "FROM busybox:1\nRUN --mount=type=secret,id=key,required true"))
check.same({ e.kind, e.line, e.hint }, { "not_found", 2, "give it: secrets={[\"key\"]={file=\"path\"}}, or --secret id=key,src=path" })
