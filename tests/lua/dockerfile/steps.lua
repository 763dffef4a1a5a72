-- What each instruction calls, with variables replaced and the history in Docker's words.
local check = require "check"
local recorder = require "lib.recorder"

recorder.labels = false

-- The calls between `from` and `commit`.
local function calls(lines, options)
  local list = {}
  for _, call in ipairs((recorder.build("FROM a\n" .. lines, options))) do
    if not call:find "^from%(" and not call:find "^pull%(" and not call:find "^commit%(" then
      list[#list + 1] = call
    end
  end
  return list
end

-- instruction lines; calls
local cases = {
  { "RUN make", { [[run("make", {history="RUN /bin/sh -c make"})]] } },
  { 'RUN ["a", "b c"]', { [[run({"a", "b c"}, {history="RUN a b c"})]] } },
  { 'SHELL ["/bin/bash", "-ec"]\nRUN a', { [[shell_form({"/bin/bash", "-ec"}, {history="SHELL [/bin/bash -ec]"})]], [[run("a", {history="RUN /bin/bash -ec a"})]] } },
  { "RUN --network=none a", { [[run("a", {history="RUN /bin/sh -c a", network="none"})]] } },
  { "RUN <<EOF\na $b\nEOF", { [[run("a $b\n", {history="RUN /bin/sh -c a $b\n"})]] } },
  { "RUN <<-EOF\n\ta\n\t\tb\n\tEOF", { [[run("a\nb\n", {history="RUN /bin/sh -c a\nb\n"})]] } },
  { "RUN <<EOF\n#!/bin/py\nx\nEOF", { [[run({"/dev/pipes/EOF"}, {history="RUN /dev/pipes/EOF", mounts={{content="#!/bin/py\nx\n", mode="0755", target="/dev/pipes/EOF", type="file"}}})]] } },
  { "RUN cat <<A <<B > /x\n1\nA\n2\nB", { [[run("cat <<A <<B > /x\n1\nA\n2\nB", {history="RUN /bin/sh -c cat <<A <<B > /x\n1\nA\n2\nB"})]] } },
  { "WORKDIR /w\nRUN --mount=type=cache,target=c,id=i x", { [[workdir("/w", {create=true, history="WORKDIR /w"})]], [[run("x", {history="RUN /bin/sh -c x", mounts={{id="i", target="/w/c", type="cache"}}})]] } },
  { "ARG t=/c\nRUN --mount=type=tmpfs,target=${t},size=1m x", { [[env({history="ARG t=/c"})]], [[run("x", {env={t="/c"}, history="RUN |1 t=/c /bin/sh -c x", mounts={{size="1m", target="/c", type="tmpfs"}}})]] } },
  { "RUN --mount=type=bind,source=s,target=/t x", { [[run("x", {history="RUN /bin/sh -c x", mounts={{from=Context(ctx), source="s", target="/t", type="bind"}}})]] } },
  { "RUN --mount=target=/t,rw x", { [[run("x", {history="RUN /bin/sh -c x", mounts={{from=Context(ctx), rw=true, target="/t", type="bind"}}})]] } },
  { "RUN --mount=type=secret,id=s --mount=type=ssh x", { [[run("x", {history="RUN /bin/sh -c x", mounts={{id="s", type="secret"}, {type="ssh"}}, secrets={s={value="v"}}, ssh={default="/sock"}})]] }, { secrets = { s = { value = "v" } }, ssh = { default = "/sock" } } },
  { "RUN x", { [[run("x", {history="RUN /bin/sh -c x"})]] }, { secrets = { s = { value = "v" } } } },
  { "RUN x", { [[run("x", {cache=false, history="RUN /bin/sh -c x", memory="1g", network="host"})]] }, { cache = false, network = "host", memory = "1g" } },
  { "RUN --security=insecure x", { [[run("x", {history="RUN /bin/sh -c x", privileged=true})]] }, { allow = { "security.insecure" } } },
  { "ENV b=1 a=2", { "env({b=\"1\"}, {history=false})", 'env({a="2"}, {history="ENV b=1 a=2"})' } },
  { "ENV a=1\nENV a=2 b=$a", { 'env({a="1"}, {history="ENV a=1"})', 'env({a="2"}, {history=false})', 'env({b="1"}, {history="ENV a=2 b=1"})' } },
  { "ENV p $PATH:/x", { 'env({p="/bin:/x"}, {history="ENV p=/bin:/x"})' } },
  { "ENV a='$PATH' b=\\$PATH c=\"x y\"", { 'env({a="$PATH"}, {history=false})', 'env({b="$PATH"}, {history=false})', 'env({c="x y"}, {history="ENV a=$PATH b=$PATH c=x y"})' } },
  { "LABEL a=1 \"b c\"=\"$PATH\"", { 'label({a="1", b c="/bin"}, {history="LABEL a=1 b c=/bin"})' } },
  { "ARG a=1 b\nRUN x", { 'env({history="ARG a=1 b"})', [[run("x", {env={a="1"}, history="RUN |2 a=1 b= /bin/sh -c x"})]] } },
  { "ARG a=1\nRUN x", { 'env({history="ARG a=9"})', [[run("x", {env={a="9"}, history="RUN |1 a=9 /bin/sh -c x"})]] }, { args = { a = "9", b = "unused" } } },
  { "ARG a=1\nENV a=2\nRUN x", { 'env({history="ARG a=1"})', 'env({a="2"}, {history="ENV a=2"})', [[run("x", {history="RUN |1 a=2 /bin/sh -c x"})]] } },
  { "ENV a=2\nARG a=1\nRUN x", { 'env({a="2"}, {history="ENV a=2"})', 'env({history="ARG a=1"})', [[run("x", {env={a="1"}, history="RUN |1 a=1 /bin/sh -c x"})]] } },
  { "ENV a=2\nARG a\nENV b=$a", { 'env({a="2"}, {history="ENV a=2"})', 'env({history="ARG a"})', 'env({b="2"}, {history="ENV b=2"})' } },
  { "RUN x\nARG a=1", { [[run("x", {history="RUN /bin/sh -c x"})]], 'env({history="ARG a=1"})' } },
  { "ARG TARGETARCH BUILDPLATFORM TARGETVARIANT\nENV x=$TARGETARCH", { 'env({history="ARG TARGETARCH=arm64 BUILDPLATFORM=linux/amd64 TARGETVARIANT="})', 'env({x="arm64"}, {history="ENV x=arm64"})' }, { platform = "linux/arm64" } },
  { "RUN x", { [[run("x", {hidden_env={HTTP_PROXY="p"}, history="RUN /bin/sh -c x"})]] }, { args = { HTTP_PROXY = "p" } } },
  { "ARG HTTP_PROXY\nRUN x", { 'env({history="ARG HTTP_PROXY=p"})', [[run("x", {env={HTTP_PROXY="p"}, history="RUN |1 HTTP_PROXY=p /bin/sh -c x"})]] }, { args = { HTTP_PROXY = "p" } } },
  { "CMD a b", { [[cmd("a b", {history="CMD [\"/bin/sh\" \"-c\" \"a b\"]"})]] } }, { 'CMD ["a"]', { [[cmd({"a"}, {history="CMD [\"a\"]"})]] } },
  { 'ENTRYPOINT ["a"]', { [[entrypoint({"a"}, {history="ENTRYPOINT [\"a\"]"})]] } },
  { 'CMD ["c"]\nENTRYPOINT ["a"]', { [[cmd({"c"}, {history="CMD [\"c\"]"})]], [[entrypoint({"a"}, {history="ENTRYPOINT [\"a\"]"})]], [[cmd({{"c"}, {history="CMD [\"c\"]"}}, {history=false})]] } },
  { "EXPOSE 80 8000-8002/UDP $p", { 'expose({"80/tcp", "8000/udp", "8001/udp", "8002/udp"}, {history="EXPOSE [80/tcp 8000/udp 8001/udp 8002/udp]"})' } },
  { "ENV p=\"1 2\"\nEXPOSE $p 8080:3", { 'env({p="1 2"}, {history="ENV p=1 2"})', 'expose({"1/tcp", "2/tcp", "3/tcp"}, {history="EXPOSE [1/tcp 2/tcp 3/tcp]"})' } },
  { "VOLUME /a /b", { 'volume({"/a", "/b"}, {history="VOLUME [/a /b]"})' } }, { "USER u:g", { 'user("u:g", {history="USER u:g"})' } }, { "USER $none", { 'unset({user=true}, {history="USER "})' } },
  { "WORKDIR /a\nWORKDIR b/../c", { 'workdir("/a", {create=true, history="WORKDIR /a"})', 'workdir("b/../c", {create=true, history="WORKDIR /a/c"})' } }, { "WORKDIR /", { 'workdir("/", {create=false, history="WORKDIR /"})' } },
  { "STOPSIGNAL SIGINT", { 'stop_signal("SIGINT", {history="STOPSIGNAL SIGINT"})' } }, { "MAINTAINER me", { 'env({history="MAINTAINER me"})' } },
  { "ONBUILD RUN x", { 'on_build("RUN x", {history=false})' } }, { "HEALTHCHECK NONE", { 'healthcheck(false, {history="HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}"})' } },
  { "HEALTHCHECK --interval=90s --retries=2 CMD a", { 'healthcheck({interval=90, retries=2, test="a"}, {history="HEALTHCHECK {Test:[CMD-SHELL a] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}"})' } },
  { "COPY a b /c/", { 'copy({"a", "b"}, "/c/", {from=Context(ctx), history="COPY a b /c/"})' } },
  { "ENV d=x\nCOPY --chown=$d --chmod=0600 --exclude=*.o --link $d /$d", { 'env({d="x"}, {history="ENV d=x"})', 'copy({"x"}, "/x", {chmod="0600", chown="x", exclude={"*.o"}, from=Context(ctx), history="COPY --chown=x --chmod=0600 x /x", link=true})' } },
  { "COPY --parents a/./b /", { 'copy({"a/./b"}, "/", {from=Context(ctx), history="COPY --parents a/./b /", parents=true})' } },
  { "COPY --from=img:1 /a /b", { 'copy({"/a"}, "/b", {from=State(img:1), history="COPY /a /b"})' } },
  { "ENV w=W\nCOPY --chown=1 <<EOF /f\n$w \"q\" '$w' \\$w\nEOF", { 'env({w="W"}, {history="ENV w=W"})', [[write("/f", "W \"q\" 'W' $w\n", {chown="1", history="COPY --chown=1 <<EOF /f"})]] } },
  { "COPY --chmod=u+x,go= <<'EOF' /d/\n$w\nEOF", { [[write("/d/EOF", "$w\n", {history="COPY --chmod=u+x,go= <<EOF /d/", mode="0700"})]] } },
  { "COPY <<EOF /dir\nEOF", { [[write("/dir/EOF", "", {history="COPY <<EOF /dir"})]] } },
  { "COPY a <<EOF /d/\nx\nEOF", { 'layer({history="COPY a <<EOF /d/"})', 'copy({"a"}, "/d/", {from=Context(ctx)})', [[write("/d/EOF", "x\n")]] } },
  { "ADD --unpack=true --checksum=sha256:a https://x/y /z", { 'add({"https://x/y"}, "/z", {checksum="sha256:a", history="ADD https://x/y /z", unpack=true})' } },
  { "ADD a.tar /z", { 'add({"a.tar"}, "/z", {from=Context(ctx), history="ADD a.tar /z"})' } },
}
recorder.files["/dir"] = "dir"
for _, case in ipairs(cases) do
  check.same(calls(case[1], case[3]), case[2], case[1])
end

-- failures tell the instruction's place and keep what they have
local function fails(text, options)
  local ok, err = pcall(recorder.build, text, options)
  if ok then error("expected a failure: " .. text) end
  return err
end
local e = fails "FROM a\n\nRUN \\\n fail\n"
check.same({ e.kind, e.exit_code, e.stderr, e.line, e.file, tostring(e.state) }, { "exit", 3, "oh", 3, "Dockerfile", "State(a)" })
check.same(e.message, "Dockerfile:3: command exited with code 3: fail\n  3 | RUN \\\n  4 |  fail")
for _, case in ipairs {
  { "RUN --mount=type=cache,target=/ x", "Dockerfile:2: the root folder cannot be a mount's target" }, { "RUN --security=insecure x", "Dockerfile:2: '--security=insecure' is not allowed" },
  { "COPY https://x/y /", "Dockerfile:2: COPY takes no URL: 'https://x/y'" }, { "ADD --checksum=sha256:a b /", "Dockerfile:2: '--checksum' needs one URL as the source" },
  { "EXPOSE 70000", "Dockerfile:2: invalid port '70000': expected NUMBER[-NUMBER][/tcp|udp|sctp]" }, { "EXPOSE 80/tpc", "Dockerfile:2: unknown protocol 'tpc' of port '80/tpc'" }, { "EXPOSE 9-8", "Dockerfile:2: invalid range of ports '9-8': it ends before it begins" },
  { "ENV a=\"${b?not set}\"", "Dockerfile:2: b: not set" }, { "WORKDIR $none", "Dockerfile:2: WORKDIR: '$none' is empty" }, { "COPY a <<EOF /d\nEOF", "Dockerfile:2: several sources need a folder as their target, not '/d'" },
  { "COPY --chmod=rw <<EOF /d\nEOF", "Dockerfile:2: invalid mode 'rw'" },
} do check.same(fails("FROM a\n" .. case[1]).message:match "^[^\n]*", case[2], case[1]) end
