-- Cache mounts: folders that outlive steps, shared, private or locked; part of no layer and no key.
local check = require "check"
local img = check.busybox()
local s = build.from(img)
local root = host.env.MOONSHELL_ROOT or (host.env.HOME .. "/.local/share/moonshell")
local function run(cmd, mount, more)
  local opts = more or {}
  opts.mounts, opts.cache = { mount }, false
  return s:out(cmd, opts)
end
local c = { type = "cache", target = "/c" }
check.same(run("echo one >> /c/log; cat /c/log", c), "one")
check.same(run("echo two >> /c/log; cat /c/log", "type=cache,target=/c"), "one\ntwo")
check.same(run("cat /other/log", { type = "cache", target = "/other", id = "/c" }), "one\ntwo", "the id of a cache is its target")
check.same(run("ls /c | wc -l", { type = "cache", target = "/c", id = "c" }), "0")
check.same(run("echo x > /c/x 2>/dev/null || echo no", { type = "cache", target = "/c", ro = true }), "no")
-- not in the layer, nor its place, nor in the key
local t = s:run("echo three >> /cache/deep/log; cat /proc/sys/kernel/random/uuid > /stamp", { mounts = { { type = "cache", target = "/cache/deep" } } })
check.same({ t:exists "/cache", t:exists "/stamp" }, { false, true })
run("echo four >> /cache/deep/log", { type = "cache", target = "/cache/deep" })
check.same(s:run("echo three >> /cache/deep/log; cat /proc/sys/kernel/random/uuid > /stamp", { mounts = { { type = "cache", target = "/cache/deep" } } }):read "/stamp", t:read "/stamp")
check.same(run("cat /cache/deep/log", { type = "cache", target = "/cache/deep" }), "three\nfour")
-- looks of a new one; those of one that is there stay
local looks = { type = "cache", target = "/c", id = "looks", mode = "0750", uid = 1000, gid = 50 }
check.same(run("stat -c '%a %u %g' /c", looks), "750 1000 50")
looks.mode = "0700"
check.same(run("stat -c '%a' /c", looks), "750")
check.same(run("stat -c '%a %u %g' /c", { type = "cache", target = "/c", id = "plain" }), "755 0 0")
-- what a new one begins with
local seed = build.scratch():write("/lib/a", "a\n", { mode = "0600" }):write("/lib/sub/b", "b\n"):write("/x", "x\n")
check.same(run("find /c | sort | tr '\n' ' '; cat /c/a; stat -c %a /c/a; rm /c/a", { type = "cache", target = "/c", id = "seeded", from = seed, source = "/lib" }), "/c /c/a /c/sub /c/sub/b a\n600")
check.same(run("ls /c", { type = "cache", target = "/c", id = "seeded", from = seed, source = "/lib" }), "sub", "only once")
check.fails("not_found", "a cache cannot begin with '/none': no such folder", nil, run, "true", { type = "cache", target = "/c", id = "bad", from = seed, source = "/none" })
-- a folder of the cache; links in it lead nowhere else
check.same(run("echo deep > /c/f; pwd", { type = "cache", target = "/c", id = "parts", source = "a/b" }, { workdir = "/c" }), "/c")
run("ln -s /etc /c/abs; ln -s ../../../../.. /c/up", { type = "cache", target = "/c", id = "parts" })
check.same(run("cat /c/a/b/f; ls -a /c/etc 2>/dev/null | wc -l", { type = "cache", target = "/c", id = "parts", source = "up" }), "deep\n0")
check.same(run("ls -A /c", { type = "cache", target = "/c", id = "parts", source = "abs" }), "")
-- ids are any text; only a digest of them is a name on disk
for _, id in ipairs { "../../x", "/", "a/../b", "..", "ü\n" } do
  check.same(run("echo here > /c/f; cat /c/f", { type = "cache", target = "/c", id = id }), "here")
end
for _, name in ipairs(fs.list(root .. "/cache/mounts")) do check.same(name:match "^%x+%.?%d*$" ~= nil, true, name) end
check.same({ fs.exists(root .. "/x"), fs.exists(root .. "/cache/x") }, { false, false })
-- two mounts of one cache in a step; one below another
check.same(s:out("echo x > /a/f; cat /b/f", { mounts = { { type = "cache", target = "/a", id = "two", sharing = "locked" }, { type = "cache", target = "/b", id = "two", sharing = "locked" } } }), "x")
check.same(s:out("echo x > /a/sub/f; ls /a; ls /a/sub", { mounts = { { type = "cache", target = "/a/sub", id = "inner" }, { type = "cache", target = "/a", id = "outer" } } }), "sub\nf")

-- Sharing, among branches and among processes: a step says when it runs and waits for a word.
local dir <close> = fs.tempdir()
local wait = "echo $0 >> /c/log; echo x > /h/$0; while ! [ -e /h/go-$0 ]; do sleep 0.02; done; echo $0 end >> /c/log; cat /c/log"
local function step(name, sharing, id)
  -- The folder for words must be one that is shared with the host: a cache, seen from here.
  return s:out({ "/bin/sh", "-c", wait, name }, { cache = false, mounts = { { type = "cache", target = "/c", id = id, sharing = sharing }, { type = "cache", target = "/h", id = "words" } } })
end
run("true", { type = "cache", target = "/h", id = "words" })
local words
for _, name in ipairs(fs.list(root .. "/cache/mounts")) do
  if fs.read(root .. "/cache/mounts/" .. name .. "/id") == "words" then words = root .. "/cache/mounts/" .. name .. "/fs" end
end
local function await(name) while not fs.exists(words .. "/" .. name) do host.run { "sleep", "0.02" } end end
local function go(name) fs.write(words .. "/go-" .. name, "") end
-- shared: both at the same time
local a, b = table.unpack(parallel {
  function() return step("s1", "shared", "sh") end,
  function() return step("s2", "shared", "sh") end,
  function() await "s1" await "s2" go "s1" go "s2" end,
})
check.has(a, "s2")
check.has(b, "s1")
-- private: each its own
a, b = table.unpack(parallel {
  function() return step("p1", "private", "pr") end,
  function() await "p1" local got = step("p2", "private", "pr") go "p1" return got end,
  function() go "p2" end,
})
check.same({ a, b }, { "p1\np1 end", "p2\np2 end" })
check.same(run("cat /c/log", { type = "cache", target = "/c", id = "pr", sharing = "private" }), "p1\np1 end", "the first one again")
-- locked: one after the other
a, b = table.unpack(parallel {
  function() return step("l1", "locked", "lo") end,
  function() await "l1" return step("l2", "locked", "lo") end,
  function() await "l1" go "l2" go "l1" end,
})
check.same({ a, b }, { "l1\nl1 end", "l1\nl1 end\nl2\nl2 end" })
