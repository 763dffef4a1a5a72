-- On a terminal steps that run show their last lines below them; one that is done is a line, one that fails keeps some.
local check = require "check"
if not host.run({ "sh", "-c", "command -v script" }, { capture = true, check = false }).ok then
  print("skipped: no script(1)")
  os.exit(0)
end
check.busybox():tag "busybox:1"
local dir <close> = fs.tempdir()
-- Each stage goes on when the other has begun, so that both are shown at the same time.
local function stage(name, other)
  return "FROM busybox:1 AS " .. name .. "\nRUN --mount=type=cache,target=/c echo begun-" .. name .. "; touch /c/" .. name
    .. "; while ! [ -e /c/" .. other .. " ]; do sleep 0.05; done; sleep 1; echo over-" .. name .. "; touch /" .. name .. "\n"
end
local function on_terminal(text)
  fs.write(dir.path .. "/Dockerfile", text)
  local line = ("stty cols 200 rows 30; TERM=xterm '%s' build '%s'"):format(host.env.MOONSHELL, dir.path)
  local result = host.run({ "script", "-qec", line, "/dev/null" }, { capture = true, check = false, input = "" })
  return result.stdout:gsub("\r", ""), result.exit_code
end
local shown, status = on_terminal(stage("one", "two") .. stage("two", "one") .. "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n")
check.same(status, 0, shown)
local plain = shown:gsub("\27%[[%d;?]*%a", "\1")
for _, name in ipairs { "one", "two" } do
  check.has(plain, "│ \1begun-" .. name)
  check.same(select(2, plain:gsub("%[" .. name .. " 2/2%] RUN [^\n]*: done %(", "")), 1, name .. " is done once")
end
-- both at once: one picture has the lines of one and of the other, with nothing done between
local picture = plain:match "│ \1begun%-one\1%s*[^%w%[]*%[two 2/2%]" or plain:match "│ \1begun%-two\1%s*[^%w%[]*%[one 2/2%]"
check.same(picture ~= nil, true, plain)
check.has(shown, "\27[2K")
-- what failed keeps its last lines, and the error says where it was
shown, status = on_terminal "FROM busybox:1\nRUN echo last words; exit 3\n"
check.same(status, 1)
check.has(shown:gsub("\27%[[%d;?]*%a", ""), "[2/2] RUN echo last words; exit 3: failed (")
check.has(shown, "│ last words")
check.has(shown, "Dockerfile:2: command exited with code 3: echo last words; exit 3")
