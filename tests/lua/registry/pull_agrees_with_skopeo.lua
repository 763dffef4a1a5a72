-- Pull: what skopeo inspects is what `image.pull` says, by name and by digest, whatever the format.
local check = require "check"
local R = host.env.REGISTRY
local function inspect(name)
  return json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "docker://" .. R .. "/" .. name })
end
-- every format a registry serves
local plain = image.pull(R .. "/busybox")
check.same({ plain.digest, plain.names }, { inspect("busybox").Digest, { R .. "/busybox:latest" } })
for _, tag in ipairs { "v2s2", "zstd" } do
  local other = image.pull(R .. "/busybox:" .. tag)
  check.same(other.digest, inspect("busybox:" .. tag).Digest, tag)
  check.same(other.layers[1].diff_id, plain.layers[1].diff_id, tag)
  check.same(check.out(other, "echo $FROM_IMAGE; ls /bin | head -n 1"), "yes\n[")
end
-- by digest
local exact = image.pull(R .. "/busybox@" .. plain.digest)
check.same({ exact.digest, exact.id }, { plain.digest, plain.id })
check.same(image.get(R .. "/busybox@" .. plain.digest).id, plain.id)
check.same(check.out(R .. "/busybox@" .. plain.digest, "echo by digest"), "by digest")
check.fails("not_found", "manifest busybox@sha256:" .. ("0"):rep(64) .. " not found in " .. R, nil,
  image.pull, R .. "/busybox@sha256:" .. ("0"):rep(64))
-- tags
check.same(registry.tags(R .. "/busybox"), { "latest", "v2s2", "zstd" })
check.fails("not_found", "repository no/such not found in " .. R, nil, registry.tags, R .. "/no/such")
