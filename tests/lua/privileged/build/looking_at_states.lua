-- The steps that led to a state, its history, single files, and how two states differ.
local check = require "check"
local img = check.busybox()
local base = build.from(img)
local s = base:run "echo hello > /hello":env { A = "1" }:write("/etc/x", "12345"):run "true"
local tree = s:tree()
local words = {}
for index, step in ipairs(tree) do words[index] = step.step end
check.same({ table.unpack(words, 2) }, { "RUN echo hello > /hello", "ENV A=1", "WRITE /etc/x", "RUN true" })
check.same({ tree[1].cached, tree[2].cached, tree[3].cached, tree[5].layer }, { nil, false, nil, nil })
check.same({ tree[2].size, tree[4].size }, { 6, 5 })
check.same({ tree[5].key, #tree[5].created > 0 }, { s.key, true })
check.same(base:run("echo hello > /hello"):tree()[2].cached, true)
check.has(tostring(tree), "WRITE /etc/x")
check.has(tostring(tree), "5 B")
local history = s:history()
local last = history[#history - 1]
check.same({ last.created_by, last.size, last.empty_layer }, { "WRITE /etc/x", 5, false })
check.same(history[#history].empty_layer, true)
check.same(#s:commit():history(), #history)
-- one file
local entry = s:stat "/etc/x"
check.same({ entry.name, entry.kind, entry.size, entry.octal }, { "x", "file", 5, "0644" })
check.same({ s:stat "/nothing", s:stat("/").kind, s:stat("etc/../etc/x").size }, { nil, "dir", 5 })
check.same(base:run("ln -s /nowhere /l"):stat("/l").kind, "link")
-- differences
local function diff(a, b)
  local list = {}
  for index, one in ipairs(a:diff(b)) do list[index] = one.kind .. " " .. one.path end
  return list
end
check.same(diff(s, s), {})
check.same(diff(s, s:env { B = "2" }), {})
local t = base:run "mkdir -p /d/e; echo 1 > /d/e/f; echo a > /same; echo old > /mod; chmod 600 /same; ln -s a /l; echo x > /gone; mkdir /going; echo y > /going/y"
local u = t:run "echo 2 > /d/e/g; rm /gone; rm -r /going; echo new > /mod; chmod 644 /same; ln -sf b /l; touch /d/e/f"
check.same(diff(t, u), { "added /d/e/g", "deleted /going", "deleted /gone", "changed /l", "changed /mod", "changed /same" })
check.same(diff(u, t), { "deleted /d/e/g", "added /going", "added /going/y", "added /gone", "changed /l", "changed /mod", "changed /same" })
-- the same made in two ways is no difference
check.same(diff(base:write("/a", "1"):write("/b", "2"), base:write("/b", "2"):write("/a", "1")), {})
-- a folder in the place of a file, and the other way round
local f, g = base:write("/x", "1"), base:write("/x/y", "1")
check.same(diff(f, g), { "changed /x", "added /x/y" })
check.same(diff(g, f), { "changed /x" })
check.same(diff(build.scratch(), build.scratch():write("/one/two", "")), { "added /one", "added /one/two" })
check.has(tostring(f:diff(g)), "added")
