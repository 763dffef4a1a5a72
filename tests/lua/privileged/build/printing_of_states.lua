-- What people see of states, steps and files: one line each, whatever a script writes into its steps.
local check = require "check"
local img = check.busybox()
local base = build.from(img)
check.same((tostring(base):gsub("%x%x%x%x%x%x%x+", "ID", 1)), ("State(ID, from %s, 1 layer)"):format(img.short_id))
img:tag "busybox:1"
local s = build.from("busybox:1"):run [[
    set -e
    echo one > /one

    echo two > /two
]]
local words = "RUN set -e echo one > /one echo two > /two"
check.same({ s.step, s:read "/two" }, { words, "two\n" })
check.same((tostring(s):gsub("%x%x%x%x%x%x%x+", "ID", 1)), "State(ID, " .. words .. ", 2 layers)")
check.same(tostring(s:why()), words .. ": ran for the first time")
-- the history is what was run
check.has(s:history()[2].created_by, "set -e\n    echo one")
-- tables have a line for each step, cut where it is long, with times to the second
local long = s:run("true " .. ("x"):rep(200))
local lines = {}
for line in tostring(long:tree()):gmatch "[^\n]+" do lines[#lines + 1] = line end
check.same(#lines, 4)
check.has(lines[3], words)
check.same(lines[3]:match "%d%d:%d%d:%d%dZ" ~= nil, true, lines[3])
check.same(lines[4]:match "RUN true x+…$" ~= nil, true, lines[4])
check.same(#long:tree()[3].step, #"RUN true " + 200, "the field has all of it")
local listed = 0
for line in tostring(cache.list()):gmatch "[^\n]+" do
  if line:find("RUN set -e", 1, true) then listed = listed + 1 end
end
check.same(listed, 1)
check.same(select(2, tostring(long:history()):gsub("\n", "")), #long:history())
-- what comes after a long step says why in a line
check.same(tostring(long:why()):match "^RUN true x+…: ran for the first time$" ~= nil, true, tostring(long:why()))
-- progress has one line for it, too
local told = check.again [[build.from("busybox:1"):run("\n  echo seen\n  true\n", {cache=false})]]
check.has(told.stderr, "RUN echo seen true | seen\n")
check.has(told.stderr, "\nRUN echo seen true: done (")
-- files, and names that would move the cursor
check.same({ tostring(s:stat "/one"), tostring(s:stat "/bin") }, { "Entry(one, file, 0644, 4 B)", "Entry(bin, dir, 0755)" })
local odd = s:write("/odd/a\27[2Jb\nc", "")
check.has(tostring(odd:list "/odd"), [[a\u{1b}[2Jb\nc]])
check.has(tostring(s:diff(odd)), [[/odd/a\u{1b}[2Jb\nc]])
