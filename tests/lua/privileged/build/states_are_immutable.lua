-- A state never changes: steps return new ones, and branches share what they have in common.
local check = require "check"
local s = build.from(check.busybox())
local a = s:write("/a", "a")
local b = s:write("/b", "b")
local ab = a:write("/b", "b")
check.same({ s:exists "/a", a:exists "/a", a:exists "/b", b:exists "/a", ab:exists "/a", ab:exists "/b" },
  { false, true, false, false, true, true })
check.same(s:write("/a", "a") == a, true)
check.same(s:write("/a", "a").key, a.key)
check.same(a.key ~= b.key and a.key ~= s.key, true)
check.same(tostring(a):find("WRITE /a", 1, true) ~= nil or tostring(a), true)
-- a branch decided by an output
local function pick(state) return state:out "cat /which" == "x" and state:write("/out", "was x") or state:write("/out", "was not") end
check.same(pick(s:write("/which", "x")):read "/out", "was x")
check.same(pick(s:write("/which", "y")):read "/out", "was not")
-- two branches run at the same time, also the very same step
local one, two, same = parallel(
  function() return a:run "cp /a /one" end,
  function() return a:run "cp /a /two" end,
  function() return a:run "cp /a /one" end)
check.same({ one:read "/one", two:read "/two", same == one }, { "a", "a", true })
-- what `out` changes is forgotten
check.same(a:out "echo changed > /a; cat /a", "changed")
check.same(a:read "/a", "a")
-- a state runs as a container does, and that changes nothing either
check.same(check.out(ab, "cat /a /b; rm /a"), "ab")
check.same(ab:read "/a", "a")
-- looking
check.same(#s:list "/", 8)
local entry = a:list "/"[1]
check.same({ entry.name, entry.kind, entry.size, entry.octal, entry.uid }, { "a", "file", 1, "0644", 0 })
check.fails("not_found", "'/none' does not exist", nil, s.read, s, "/none")
check.fails("invalid_argument", "'/etc' is not a regular file", nil, s.read, s, "/etc")
check.fails("not_found", "'/none' does not exist", nil, s.list, s, "/none")
check.fails("invalid_argument", "'/etc/passwd' is not a folder", nil, s.list, s, "/etc/passwd")
check.fails("not_found", "'/none' does not exist", nil, s.remove, s, "/none")
