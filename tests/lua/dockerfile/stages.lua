-- Stages: what is built and in which order, what names mean, triggers, contexts, labels.
local check = require "check"
local recorder = require "lib.recorder"

-- Only the calls of some functions, without options other than labels and sources.
local function calls(text, options, pattern)
  local list = {}
  for _, call in ipairs((recorder.build(text, options))) do
    if call:find(pattern) then list[#list + 1] = call end
  end
  return list
end
local function fails(text, options)
  local ok, err = pcall(recorder.build, text, options)
  if ok then error("expected a failure: " .. text) end
  return err
end

-- FROM: variables, platforms, scratch, another stage
check.same(calls("ARG v=1\nARG i=debian:$v\nFROM $i", {}, "^from"), { 'from("debian:1")' })
check.same(calls("ARG v=1\nARG i=debian:$v\nFROM $i", { args = { v = "2" } }, "^from"), { 'from("debian:2")' })
check.same(calls("FROM --platform=$BUILDPLATFORM a", {}, "^pull"), { 'pull("a", {platform="linux/amd64"})' })
check.same(calls("FROM a", { platform = "linux/aarch64", pull = true }, "^pull"), { 'pull("a", {platform="linux/arm64", policy="always"})' })
check.same(calls("FROM a", { pull = true }, "^from"), { 'from("a", {pull="always"})' })
recorder.here = "linux/arm64"
check.same(calls("FROM a", { platform = "linux/arm64/v8" }, "^pull"), {})
recorder.here = nil
check.same(calls("FROM scratch", {}, "."), { 'workdir("/", {history=false})', 'env({PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {history=false})', "commit()" })
check.same(calls("FROM a AS One\nRUN 1\nFROM ONE\nRUN 2", {}, "^[fr]"), { 'from("a")', 'run("1", {history="RUN /bin/sh -c 1", label="[one 2/2] RUN 1"})', 'run("2", {history="RUN /bin/sh -c 2", label="[stage-1 1/1] RUN 2"})' })
-- only what the target needs
local three = "FROM a AS one\nRUN 1\nFROM b AS two\nRUN 2\nFROM c\nCOPY --from=one /x /y\nRUN 3"
check.same(calls(three, {}, "^from"), { 'from("a")', 'from("c")' })
check.same(calls(three, { target = "TWO" }, "^[fr]"), { 'from("b")', 'run("2", {history="RUN /bin/sh -c 2", label="[two 2/2] RUN 2"})' })
check.same(calls(three, { target = "0" }, "^from"), { 'from("a")' })
check.same(calls("FROM a\nRUN 1\nFROM b\nCOPY --from=0 /x /y\nCOPY --from=img /p /q", {}, "^copy"), {
  'copy({"/x"}, "/y", {from=State(a), history="COPY /x /y", label="[stage-1 2/3] COPY --from=0 /x /y"})', 'copy({"/p"}, "/q", {from=State(img), history="COPY /p /q", label="[stage-1 3/3] COPY --from=img /p /q"})' })
check.same(calls("FROM a AS t\nFROM b\nRUN --mount=from=t,target=/t x", {}, "^run"), { 'run("x", {history="RUN /bin/sh -c x", label="[stage-1 2/2] RUN --mount=from=t,target=/t x", mounts={{from=State(a), target="/t", type="bind"}}})' })
-- arguments: of child stages, and not of others
check.same(calls("FROM a AS b\nARG x=1\nFROM b\nRUN $x\nFROM c AS d\nRUN $x\nFROM b\nCOPY --from=d / /", {}, "^run"), { 'run("$x", {history="RUN /bin/sh -c $x", label="[d 2/2] RUN $x"})' })
check.same(calls("ARG g=G\nFROM a AS b\nARG x=1\nRUN 1\nFROM b\nARG g\nRUN 2", {}, "^run"), {
  'run("1", {env={x="1"}, history="RUN |1 x=1 /bin/sh -c 1", label="[b 2/2] RUN 1"})', 'run("2", {env={g="G", x="1"}, history="RUN |2 x=1 g=G /bin/sh -c 2", label="[stage-1 1/1] RUN 2"})' })
check.same(calls("ARG g=G\nFROM a\nENV e=[$g]", {}, "^env"), { 'env({e="[]"}, {history="ENV e=[]"})' })
-- labels
check.same(calls("FROM a\nRUN 1\nENV b=c\nRUN echo $b '$b' $none", {}, "^run"), { 'run("1", {history="RUN /bin/sh -c 1", label="[2/3] RUN 1"})', [[run("echo $b '$b' $none", {history="RUN /bin/sh -c echo $b '$b' $none", label="[3/3] RUN echo c '$b' $none"})]] })
check.same(calls("FROM a\nrun <<EOF\n  hello\n  there\nEOF", {}, "^run")[1]:match 'label="(.-)"', "[2/2] RUN <<EOF (hello there )")
check.same(calls("FROM a\n" .. ("RUN x\n"):rep(10), {}, "^run")[1]:match 'label="(.-)"', "[ 2/11] RUN x")
-- triggers of images and of stages
recorder.images.trig = { OnBuild = { "ARG v=1", "RUN one $v", "COPY --from=tool /t /u" } }
check.same(calls("FROM x AS tool\nFROM trig\nRUN two", {}, "^[ruce][unonp]"), { 'unset({on_build=true}, {history=false})', 'env({history="ARG v=1"})',
  'run("one $v", {env={v="1"}, history="RUN |1 v=1 /bin/sh -c one $v", label="[stage-1 2/4] ONBUILD RUN one 1"})', 'copy({"/t"}, "/u", {from=State(x), history="COPY /t /u", label="[stage-1 3/4] ONBUILD COPY --from=tool /t /u"})',
  'run("two", {env={v="1"}, history="RUN |1 v=1 /bin/sh -c two", label="[stage-1 4/4] RUN two"})', "commit()" })
check.same(#calls("FROM x AS tool\nFROM trig\nRUN two", {}, "ONBUILD"), 2)
check.same(calls("FROM x AS tool\nFROM trig\nRUN two", {}, "^from"), { 'from("trig")', 'from("x")' })
check.same(calls("FROM a AS b\nONBUILD RUN t\nFROM b\nRUN u\nFROM b AS c\nFROM c", { target = "stage" and nil }, "^run"), { 'run("t", {history="RUN /bin/sh -c t", label="[c 1/1] ONBUILD RUN t"})' })
-- named contexts: in the place of images, stages and sources
local folder, other = recorder.context "folder", recorder.state "given"
check.same(calls("FROM base\nCOPY --from=src /a /b", { contexts = { base = other, src = folder } }, "^[fc][ro]"), { 'copy({"/a"}, "/b", {from=Context(folder), history="COPY /a /b", label="[2/2] COPY --from=src /a /b"})', "commit()" })
check.same(calls("FROM a AS s\nRUN 1\nFROM b\nCOPY --from=s /a /b", { contexts = { s = other } }, "^[frc][ruo]"), { 'from("b")', 'copy({"/a"}, "/b", {from=State(given), history="COPY /a /b", label="[stage-1 2/2] COPY --from=s /a /b"})', "commit()" })
check.same(calls("FROM base", { contexts = { base = "docker-image://real:1" } }, "^from"), { 'from("real:1")' })
check.same(calls("FROM base", { contexts = { base = folder } }, "^copy"), { 'copy(".", "/", {from=Context(folder), history="COPY . /"})' })
-- what is committed
check.same(calls("FROM a\nMAINTAINER me", { tags = { "t:1" }, labels = { l = "1" }, squash = true, args = { SOURCE_DATE_EPOCH = "86400" } }, "^[lc][ao][bm][em]"), { 'commit({"t:1"}, {author="me", created="1970-01-02T00:00:00Z", labels={l="1"}, squash=true})' })
-- mistakes
for _, case in ipairs {
  { "FROM a AS b\nCOPY --from=c /x /\nFROM a AS c\nCOPY --from=b /x /", "Dockerfile:4: stages need each other: b -> c -> b" }, { "FROM a AS b\nCOPY --from=b /x /", "stages need each other: b -> b" },
  { "FROM a AS b\nCOPY --from=c /x /\nFROM a AS c", "Dockerfile:2: stage 'c' comes after stage 'b', which needs it" }, { "FROM a\nCOPY --from=3 /x /", "Dockerfile:2: there is no stage 3" },
  { "FROM $none", "Dockerfile:1: the image '$none' has no name" }, { "ARG a=${b?gone}\nFROM a", "Dockerfile:1: b: gone" },
} do check.has(fails(case[1]).message, case[2], case[1]) end
local e = fails("FROM a AS build\nFROM b AS final", { target = "biuld" })
check.same({ e.message, e.hint, e.op }, { "Dockerfile has no stage 'biuld'", "did you mean 'build'?", "build.dockerfile" })
