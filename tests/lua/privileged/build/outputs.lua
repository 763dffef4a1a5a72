-- Where a commit goes besides the store: folders, tars, archives, a layout, further names.
local check = require "check"
local dir <close> = fs.tempdir()
local d = dir.path
local s = build.from(check.busybox()):copy(host.env.BUSYBOX, "/big")
  :run "mkdir -m 0750 /x && echo hello > /x/file && ln -s file /x/link && chmod 0600 /x/file && chown 1:1 /x/file && ln /x/file /x/hard && rm /big"

-- files in a folder
s:commit("out:1", { output = ("type=local,dest=%s/new/local"):format(d) })
check.same(fs.read(d .. "/new/local/x/file"), "hello\n")
check.same(host.out { "stat", "-c", "%a %F %u", d .. "/new/local/x", d .. "/new/local/x/file", d .. "/new/local/x/link" },
  "750 directory 0\n600 regular file 0\n777 symbolic link 0")
check.same(fs.exists(d .. "/new/local/big"), false)
check.same(fs.exists(d .. "/new/local/proc"), false, "no mount points of ours")

-- files in a tar: the same bytes each time, owners kept
local img = s:commit("out:1", { output = { { type = "tar", dest = d .. "/one.tar" }, "type=tar,dest=" .. d .. "/two.tar" } })
check.same(host.out { "sha256sum", d .. "/one.tar" }:match "^%x+", host.out { "sha256sum", d .. "/two.tar" }:match "^%x+")
local listed = host.out { "tar", "--numeric-owner", "-tvf", d .. "/one.tar", "x/file", "x/link", "x/hard" }
check.same(#listed:gsub("[^\n]", "") + 1, 3)
check.has(listed, "-rw------- 1/1")
check.has(listed, "x/hard link to x/file")
check.has(listed, "x/link -> file")
check.same(host.out { "tar", "-tf", d .. "/one.tar" }:find(".wh.", 1, true), nil)
local streamed = check.moonshell("-e", ('image.get("out:1"); build.from "out:1":commit(nil, {output="-"})'))
fs.write(d .. "/three.tar", streamed.stdout)
check.same(host.run({ "cmp", d .. "/one.tar", d .. "/three.tar" }, { check = false }).ok, true)

-- archives come back as the same image
for _, kind in ipairs { "oci", "docker" } do
  local file = ("%s/%s.tar"):format(d, kind)
  s:commit("out:1", { output = { type = kind, dest = file } })
  check.same(image.load(file)[1].id, img.id, kind)
end
-- a layout: what is in it stays
s:commit("out:1", { output = "type=oci,dest=" .. d .. "/layout/" })
local second = s:write("/more", "m"):commit("out:2", { output = { type = "oci", dest = d .. "/layout", tar = false } })
s:commit("out:1", { output = "type=oci,dest=" .. d .. "/layout" })
local index = json.decode(fs.read(d .. "/layout/index.json"))
check.same(#index.manifests, 2)
host.run { "tar", "-C", d .. "/layout", "-cf", d .. "/again.tar", "." }
local ids = {}
for _, found in ipairs(image.load(d .. "/again.tar")) do ids[found.id] = true end
check.same({ ids[img.id], ids[second.id] }, { true, true })
if host.run({ "sh", "-c", "command -v skopeo" }, { check = false, capture = true }).ok then
  check.has(host.out { "skopeo", "inspect", "--raw", "oci:" .. d .. "/layout:2" }, '"org.opencontainers.image.created"')
  host.run({ "skopeo", "copy", "--insecure-policy", "oci-archive:" .. d .. "/oci.tar", "dir:" .. d .. "/copied" }, { capture = true })
  host.run({ "skopeo", "copy", "--insecure-policy", "docker-archive:" .. d .. "/docker.tar", "dir:" .. d .. "/copied2" }, { capture = true })
else
  print "skipped: skopeo is not installed"
end
if host.run({ "sh", "-c", "command -v umoci" }, { check = false, capture = true }).ok then
  host.run({ "umoci", "unpack", "--image", d .. "/layout:1", d .. "/bundle" }, { capture = true })
  check.same(fs.read(d .. "/bundle/rootfs/x/file"), "hello\n")
else
  print "skipped: umoci is not installed"
end

-- a further name; nothing but the store
s:commit("out:1", { output = { "type=image,name=out:3", "type=image" } })
check.same(image.get "out:3".id, img.id)
-- an empty state has an empty tree
build.scratch():commit(nil, { output = { "type=tar,dest=" .. d .. "/empty.tar", "type=local,dest=" .. d .. "/empty" } })
check.same(host.out { "tar", "-tf", d .. "/empty.tar" }, "")
-- only some layers
s:commit(nil, { layers = { 3 }, output = "type=local,dest=" .. d .. "/some" })
check.same(host.out { "ls", d .. "/some" }, "x")

-- mistakes: before anything is done
fs.mkdir(d .. "/other/things")
local function fails(message, hint, output)
  check.fails("invalid_argument", message, hint, s.commit, s, "bad:1", { output = output })
end
fails("State:commit: unknown output type 'locl'", "did you mean 'local'?", "type=locl,dest=x")
fails("State:commit: an output of type tar has no key 'des'", "did you mean 'dest'?", { type = "tar", des = "x" })
fails("State:commit: an output needs a 'type'", nil, {})
fails("State:commit: an output needs a 'type'", nil, { dest = "x" })
check.same(image.get "bad:1", nil)
fails(d .. "/other holds other things than an OCI layout", nil, "type=oci,dest=" .. d .. "/other")
check.fails("invalid_argument", "cannot push an image without a name", "give the commit a name, or the output one: type=registry,name=...",
  s.commit, s, nil, { output = "type=registry" })
