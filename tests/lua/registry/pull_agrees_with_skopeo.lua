-- Pull: what skopeo inspects is what `image.pull` says, by name and by digest, whatever the format.
local check = require "check"
local R = host.env.REGISTRY
local function inspect(name)
  return json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "docker://" .. R .. "/" .. name })
end
local seen = inspect("debian:bookworm")
local one = check.moonshell("-e", ('print(image.pull("%s/debian:bookworm").digest)'):format(R))
check.same({ one.ok, one.stdout }, { true, seen.Digest .. "\n" }, one.stderr)
local img = image.pull(R .. "/debian:bookworm")
check.same({ img.digest, #img.layers, img.layers[1].digest }, { seen.Digest, 1, seen.Layers[1] })
check.same(img.names, { R .. "/debian:bookworm" })
check.same(check.out(img, "cat /etc/debian_version"), "12." .. check.out(img, "cat /etc/debian_version"):match "^12%.(.*)$")
check.has(check.out(R .. "/debian:bookworm", "cat /etc/os-release; dpkg --version"), "VERSION_CODENAME=bookworm")
check.same(check.out(img, { "bash", "-c", "echo ${BASH_VERSINFO[0]}; id -un; perl -e 'print 6*7'" }), "5\nroot\n42")
-- every format a registry serves
local plain = image.pull(R .. "/busybox")
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
