-- What each instruction is read as.
local check = require "check"
local parser = require "dockerfile.parser"

local function parse(text) return parser.parse(text, "Dockerfile") end
local function one(line) return parse("FROM a\n" .. line).stages[1].steps[1] end

-- instruction; fields of what it is read as
local cases = {
  { "RUN make", { keyword = "RUN", command = "make", json = false } },
  { "run make", { keyword = "RUN", command = "make" } },
  { "Run\tmake  -j 2 ", { command = "make  -j 2" } },
  { 'RUN ["a", "b c"]', { command = { "a", "b c" }, json = true } },
  { 'RUN [ "a" , "\\u00e9\\n" ]', { command = { "a", "é\n" } } },
  { "RUN ['a']", { command = "['a']", json = false } },
  { 'RUN ["a", ]', { command = '["a", ]', json = false } },
  { 'RUN ["a"] b', { command = '["a"] b', json = false } },
  { "RUN [ -f x ]", { command = "[ -f x ]", json = false } },
  { "RUN --network=none make", { flags = { network = "none" }, command = "make" } },
  { "RUN --network=none --security=insecure  make --x", { flags = { network = "none", security = "insecure" }, command = "make --x" } },
  { "RUN --mount=type=cache,target=/a --mount=type=tmpfs,target=/b x", { flags = { mount = { "type=cache,target=/a", "type=tmpfs,target=/b" } } } },
  { 'RUN --mount="type=cache,target=/a b" x', { flags = { mount = { "type=cache,target=/a b" } } } },
  { "RUN -- --x", { command = "--x" } },
  { "RUN \\\n  a \\\n  b", { command = "a   b" } },
  { "RUN a \\ \t\n b", { command = "a  b" } },
  { "RUN a\\\\\nRUN b", { command = "a\\\\" } },
  { "RUN a \\\n# c\n  # d\n b", { command = "a  b" } },
  { "RUN a \\\n\n b", { command = "a  b" } },
  { "RUN a # no comment", { command = "a # no comment" } },
  { "RUN a \\", { command = "a" } },
  { "RUN <<EOF\na\nb\nEOF", { sole = true, heredocs = { { name = "EOF", content = "a\nb\n", expand = true, chomp = false } } } },
  { "RUN <<-EOF\n\ta\n\tEOF", { sole = true, heredocs = { { name = "EOF", content = "\ta\n", expand = true, chomp = true } } } },
  { "RUN <<'E F'\na\nE F", { sole = true, heredocs = { { name = "E F", content = "a\n", expand = false, chomp = false } } } },
  { 'RUN <<"EOF"\nEOF', { sole = true, heredocs = { { name = "EOF", content = "", expand = false, chomp = false } } } },
  { "RUN << EOF\na\nEOF", { heredocs = { { name = "EOF", content = "a\n", expand = true, chomp = false } } } },
  { "RUN cat <<A > /a && cat 3<<B\n1\nA\n2\nB", { sole = false, heredocs = { { name = "A", content = "1\n", expand = true, chomp = false }, { name = "B", content = "2\n", expand = true, chomp = false } } } },
  { "RUN x=$((1 << 2))", { heredocs = {}, command = "x=$((1 << 2))" } },
  { "RUN cat <<< text", { heredocs = {} } },
  { "RUN echo 'a", { heredocs = {}, command = "echo 'a" } },
  { 'RUN ["cat", "<<EOF"]', { heredocs = {}, command = { "cat", "<<EOF" } } },
  { "RUN <<EOF\na \\\n# b\nEOF", { heredocs = { { name = "EOF", content = "a \\\n# b\n", expand = true, chomp = false } } } },
  { "CMD a b", { command = "a b", json = false } }, { 'CMD ["a"]', { command = { "a" } } }, { "CMD []", { command = {}, json = true } }, { "CMD", { command = "" } },
  { 'ENTRYPOINT ["a", "-b"]', { command = { "a", "-b" } } }, { "ENTRYPOINT a", { command = "a" } },
  { "COPY a b", { sources = { "a" }, target = "b", contents = {} } },
  { "COPY a b /c/", { sources = { "a", "b" }, target = "/c/" } },
  { 'COPY ["a b", "/c d/"]', { sources = { "a b" }, target = "/c d/" } },
  { "COPY --from=x --chown=1:2 --chmod=0644 --link --parents --exclude=*.o --exclude=b a /", { flags = { from = "x", chown = "1:2", chmod = "0644", link = true, parents = true, exclude = { "*.o", "b" } } } },
  { "COPY --link=false a b", { flags = { link = false } } }, { "COPY --link=TRUE a b", { flags = { link = true } } },
  { "COPY <<EOF /f\na\nEOF", { sources = {}, contents = { { name = "EOF", content = "a\n", expand = true } }, target = "/f" } },
  { "COPY <<-'a.txt' b /f/\n\t\tx\na.txt", { sources = { "b" }, contents = { { name = "a.txt", content = "x\n", expand = false } } } },
  { "COPY <<A <<B /d/\n1\nA\n2\nB", { contents = { { name = "A", content = "1\n", expand = true }, { name = "B", content = "2\n", expand = true } } } },
  { "ADD --checksum=sha256:a --keep-git-dir=true --unpack=false https://x/y /z", { flags = { checksum = "sha256:a", keep_git_dir = true, unpack = false } } },
  { "ENV a b", { pairs = { { "a", "b", legacy = true } } } }, { "ENV a b c=d", { pairs = { { "a", "b c=d", legacy = true } } } },
  { "ENV a=b", { pairs = { { "a", "b" } } } }, { "ENV a=b c=d", { pairs = { { "a", "b" }, { "c", "d" } } } }, { "ENV a=", { pairs = { { "a", "" } } } },
  { 'ENV a="x y" b=\'p q\' c=x\\ y', { pairs = { { "a", '"x y"' }, { "b", "'p q'" }, { "c", "x\\ y" } } } }, { "ENV a=b=c", { pairs = { { "a", "b=c" } } } },
  { "ENV a=1 \\\n  b=2", { pairs = { { "a", "1" }, { "b", "2" } } } },
  { 'LABEL "com.example.a"="b c"', { pairs = { { '"com.example.a"', '"b c"' } } } }, { "LABEL a b", { pairs = { { "a", "b", legacy = true } } } },
  { "ARG a", { args = { { name = "a" } } } }, { "ARG a=", { args = { { name = "a", value = "" } } } }, { 'ARG a b=1 c="x y"', { args = { { name = "a" }, { name = "b", value = "1" }, { name = "c", value = '"x y"' } } } },
  { "EXPOSE 80 443/tcp", { ports = { "80", "443/tcp" } } }, { "VOLUME /a /b", { paths = { "/a", "/b" } } }, { 'VOLUME ["/a b"]', { paths = { "/a b" } } },
  { "USER a:b", { user = "a:b" } }, { "WORKDIR /a b", { path = "/a b" } }, { "STOPSIGNAL 9", { signal = "9" } }, { 'SHELL ["/bin/bash", "-c"]', { shell = { "/bin/bash", "-c" } } },
  { "MAINTAINER me <a@b>", { name = "me <a@b>" } },
  { "HEALTHCHECK NONE", { none = true } }, { "healthcheck none", { none = true } },
  { "HEALTHCHECK CMD a b", { command = "a b", json = false } }, { 'HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2h --start-interval=1.5s --retries=3 CMD ["a"]', { command = { "a" }, json = true, interval = 90, timeout = 0.5, start_period = 7200, start_interval = 1.5, retries = 3 } },
  { "HEALTHCHECK --interval=0s --retries=0 CMD a", { command = "a", retries = 0 } },
  { "ONBUILD RUN make", { trigger = "RUN make" } }, { "ONBUILD   copy . /src", { trigger = "copy . /src" } },
  { "ONBUILD RUN <<EOF\na\nEOF", { trigger = "RUN <<EOF\na\nEOF" } },
}
for _, case in ipairs(cases) do
  local item = one(case[1])
  for name, want in pairs(case[2]) do check.same(item[name], want, case[1] .. ": " .. name) end
end

-- stages
for _, case in ipairs {
  { "FROM a", { base = "a" } }, { "from a:1 as B", { base = "a:1", name = "b" } }, { "FROM --platform=linux/arm64 a AS x-1.y_z", { base = "a", name = "x-1.y_z", platform = "linux/arm64" } },
  { "FROM a@sha256:00", { base = "a@sha256:00" } }, { "FROM ${A:-b}", { base = "${A:-b}" } }, { "FROM scratch", { base = "scratch", index = 0 } },
} do
  local stage = parse(case[1]).stages[1]
  for name, want in pairs(case[2]) do check.same(stage[name], want, case[1] .. ": " .. name) end
end

-- files as a whole: directives, marks, line ends, comments, places
local d = parse "\239\187\191# syntax=docker/dockerfile:1\r\n# ESCAPE = `\r\n\r\n# about it\r\nFROM a\r\n\r\n# the run\r\nRUN a `\r\n  b\\\r\n"
check.same(d.directives, { syntax = "docker/dockerfile:1", escape = "`" })
check.same(d.stages[1].steps[1].command, "a   b\\")
check.same(d.stages[1].steps[1].comments, { "the run" })
check.same(d.stages[1].from.comments, { "about it" })
check.same(d.stages[1].steps[1].place, { file = "Dockerfile", line = 8, last = 9, source = { "RUN a `", "  b\\" } })
-- a directive after anything else is a comment
check.same(parse("# hello\n# escape=`\nFROM a").escape, "\\")
check.same(parse("FROM a\n# escape=`\n# escape=`").escape, "\\")
check.same(parse("#escape=`\nFROM a").escape, "`")
check.same(parse("# check=skip=all\n# unknown=1\n# escape=`\nFROM a").escape, "\\")
-- arguments before FROM
local g = parse "ARG A=1\nARG B\nFROM a\nARG A\nFROM b AS c\nRUN x"
check.same({ #g.args, #g.stages, g.stages[1].steps[1].keyword, g.stages[2].name, g.stages[2].index }, { 2, 2, "ARG", "c", 1 })
-- a here-document's lines belong to its place, and comments at the end are kept
local h = parse "FROM a\nCOPY <<EOF /x\n# no comment\nEOF\n# end"
check.same({ h.stages[1].steps[1].place.last, h.stages[1].steps[1].contents[1].content, h.ending }, { 4, "# no comment\n", { "end" } })
