-- What a build prints to a log: whole lines with the step's name, a line for each step; and what a failed step leaves.
local check = require "check"
local code = [[
  local s = build.from(image.load(host.env.BUSYBOX)[1])
  s = s:run("printf 'one\ntw'; printf 'oops\n' >&2; printf 'o\n'; printf '\\033[2J\\033[31mred\\033[0m'", { label = "[test 1/2] RUN printf and more" })
  local ok, err = pcall(s.run, s, "echo the last words; exit 3", { label = "[test 2/2] RUN exit" })
  assert(not ok and err.exit_code == 3)
  s:run "echo why >&2; exit 4"]]
local r = check.moonshell("--progress", "plain", "-e", code)
check.same(r.exit_code, 1)
local text = "\n" .. r.stderr:gsub("%([%d.]+s%)", "(T)")
for _, line in ipairs {
  "[test 1/2] RUN printf and more | one", "[test 1/2] RUN printf and more | two", "[test 1/2] RUN printf and more | oops",
  "[test 1/2] RUN printf and more | \27[31mred\27[0m\27[0m", "[test 1/2] RUN printf and more: done (T)",
  "[test 2/2] RUN exit | the last words", "[test 2/2] RUN exit: failed (T)", "RUN echo why >&2; exit 4 | why",
  "RUN echo why >&2; exit 4: failed (T)", "error: command exited with code 4: echo why >&2; exit 4\n  | why",
} do check.has(text, "\n" .. line .. "\n") end
check.has("\n" .. check.moonshell("--progress", "plain", "-e", code).stderr, "\n[test 1/2] RUN printf and more: CACHED\n")

-- the same as objects
r = check.moonshell("--progress", "json", "-e", [[build.from(image.load(host.env.BUSYBOX)[1])
  :run("echo out; echo err >&2", {label="[a] RUN echo"})
  :run("echo out; echo err >&2", {label="[b] RUN echo"})]])
local seen = {}
for line in r.stderr:gmatch "[^\n]+" do
  local object = json.decode(line)
  if object.what == "step" then
    check.same(object.step, "RUN echo out; echo err >&2")
    check.has(object.time, "T")
    if object.event == "output" then
      seen[object.label .. object.stream] = object.text
    elseif object.event == "end" then
      seen[object.label] = ("%s %s %s"):format(object.outcome, object.cached, math.type(object.seconds) ~= nil)
    end
  end
end
check.same(seen["[a] RUN echostdout"] .. seen["[b] RUN echostderr"], "outerr")
check.same(seen["[a] RUN echo"], "done false true")
