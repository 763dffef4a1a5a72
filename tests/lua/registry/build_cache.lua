-- Steps go to a registry as a cache, and other stores build on them without running them.
-- timeout-ms: 90000
local check = require "check"
local R = host.env.REGISTRY
local dir <close> = fs.tempdir()
local name = R .. "/caches/app:1"
local random = "cat /proc/sys/kernel/random/uuid"
local code = ([[
  local base = build.from(%q)
  local s = base:run "%s > /u":run "wc -c < /u > /count; mkdir /d; chmod 1777 /d; rm /etc/group"
  local other = base:run "%s > /other"
  local said = s:out "cat /u"
]]):format(R .. "/busybox", random, random)
local first = check.again(code .. ([[
  local done = cache.export(%q)
  print(done.steps, done.layers, s:read "/u" == said .. "\n", s:commit().id, said, done.digest)
  print(cache.export(%q, {states = {s}}).steps)]]):format(name, name .. "-part"), dir.path .. "/one")
local steps, layers, same, id, said, digest = first.stdout:match "^(%S+)\t(%S+)\t(%S+)\t(%S+)\t(%S+)\t(%S+)\n"
check.same({ steps, layers, same }, { "4", "3", "true" })
check.same(first.stdout:match "\n(%d+)\n$", "2", "only the steps of that state")
-- what others see is an OCI artifact
local raw = json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "--raw", "docker://" .. name })
check.same({ raw.mediaType, raw.artifactType, #raw.layers },
  { "application/vnd.oci.image.manifest.v1+json", "application/vnd.moonshell.cache.v1+json", 4 })
-- another store: nothing runs, and a commit fetches blobs without unpacking them
local function layers_of(root) return host.out { "sh", "-c", "ls $0/layers | wc -l", root } end
local import = ("local done = cache.import(%q) "):format(name)
local two = dir.path .. "/two"
local second = check.again(import .. code .. "print(done.steps, s:commit().id, said)", two)
check.same(second.stdout, ("4\t%s\t%s\n"):format(id, said))
local ran, cached = check.steps(second.stderr)
check.same({ #ran, #cached }, { 0, 4 }, second.stderr)
check.same(layers_of(two), "1", "only the base is unpacked")
-- again: nothing is new; then a step that needs the layers runs on them
check.same(check.again(import .. "print(done.steps)", two).stdout, "0\n")
local third = check.again(code .. [[print(s:run "cat /count; stat -c %a /d; test ! -e /etc/group":read "/count", other:read "/other" ~= "")]], two)
check.same(third.stdout, "37\n\ttrue\n")
check.same(check.again(import .. "print(done.steps)", two).stdout, "0\n")
-- a cache can be passed on by a store that has never fetched all of it
local three = dir.path .. "/three"
check.again(import .. code .. ("cache.export(%q)"):format(R .. "/caches/copy:1"), three)
local fourth = check.again(("cache.import(%q, {now = true})"):format(R .. "/caches/copy:1") .. code .. "print(s:read '/u')", dir.path .. "/four")
check.same(fourth.stdout, said .. "\n\n")
-- an image is no cache, whatever its history says, and a cache is no image
check.fails("unsupported", R .. "/busybox:latest is not a build cache",
  "a build cache is what cache.export makes; an image is never taken for one", cache.import, R .. "/busybox")
check.same(pcall(image.pull, name), false)
check.same(select(2, pcall(image.pull, name)).kind, "unsupported")
check.again(code .. ("s:commit(%q):push()"):format(R .. "/caches/image:1"), dir.path .. "/one")
local fifth = check.again(("image.pull(%q)"):format(R .. "/caches/image:1") .. code .. "print(said)", dir.path .. "/five")
ran, cached = check.steps(fifth.stderr)
check.same({ #ran, #cached, fifth.stdout ~= said .. "\n" }, { 4, 0, true })
-- what is not there
check.same(select(2, pcall(cache.import, R .. "/caches/none:1")).kind, "not_found")
check.fails("not_found", "there is no step to export", "build something first, or name states", cache.export, name)
-- a blob that the registry lost: the build says so, and the next one takes the step itself
local six = dir.path .. "/six"
check.again(import, six)
host.run { "sh", "-c", [[sed -i 's/"digest":"sha256:[0-9a-f]*"/"digest":"sha256:]] .. ("0"):rep(64) .. [["/' $0/cache/steps/*]], six }
local r = host.run({ host.env.MOONSHELL, "--root=" .. six, "-e", code .. "s:read '/u'" }, { capture = true, check = false })
check.has(r.stderr, "hint: run the build again: it takes the step itself")
check.same(check.again(code .. "print(#s:read '/u')", six).stdout, "37\n")
-- as commands
r = host.run({ host.env.MOONSHELL, "--root=" .. dir.path .. "/one", "cache", "export", R .. "/caches/all:1" }, { capture = true })
check.has(r.stdout, "Steps: 4, layers: 3")
r = host.run({ host.env.MOONSHELL, "--root=" .. dir.path .. "/seven", "cache", "import", R .. "/caches/all:1" }, { capture = true })
check.has(r.stdout, "New steps: 4, layers: 3")
-- on a step that is taken anyway nothing stands that was made elsewhere on another result of it
local eight = check.again(import .. ([[
  local s = build.from(%q):run("%s > /u", {cache = false}):run "wc -c < /u > /count; mkdir /d; chmod 1777 /d; rm /etc/group"
  print(s:read "/u" ~= %q)]]):format(R .. "/busybox", random, said .. "\n"), dir.path .. "/eight")
ran, cached = check.steps(eight.stderr)
check.same({ #ran, #cached, eight.stdout }, { 2, 0, "true\n" })
