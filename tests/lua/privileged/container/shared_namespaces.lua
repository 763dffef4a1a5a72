-- Containers that share namespaces, mounts and data.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local root = host.env.MOONSHELL_ROOT
local a <close> = container.start(img, "sleep 1000", { name = "first", hostname = "alpha", volumes = { "/etc/keep", "/tmp:/host-tmp:ro" } })
local function link(c, kind) return c:out { "readlink", "/proc/self/ns/" .. kind } end
for option, kind in pairs { pid = "pid", ipc = "ipc", uts = "uts", network = "net" } do
  local b <close> = container.start(img, "sleep 1000", { [option] = "container:first" })
  check.same(link(b, kind), link(a, kind), option)
  if option ~= "uts" then assert(link(b, "uts") ~= link(a, "uts")) end
  if option == "uts" then
    check.same({ a:out "hostname", b:out "hostname" }, { "alpha", "alpha" })
    local name = host.out "hostname"
    check.same({ check.out(img, "hostname", { uts = "host" }), host.out "hostname" }, { name, name })
  end
  if option == "pid" then
    check.has(b:out "ps", "sleep 1000")
    b:exec("sleep 5151", { detach = true })
    b:kill()
    check.same(b.status, "exited")
    check.same(a:out "ps | grep -c '[s]leep 5151' || true", "0")
  end
  if option == "ipc" then
    a:exec "echo shared > /dev/shm/x"
    check.same(b:out "cat /dev/shm/x", "shared")
  end
end
check.fails("not_found", "no such container: nobody", nil, container.create, img, "true", { pid = "container:nobody" })
-- Data: seeded from the image, seen by others, kept by a removal, gone with volumes=true.
check.same(a:out "ls /etc/keep", "")
a:exec "echo data > /etc/keep/file"
local b <close> = container.start(img, "sleep 1000", { volumes_from = { "first" } })
check.same(b:out "cat /etc/keep/file; ls -d /host-tmp", "data\n/host-tmp")
b:exec "echo more >> /etc/keep/file"
check.same(a:out "cat /etc/keep/file", "data\nmore")
check.same(pcall(b.exec, b, "touch /host-tmp/x", { capture = true }), false)
local ro <close> = container.start(img, "sleep 1000", { volumes_from = { "first:ro" } })
check.same(pcall(ro.exec, ro, "touch /etc/keep/x", { capture = true }), false)
local function folders() return #fs.list(root .. "/volumes") end
check.same(folders(), 1)
local seeded <close> = container.start(img, "sleep 1000", { volumes = { "/etc" } })
check.has(seeded:out "cat /etc/passwd", "ann")
check.same(folders(), 2)
seeded:remove { force = true }
check.same(folders(), 2)
a:remove { force = true, volumes = true }
check.same(folders(), 1)
-- Too little memory.
local oom = container.start(img, "sleep 0.2; tail /dev/zero", { memory = "16m", memory_swap = "16m" })
oom:wait()
check.same({ oom.exit_code, oom.oom_killed }, { 137, true })
oom:remove()
local killed = container.start(img, "sleep 1000", { memory = "16m" })
killed:kill()
check.same({ killed.exit_code, killed.oom_killed }, { 137, false })
killed:remove()
