-- dockerfile.to_lua: the script, to the letter. That scripts build the same images is tested where images are built.
local check = require "check"
local dir <close> = fs.tempdir()
local file = dir.path .. "/Dockerfile"
local function script(text, options)
  fs.write(file, text)
  return dockerfile.to_lua(file, options)
end
-- the statements behind the helpers at the top
local function body(text, options)
  local written = script(text, options)
  check.same(load(written) ~= nil, true, written)
  return (written:gsub("^%-%- Builds.-\n\n", ""):gsub("^%-%- Arguments.-\nend\n\n", ""):gsub("^%-%- A variable.-\nend\n\n", ""))
end

check.has(script "FROM a", "-- Builds what " .. file .. " says. Made by dockerfile.to_lua.\n\nlocal state")
check.same(body("FROM a\nCOPY . /x\n", { context = "app", tags = { "t:1", "t:2" }, labels = { z = "1", a = "2" } }), [[
local context = build.context("app")

local state = build.from("a")
  :copy(".", "/x", { from = context })

print(state:commit({ "t:1", "t:2" }, { labels = { a = "2", z = "1" } }).id)
]])
check.has(script "ARG A\nFROM $A", [[
-- Arguments of this script: NAME=VALUE.
local args = {}
for _, word in ipairs(arg) do
  local name, value = word:match "^([^=]+)=(.*)$"
  args[name or word] = value or host.env[word]
end

local A = args.A

local state = build.from(A or "")
]])
check.same(body("ARG A\nARG B=1\nFROM a-$A AS a-1\nARG C\nFROM a-$B", { args = { B = 2, C = "x" } }), [[
local A = args.A
local B = args.B or "2"

local final = build.from("a-" .. B)

print(final:commit().id)
]])
check.has(body("FROM a\nARG C\nLABEL c=$C", { args = { C = "x" } }), 'local C = args.C or "x"\nlocal state = build.from("a")\n  :label({ c = C })')
-- comments, ARGs before the stage, ENVs that later lines use, long calls
check.same(body [[
# the base
ARG BASE=debian
# tools
FROM $BASE AS build
ARG V=1
ENV HOME_OF=/srv KEPT=1
# first
WORKDIR $HOME_OF/x
RUN --mount=type=cache,target=/root/.cache,sharing=locked --mount=type=tmpfs,target=/t make && \
    make install && rm -rf /var/lib/something
FROM build
CMD echo $V
# the end
]], [[
-- the base
local BASE = args.BASE or "debian"

-- tools
local V = args.V or "1"
local HOME_OF = "/srv"
local build_stage = build.from(BASE)
  :env({ HOME_OF = HOME_OF })
  :env({ KEPT = "1" })
  -- first
  :workdir(HOME_OF .. "/x", { create = true })
  :run("make &&     make install && rm -rf /var/lib/something", {
    env = { V = V },
    mounts = {
      { type = "cache", target = "/root/.cache", sharing = "locked" },
      { type = "tmpfs", target = "/t" },
    },
  })

local final = build_stage
  :cmd("echo $V")
-- the end

print(final:commit().id)
]])
-- long commands are cut where their string stays the same
check.same(body("FROM a\nRUN " .. ("apt-get update && "):rep(4) .. "apt-get install -y \\\n      one \\\n      two; echo done"), [[
local state = build.from("a")
  :run("apt-get update \z
    && apt-get update \z
    && apt-get update \z
    && apt-get update \z
    && apt-get install -y       \z
    one       \z
    two; \z
    echo done")

print(state:commit().id)
]])
-- variables of the image, set or not; several documents are one layer
check.same(body "FROM a\nENV PATH=/x:$PATH\nUSER ${U:-me}\nCOPY <<A <<B /t/\n$PATH\nA\nb\nB\n", [[
local state = build.from("a")
local PATH = "/x:" .. (env(state, "PATH") or "")
state = state
  :env({ PATH = PATH })
state = state
  :user(dockerfile.expand("${U:-me}", { U = env(state, "U") }))
  :layer(function(s)
    return s
      :write("/t/A", PATH .. "\n")
      :write("/t/B", "b\n")
  end)

print(state:commit().id)
]])
-- triggers of a stage; platforms; contexts in the place of names; secrets and agents
check.same(body("FROM a AS base\nONBUILD COPY --from=x /y /z\nFROM b AS x\nFROM --platform=$BUILDPLATFORM base", {}), [[
local base = build.from("a")
  :on_build("COPY --from=x /y /z")

local x = build.from("b")

local final = base
  :unset({ on_build = true })
  :copy("/y", "/z", { from = x })

print(final:commit().id)
]])
check.same(body("FROM --platform=$BUILDPLATFORM a\nFROM --platform=linux/s390x c", { target = "0" }), 'local final = build.from("a")\n\nprint(final:commit().id)\n')
check.same(body("FROM --platform=linux/s390x c"), 'local state = build.from(image.pull("c", { platform = "linux/s390x" }))\n\nprint(state:commit().id)\n')
local given = { contexts = { a = "docker-image://real:1", src = "https://host/r.git" }, secrets = { "id=t,env=T" }, network = "none" }
check.same(body("FROM a\nCOPY --from=src / /s\nRUN --mount=type=secret,id=t --mount=type=ssh make", given), [[
-- Secrets for RUN.
local secrets = { "id=t,env=T" }

-- Agents and keys for RUN: "default", "ID=SOCKET".
local ssh = {}

local state = build.from("real:1")
  :copy("/", "/s", { from = build.context("https://host/r.git") })
  :run("make", {
    network = "none",
    mounts = { { type = "secret", id = "t" }, { type = "ssh" } },
    secrets = secrets,
    ssh = ssh,
  })

print(state:commit().id)
]])
-- names that are taken, and those that are none
check.same(body "FROM a AS build\nFROM a AS s\nFROM build\nARG end=1\nARG x-y\nCOPY --from=s /a $end${x-y}\nRUN x", [[
local build_stage = build.from("a")

local s_stage = build.from("a")

local end_ = args["end"] or "1"
local x_y = args["x-y"]
local final = build_stage
final = final
  :copy("/a", dockerfile.expand("$end${x-y}", { ["end"] = end_, x = env(final, "x") }), { from = s_stage })
  :run("x", { env = { ["end"] = end_, ["x-y"] = x_y } })

print(final:commit().id)
]])
check.fails("invalid_argument", file .. ":1: unknown instruction 'FORM'\n  1 | FORM a", "did you mean 'FROM'?", function() script "FORM a" end)
