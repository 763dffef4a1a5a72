-- Docker and podman, where they are installed, pull and run a pushed image.
-- timeout-ms: 120000
local check = require "check"
local R = host.env.REGISTRY
local name = R .. "/others/app:1"
build.from(R .. "/busybox"):write("/said", "hello from the image\n"):run "rm /etc/group; mkdir /kept; ln /said /kept/link":cmd { "cat", "/kept/link" }:commit(name):push()
local function has(program) return host.run("command -v " .. program .. " >/dev/null", { check = false }).ok end
if has "docker" and host.run("docker info >/dev/null 2>&1", { check = false, timeout = 20 }).ok then
  check.has(host.out({ "docker", "run", "--rm", "--network", "none", name }), "hello from the image")
  host.run({ "docker", "rmi", name }, { capture = true, check = false })
else
  print "skipped: docker does not answer"
end
if not has "podman" then
  print "skipped: podman is not here"
  return
end
local dir <close> = fs.tempdir()
fs.write(dir.path .. "/containers.conf", "[containers]\ndefault_ulimits=[]\ncgroups=\"disabled\"\n[engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"none\"\n")
-- A hybrid cgroup mount confuses podman: in a mount namespace of its own it does not see it.
local line = "umount /sys/fs/cgroup/unified 2>/dev/null; exec podman --root \"$0\"/s --runroot \"$0\"/r \"$@\""
local function podman(...)
  return host.run({ "unshare", "-m", "sh", "-c", line, dir.path, ... }, { capture = true, check = false, env = { CONTAINERS_CONF = dir.path .. "/containers.conf" } })
end
if not podman("info").ok then
  print "skipped: podman cannot start here"
  return
end
local pulled = podman("pull", "-q", "--tls-verify=false", name)
check.same(pulled.ok, true, pulled.stderr)
local ran = podman("run", "--rm", "--network", "none", name)
check.same(ran.stdout, "hello from the image\n", ran.stderr)
podman("rmi", "-f", name)
podman("system", "reset", "-f")
