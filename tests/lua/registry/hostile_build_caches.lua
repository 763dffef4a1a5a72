-- A cache in a registry that is damaged or hostile is refused and changes nothing.
local check = require "check"
local R = host.env.REGISTRY
local dir <close> = fs.tempdir()
local root = host.env.MOONSHELL_ROOT
local TAR, OUT = "application/vnd.oci.image.layer.v1.tar", "application/vnd.moonshell.cache.output.v1"
local CACHE = "application/vnd.moonshell.cache.v1+json"

local function sha(text)
  fs.write(dir.path .. "/sum", text)
  return "sha256:" .. host.out({ "sha256sum", dir.path .. "/sum" }):match "^%x+"
end

local function put_blob(text)
  local digest = sha(text)
  fs.write(dir.path .. "/blob", text)
  local place = host.out { "sh", "-c", "curl -sf -D - -o /dev/null -X POST http://$0/v2/evil/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'", R }
  if place:sub(1, 1) == "/" then place = "http://" .. R .. place end
  local mark = place:find("?", 1, true) and "&" or "?"
  host.run { "curl", "-sf", "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: application/octet-stream",
    "--data-binary", "@" .. dir.path .. "/blob", place .. mark .. "digest=" .. digest }
  return { digest = digest, size = #text }
end

-- Pushes an artifact; `change` may do anything to its document and manifest.
local good_tar = host.out { "sh", "-c", "cd $0 && mkdir -p t && echo evil > t/f && tar -C t -cf - . | base64 -w0", dir.path }
fs.write(dir.path .. "/tar64", good_tar)
host.run { "sh", "-c", "base64 -d < $0/tar64 > $0/tar", dir.path }
local tar = fs.read(dir.path .. "/tar")
local layer, output = put_blob(tar), put_blob("seen")
local KEY = ("ab"):rep(32)
local function push(change)
  local document = {
    version = 1,
    blobs = { layer.digest, false },
    steps = { { key = KEY, step = "RUN evil", created = "2026-01-01T00:00:00Z", layer = 0, output = 1 } },
  }
  local manifest = {
    schemaVersion = 2,
    mediaType = "application/vnd.oci.image.manifest.v1+json",
    layers = {
      { mediaType = TAR, digest = layer.digest, size = layer.size },
      { mediaType = OUT, digest = output.digest, size = output.size },
    },
  }
  local text = change and change(document, manifest)
  text = text or json.encode(document):gsub("false", "null")
  local config = put_blob(text)
  manifest.config = manifest.config or { mediaType = CACHE, digest = config.digest, size = config.size }
  fs.write(dir.path .. "/manifest", json.encode(manifest))
  host.run { "curl", "-sf", "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json",
    "--data-binary", "@" .. dir.path .. "/manifest", "http://" .. R .. "/v2/evil/manifests/1" }
end

cache.list()
local function everything()
  return host.out { "sh", "-c", "cd $0 && find . -path ./tmp -prune -o -path ./locks -prune -o -print | sort", root }
end
local before = everything()
local function refused(what, change, opts)
  push(change)
  local ok, err = pcall(cache.import, R .. "/evil:1", opts)
  if ok then error(what .. ": was accepted", 2) end
  check.same(err.kind == "integrity" or err.kind == "unsupported" or err.kind == "not_found", true, what .. ": " .. tostring(err))
  check.same(everything(), before, what)
end

for _, key in ipairs { "", "../../../etc/passwd", "../" .. KEY:sub(4), KEY:upper(), KEY:sub(2), KEY .. "0", "." } do
  refused("key " .. key, function(document) document.steps[1].key = key end)
end
refused("the same step twice", function(document) document.steps[2] = document.steps[1] end)
refused("a layer that is not listed", function(document) document.steps[1].layer = 7 end)
refused("a negative number", function(document) document.steps[1].layer = -1 end)
refused("an output as a layer", function(document) document.steps[1].layer = 1 end)
refused("a layer as an output", function(document) document.steps[1].output = 0 end)
refused("no time", function(document) document.steps[1].created = "yesterday" end)
refused("endless words", function(document) document.steps[1].step = ("x"):rep(100000) end)
refused("another version", function(document) document.version = 2 end)
refused("fewer blobs than the manifest", function(document) document.blobs = { layer.digest } end)
refused("a diff id that is none", function(document) document.blobs[1] = "sha256:../../x" end)
refused("no JSON", function() return "{" end)
refused("a list", function() return "[]" end)
refused("an absurd size of a layer", function(_, manifest) manifest.layers[1].size = 1 << 60 end)
refused("an absurd size of an output", function(_, manifest) manifest.layers[2].size = 1 << 40 end)
refused("an absurd size of the list", function(_, manifest)
  manifest.config = { mediaType = CACHE, digest = layer.digest, size = 1 << 40 }
end)
refused("another size of an output", function(_, manifest) manifest.layers[2].size = 3 end)
refused("a page as a layer", function(_, manifest) manifest.layers[1].mediaType = "text/html" end)
refused("another sort of artifact", function(_, manifest)
  manifest.config = { mediaType = "application/vnd.example+json", digest = layer.digest, size = layer.size }
end)
-- the blob is not what its diff id says: told when it is unpacked
local function another_diff_id(document) document.blobs[1] = "sha256:" .. ("0"):rep(64) end
push(another_diff_id)
local ok, err = pcall(cache.import, R .. "/evil:1", { now = true })
check.same({ ok, err.kind }, { false, "integrity" })
check.same(fs.exists(root .. "/cache/steps/" .. KEY), false)
check.same(host.out { "sh", "-c", "ls $0/layers | grep -c 000000 || true", root }, "0")
-- and the good one is learnt
push()
check.same(cache.import(R .. "/evil:1").steps, 1)
check.same(fs.exists(root .. "/cache/steps/" .. KEY), true)
