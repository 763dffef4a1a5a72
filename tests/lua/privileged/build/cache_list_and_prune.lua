-- What builds remember: listed, pruned by age and size, kept where something stands on it.
local check = require "check"
local img = check.busybox()
local root = host.env.MOONSHELL_ROOT
-- Builds in a process of its own, so that nothing of this one stands on it.
local code = ([[
  local s = build.from(%q):run "dd if=/dev/zero of=/big bs=1024 count=1000 2>/dev/null":run "echo two > /two"
  io.write(s:read "/two", s:out "echo seen")
  if arg and arg[1] then s:commit "kept:1" end]]):format(img.id)
local function go(more)
  local r = check.again(code .. (more or ""))
  local ran, cached = check.steps(r.stderr)
  return #ran, #cached
end
local function steps()
  local list = {}
  for _, entry in ipairs(cache.list()) do
    if entry.kind == "step" then list[entry.step] = entry end
  end
  return list
end
local BIG, TWO, OUT = "RUN dd if=/dev/zero of=/big bs=1024 count=1000 2>/dev/null", "RUN echo two > /two", "OUT echo seen"
local function ran_and_cached(...) return { ... } end
check.same(ran_and_cached(go()), { 3, 0 })
check.same(ran_and_cached(go()), { 0, 3 })
local list = steps()
check.same({ list[BIG].size, list[TWO].size, list[OUT].size }, { 1024000, 4, 5 })
check.same({ list[BIG].shared, list[BIG].in_use, #list[BIG].key }, { false, false, 64 })
check.has(tostring(cache.list()), "RUN echo two > /two")
check.has(tostring(cache.list()), "1.0 MB")
-- nothing is that old, and all fits
check.same(cache.prune { older = "1h" }, { steps = 0, layers = 0, others = 0, bytes = 0 })
check.same(cache.prune({ keep = "1g" }).steps, 0)
-- the oldest use goes first
host.run { "touch", "-d", "2001-01-01", root .. "/cache/steps/" .. list[BIG].key }
check.same(steps()[BIG].last_used, "2001-01-01T00:00:00Z")
local gone = cache.prune { older = "7d" }
check.same({ gone.steps, gone.layers, gone.bytes }, { 1, 1, 1024000 })
check.same({ steps()[BIG], steps()[TWO] ~= nil }, { nil, true })
-- the step is taken again, and those after it: what they had read is gone
check.same(ran_and_cached(go()), { 3, 0 })
check.same(ran_and_cached(go()), { 0, 3 })
-- a use is noted
host.run { "touch", "-d", "2001-01-01", root .. "/cache/steps/" .. list[TWO].key }
go()
check.same(steps()[TWO].last_used > "2020", true)
host.run { "touch", "-d", "2001-01-01", root .. "/cache/steps/" .. list[BIG].key }
check.same(cache.prune({ keep = 100 }).steps, 1, "the big one alone does not fit")
-- all of it
go()
gone = cache.prune {}
check.same({ gone.steps, gone.layers }, { 3, 2 })
check.same(#cache.list(), 0)
check.same(#host.out { "sh", "-c", "ls -d " .. root .. "/layers/step-* 2>/dev/null; true" }, 0)
check.same(ran_and_cached(go()), { 3, 0 })
-- what an image has stays whole, also when its steps are forgotten
check.again(code .. [[ s:commit "kept:1"]])
check.same(steps()[BIG].shared, true)
check.same(cache.prune({}).layers, 0)
check.same(steps()[BIG] ~= nil, true, "without `all` steps of images stay")
gone = cache.prune { all = true }
check.same({ gone.steps > 0, gone.layers }, { true, 0 })
check.same(check.out("kept:1", "wc -c < /big; cat /two"), "1024000\ntwo")
image.remove "kept:1"
check.same(#host.out { "sh", "-c", "ls -d " .. root .. "/layers/step-* 2>/dev/null; true" }, 0, "then they go with it")
-- a damaged record counts as none, and goes
go()
fs.write(root .. "/cache/steps/" .. list[TWO].key, "{damaged")
check.same(ran_and_cached(go()), { 2, 1 })
fs.write(root .. "/cache/steps/" .. list[TWO].key, "{damaged")
check.same(cache.prune({}).steps, 3)
-- this process stands on what it has built
local s = build.from(img):run "echo mine > /mine"
check.same(steps()["RUN echo mine > /mine"].in_use, true)
check.same(cache.prune({ all = true }).steps, 0)
check.same(s:run "cat /mine > /yours":read "/yours", "mine\n")
-- kept folders and files of other kinds
host.run { "sh", "-c", "mkdir -p $0/cache/mounts/abc/sub && echo hello > $0/cache/mounts/abc/sub/f", root }
local entry
for _, other in ipairs(cache.list()) do if other.kind == "mount" then entry = other end end
check.same({ entry.key, entry.size }, { "abc", 6 })
check.same(cache.prune({}).others >= 1, true)
check.same(fs.exists(root .. "/cache/mounts/abc"), false)
-- as commands
local r = check.moonshell("cache", "ls")
check.has(r.stdout, "RUN echo mine > /mine")
check.has(check.moonshell("builder", "prune", "-af").stdout, "Total reclaimed space:")
check.has(check.moonshell("system", "df").stdout, "Build Cache")
check.same(check.moonshell("cache", "prune").stdout:match "Total", nil, "asks first")
check.same(check.moonshell("builder", "prune", "-f", "--filter", "until=1h", "--keep-storage", "1g").ok, true)
