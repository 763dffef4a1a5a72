-- What a commit can be told: several names, one layer, some layers, annotations, labels, forms of layers, times.
local check = require "check"
local base = check.busybox()
local s = build.from(base):write("/a", "1"):label { kept = "1", gone = "1" }:run "rm /a && echo 2 > /b":write("/c", "3")

-- the manifest, from the archive
local function manifest(img)
  local dir <close> = fs.tempdir()
  image.save(dir.path .. "/i.tar", img)
  host.run { "tar", "-xf", dir.path .. "/i.tar", "-C", dir.path }
  local index = json.decode(fs.read(dir.path .. "/index.json"))
  return json.decode(fs.read(dir.path .. "/blobs/" .. index.manifests[1].digest:gsub(":", "/")))
end
local function shown(img)
  local texts = {}
  for _, step in ipairs(img:history()) do texts[#texts + 1] = (step.digest and "+" or "-") .. step.created_by end
  return table.concat(texts, " | ")
end
local function types(img)
  local list = {}
  for _, layer in ipairs(manifest(img).layers) do list[#list + 1] = layer.mediaType:match "tar%+?(%a*)$" end
  return table.concat(list, " ")
end

local plain = s:commit { "many:1", "many:2" }
check.same(plain.digest, image.get "many:2".digest)
check.same(#plain.layers, 4)
local notes = manifest(plain).annotations
check.same(notes["org.opencontainers.image.base.name"], base.names[1] and "docker.io/library/" .. base.names[1])
check.same(notes["org.opencontainers.image.base.digest"], base.digest)
check.same(notes["org.opencontainers.image.created"], plain.created)
check.same(s:commit("many:1").digest, plain.digest)
check.same(manifest(build.scratch():write("/x", "x"):commit()).annotations["org.opencontainers.image.base.digest"], nil)

local told = s:commit(nil, {
  annotations = { ["org.example.a"] = "b", ["org.opencontainers.image.base.name"] = false },
  labels = { new = "2", gone = false }, created = "2020-02-02T20:20:20Z", author = "Ann", message = "why",
})
notes = manifest(told).annotations
check.same({ notes["org.example.a"], notes["org.opencontainers.image.base.name"] }, { "b" })
check.same(notes["org.opencontainers.image.created"], "2020-02-02T20:20:20Z")
check.same({ told.created, told.config.author }, { "2020-02-02T20:20:20Z", "Ann" })
check.same(told.config.config.Labels, { kept = "1", new = "2" })
check.same(told:history()[#told:history()].comment, "why")
check.same(s:commit(nil, { created = 1700000000 }).created, "2023-11-14T22:13:20Z")

-- one layer
local squashed = s:commit("squashed:1", { squash = true })
check.same(#squashed.layers, 2)
check.same(squashed.layers[1].digest, base.layers[1].digest)
check.has(shown(squashed), "+a test's own | -WRITE /a | -LABEL gone=1 kept=1 | -RUN /bin/sh -c rm /a && echo 2 > /b | +WRITE /c")
check.same(check.out(squashed, "test -e /a || cat /b /c"), "2\n3")
check.same(s:commit(nil, { squash = true }).digest, squashed.digest)
check.same(manifest(squashed).annotations["org.opencontainers.image.base.digest"], base.digest)
local all = s:commit(nil, { squash = "all" })
check.same(#all.layers, 1)
check.same(check.out(all, "cat /b /c"), "2\n3")
check.same(manifest(all).annotations["org.opencontainers.image.base.digest"], nil)

-- some layers
local some = s:commit(nil, { layers = { 1, 4 } })
check.same(#some.layers, 2)
check.same(check.out(some, "test -e /b || cat /c"), "3")
check.has(shown(some), "+a test's own | -LABEL gone=1 kept=1 | +WRITE /c")
check.fails("invalid_argument", "no layer 5: the state has 4", nil, s.commit, s, "x:1", { layers = { 5 } })
check.fails("invalid_argument", "layer 2 is named twice", nil, s.commit, s, "x:1", { layers = { 2, 1, 2 } })
check.fails("invalid_argument", "layers cannot be both chosen and squashed", nil, s.commit, s, "x:1", { layers = { 1 }, squash = true })

-- forms of layers; the base keeps its own
local first = types(plain):match "^%a*"
check.same(types(plain), first .. " gzip gzip gzip")
local zstd = s:commit("zstd:1", { compression = "zstd", compression_level = 19 })
check.same(types(zstd), first .. " zstd zstd zstd")
check.same(zstd.layers[4].diff_id, plain.layers[4].diff_id)
check.same(types(s:commit(nil, { compression = "none" })), (first .. "   "))
check.same(s:commit(nil, { compression_level = 9 }).layers[4].diff_id, plain.layers[4].diff_id)
check.fails("invalid_argument", "State:commit: compression level 10 is not 0 to 9, those of gzip", nil, s.commit, s, "x:1", { compression_level = 10 })
check.fails("invalid_argument", "State:commit: layers that are not compressed have no compression level", nil, s.commit, s, "x:1", { compression = "none", compression_level = 1 })
check.fails("invalid_argument", "State:commit: invalid time 'noon'", "such as 2026-01-31T12:00:00Z, or seconds since 1970", s.commit, s, "x:1", { created = "noon" })
check.same(image.get "x:1", nil)
