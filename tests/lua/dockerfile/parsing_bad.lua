-- What is wrong with a Dockerfile, and how that is said: file, line, the line itself, and a hint where one helps.
local check = require "check"
local parser = require "dockerfile.parser"

-- instruction behind FROM; message; hint
local cases = {
  { "RUNN make", "unknown instruction 'RUNN'", "did you mean 'RUN'?" },
  { "COPPY a b", "unknown instruction 'COPPY'", "did you mean 'COPY'?" },
  { "entrypiont x", "unknown instruction 'entrypiont'", "did you mean 'ENTRYPOINT'?" },
  { "FOOBARBAZ", "unknown instruction 'FOOBARBAZ'" },
  { "RUN", "RUN needs a command" }, { "RUN []", "RUN needs a command" }, { "RUN [1]", "a list in JSON form may hold strings only" },
  { 'RUN ["a", null]', "a list in JSON form may hold strings only" }, { 'CMD ["a", {}]', "a list in JSON form may hold strings only" },
  { "RUN --netwrok=none x", "RUN has no flag '--netwrok'", "did you mean '--network'?" }, { "RUN --network x", "flag '--network' needs a value", "write --network=VALUE" },
  { "RUN --network=bridge x", "invalid value 'bridge' for '--network': expected default, none, host" },
  { "RUN --security=unsafe x", "invalid value 'unsafe' for '--security': expected sandbox, insecure" },
  { "RUN --network=none --network=host x", "flag '--network' is there twice" },
  { "RUN --mount=type=cahce,target=/a x", "unknown type 'cahce' of a mount", "did you mean 'cache'?" },
  { "RUN --mount=type=cache,targte=/a x", "unexpected key 'targte' in 'targte=/a'", "did you mean 'target'?" },
  { "RUN --mount=type=cache x", "a mount of type 'cache' needs a 'target'" }, { "RUN --mount=target x", "'target' needs a value", "write target=VALUE" },
  { "RUN --mount=type=cache,target=/a,sharing=lock x", "unknown sharing 'lock' of a mount" }, { "RUN --mount=type=bind,target=/a,size=1m x", "a mount of type 'bind' has no 'size'" },
  { "RUN --mount=type=tmpfs,target=/a,size=big x", "invalid value 'big' for 'size'" }, { "RUN --mount=type=bind,target=/a,mode=0644 x", "a mount of type 'bind' has no 'mode'" },
  { "RUN --mount=type=cache,target=/a,mode=9 x", "invalid value '9' for 'mode'" }, { "RUN --mount=type=cache,target=/a,uid=me x", "invalid value 'me' for 'uid'" },
  { "RUN --mount=type=secret x", "a secret mount needs an 'id' or a 'target'" }, { "RUN --mount=type=secret,id=a,source=b x", "'source' and 'id' of a secret mount mean the same" },
  { "RUN --mount=type=secret,id=a,required=maybe x", "invalid value 'maybe' for 'required': expected true or false" },
  { "RUN --mount=type=bind,from=$x,target=/a x", "'from' of a mount takes no variables", "name a stage for it: FROM IMAGE AS name" },
  { "RUN <<EOF\na", "the here-document 'EOF' does not end", "write EOF alone on a line behind it" }, { "COPY <<A <<B /\n1\nA\n2", "the here-document 'B' does not end", "write B alone on a line behind it" },
  { "COPY a", "COPY needs a target", "write COPY SOURCE... TARGET" }, { "COPY", "COPY needs a source and a target", "write COPY SOURCE... TARGET" }, { "ADD a", "ADD needs a target", "write ADD SOURCE... TARGET" },
  { "COPY --form=x a b", "COPY has no flag '--form'", "did you mean '--from'?" }, { "COPY --link=maybe a b", "flag '--link' must be true or false, not 'maybe'" }, { "COPY --link= a b", "flag '--link' must be true or false, not ''" },
  { "COPY --from=$x a b", "COPY --from takes no variables", "name a stage for it: FROM IMAGE AS name" }, { "COPY --chown=1 --chown=2 a b", "flag '--chown' is there twice" },
  { "COPY a <<EOF\nEOF", "COPY cannot have a here-document as its target" }, { "COPY --checksum=a b c", "COPY has no flag '--checksum'" },
  { "ENV", "ENV needs at least one argument" }, { "ENV a", "ENV needs a value for 'a'", "write ENV a=VALUE" }, { "ENV a=b c", "'c' is not NAME=VALUE", "put values that have blanks into quotes" },
  { "ENV =b", "ENV: the name in '=b' is empty" }, { "LABEL", "LABEL needs at least one argument" }, { "LABEL a", "LABEL needs a value for 'a'", "write LABEL a=VALUE" },
  { "ARG", "ARG needs at least one argument" }, { "ARG =1", "ARG: the name in '=1' is empty" },
  { "EXPOSE", "EXPOSE needs at least one port" }, { "VOLUME", "VOLUME needs at least one path" }, { "VOLUME []", "VOLUME needs at least one path" }, { 'VOLUME ["", "a"]', "VOLUME: a path is empty" },
  { "USER", "USER needs an argument" }, { "WORKDIR", "WORKDIR needs an argument" }, { "STOPSIGNAL", "STOPSIGNAL needs an argument" }, { "MAINTAINER", "MAINTAINER needs an argument" },
  { "SHELL /bin/bash -c", "SHELL needs a list in JSON form", 'write SHELL ["/bin/bash", "-c"]' }, { "SHELL []", "SHELL needs a list in JSON form", 'write SHELL ["/bin/bash", "-c"]' },
  { "HEALTHCHECK", "HEALTHCHECK needs CMD or NONE", "write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE" }, { "HEALTHCHECK curl x", "HEALTHCHECK does not know 'CURL'", "write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE" },
  { "HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments" }, { "HEALTHCHECK CMD", "HEALTHCHECK CMD needs a command" }, { "HEALTHCHECK CMD []", "HEALTHCHECK CMD needs a command" },
  { "HEALTHCHECK --interval=soon CMD a", "invalid time 'soon' for '--interval'", "write a number and a unit, such as 30s or 1m30s" }, { "HEALTHCHECK --interval=30 CMD a", "invalid time '30' for '--interval'", "write a number and a unit, such as 30s or 1m30s" },
  { "HEALTHCHECK --timeout=1us CMD a", "'--timeout' must be at least 1ms, not '1us'" }, { "HEALTHCHECK --retries=-1 CMD a", "invalid number '-1' for '--retries'" }, { "HEALTHCHECK --retires=1 CMD a", "HEALTHCHECK has no flag '--retires'", "did you mean '--retries'?" },
  { "ONBUILD", "ONBUILD needs an instruction" }, { "ONBUILD ONBUILD RUN x", "ONBUILD cannot be a trigger of ONBUILD" }, { "ONBUILD FROM x", "FROM cannot be a trigger of ONBUILD" }, { "ONBUILD maintainer x", "MAINTAINER cannot be a trigger of ONBUILD" },
  { "ONBUILD RUNN x", "unknown instruction 'RUNN'", "did you mean 'RUN'?" }, { "ONBUILD COPY a", "COPY needs a target", "write COPY SOURCE... TARGET" },
  { "FROM", "FROM takes an image, or an image AS a name", "write FROM IMAGE [AS NAME]" }, { "FROM a b", "FROM takes an image, or an image AS a name", "write FROM IMAGE [AS NAME]" }, { "FROM a AS", "FROM takes an image, or an image AS a name", "write FROM IMAGE [AS NAME]" },
  { "FROM a AS 1b", "invalid stage name '1b'", "it begins with a letter, and has letters, digits, '-', '_' and '.'" }, { "FROM a AS b/c", "invalid stage name 'b/c'", "it begins with a letter, and has letters, digits, '-', '_' and '.'" },
  { "FROM --platfrom=x a", "FROM has no flag '--platfrom'", "did you mean '--platform'?" },
}
for _, case in ipairs(cases) do
  local first = case[1]:match "^[^\n]*"
  local ok, err = pcall(parser.parse, "# a comment\nFROM a\n" .. case[1], "sub/My.Dockerfile")
  if ok then error("expected a failure: " .. case[1]) end
  check.same(err.message:match "^[^\n]*", "sub/My.Dockerfile:3: " .. case[2], case[1])
  check.has(err.message, "\n  3 | " .. first, case[1])
  check.same({ err.kind, err.file, err.line, err.hint }, { "invalid_argument", "sub/My.Dockerfile", 3, case[3] }, case[1])
end

-- files as a whole
for _, case in ipairs {
  { "", "Dockerfile: there is no FROM" }, { "# only\n\n", "Dockerfile: there is no FROM" }, { "ARG A", "Dockerfile: there is no FROM" },
  { "RUN x\nFROM a", "Dockerfile:1: RUN stands before the first FROM\n  1 | RUN x" }, { "\n\nLABEL a=b", "Dockerfile:3: LABEL stands before the first FROM\n  3 | LABEL a=b" },
  { "# escape=`\n# escape=\\\nFROM a", "Dockerfile:2: only one 'escape' directive can be used\n  2 | # escape=\\" },
  { "# escape=x\nFROM a", "Dockerfile:1: invalid escape 'x'\n  1 | # escape=x" },
  -- all lines of an instruction are shown, and of a long one the first
  { "FROM a\nENV a=1 \\\n  b", "Dockerfile:2: 'b' is not NAME=VALUE\n  2 | ENV a=1 \\\n  3 |   b" },
  { "FROM a\nENV a=1 \\\n1 \\\n2 \\\n3 \\\n4 \\\n5 \\\n6 \\\n7 \\\n8 \\\n9", "Dockerfile:2: '1' is not NAME=VALUE\n  2 | ENV a=1 \\\n  3 | 1 \\\n  4 | 2 \\\n  5 | 3 \\\n  6 | 4 \\\n  7 | 5 \\\n  8 | 6 \\\n  9 | 7 \\\n    | ..." },
} do
  local ok, err = pcall(parser.parse, case[1])
  if ok then error("expected a failure: " .. case[1]) end
  check.same(err.message, case[2], case[1])
end
