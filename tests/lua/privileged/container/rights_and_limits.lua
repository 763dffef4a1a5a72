-- Capabilities, the filter, and limits of every kind.
local check = require "check"
local img = check.busybox()
local function caps(opts) return check.out(img, "grep CapBnd /proc/self/status | cut -f 2", opts) end
check.same(caps { cap_drop = { "ALL" } }, "0000000000000000")
check.same(caps { cap_drop = { "all" }, cap_add = { "NET_RAW", "cap_chown" } }, "0000000000002001")
check.same(caps { cap_add = { "SYS_TIME" } }, "00000000aa0425fb")
check.same(caps { privileged = true }, host.out "grep CapBnd /proc/self/status | cut -f 2")
check.fails("invalid_argument", "unknown capability 'NET_RAWW'", "did you mean 'NET_RAW'?", container.run, img, "true", { cap_add = { "NET_RAWW" } })
check.same(check.out(img, "chown ann /tmp && echo could", {}), "could")
check.has(container.run(img, "chown ann /tmp", { cap_drop = { "CHOWN" }, capture = true, check = false }).stderr, "not permitted")
local function status(name, opts) return check.out(img, "grep ^" .. name .. ": /proc/self/status | cut -f 2", opts) end
check.same(status("Seccomp", { seccomp = "unconfined" }), "0")
check.same(status("Seccomp", { privileged = true }), "0")
check.same(status("NoNewPrivs", { no_new_privileges = true }), "1")
check.same(check.out(img, "mount -t tmpfs x /tmp && echo mounted", { privileged = true }), "mounted")
-- limits of processes
check.same(check.out(img, "ulimit -n; ulimit -Hn; ulimit -c", { ulimits = { "nofile=64:128", "core=0" } }), "64\n128\n0")
check.fails("invalid_argument", "unknown ulimit 'nofiles'", "did you mean 'nofile'?", container.run, img, "true", { ulimits = { "nofiles=1" } })
check.fails("invalid_argument", "invalid ulimit 'nofile': expected NAME=SOFT[:HARD]", nil, container.run, img, "true", { ulimits = { "nofile" } })
check.fails("invalid_argument", "ulimit 'nofile': the soft limit 9 is above the hard one", nil, container.run, img, "true", { ulimits = { "nofile=9:8" } })
-- time
local late = check.fails("timeout", "still running after 200ms", nil, container.run, img, "sleep 60", { timeout = "200ms" })
check.same(late.op, "container.run")
check.fails("invalid_argument", "container.run: option 'timeout': invalid duration 'soon'", "write 1.5s, 200ms or 1m30s", container.run, img, "true", { timeout = "soon" })
-- limits of the container, where the host has the controllers
if host.info().cgroup then
  check.has(container.run(img, "for i in $(seq 30); do sleep 5 & done; wait", { pids_limit = 10, capture = true, check = false, timeout = 20 }).stderr, "fork")
  local big = container.run(img, "head -c 100000000 /dev/zero | tail -c 100000000 | wc -c", { memory = "16m", capture = true, check = false })
  check.same(big.stdout ~= "100000000\n", true, "more memory than the limit")
  check.same(check.out(img, "echo fine", { memory = "64m", cpus = 0.5, cpu_shares = 512, pids_limit = 100 }), "fine")
else
  print "skipped: no cgroups here"
end
check.fails("invalid_argument", "container.run: option 'memory': invalid size 'lots'", "write bytes, or a number with k, m, g or t", container.run, img, "true", { memory = "lots" })
check.fails("invalid_argument", "memory limit of 1 bytes is too small: the least is 1m", nil, container.run, img, "true", { memory = 1 })
check.fails("invalid_argument", "cpus must be at least 0.01, got -1", nil, container.run, img, "true", { cpus = -1 })
-- AppArmor, where there is none: nothing to take, and nothing to give up.
check.fails("invalid_argument", "security_opt apparmor names no profile", nil, container.run, img, "true", { security_opt = { "apparmor=" } })
if not fs.exists "/sys/module/apparmor" then
  check.same(host.info().apparmor, nil)
  check.same(#host.info().warnings, 0)
  check.fails("unsupported", "AppArmor profile 'mine' is asked for, but AppArmor is not active in this kernel", "leave it out, or say apparmor=unconfined", container.create, img, "true", { security_opt = { "apparmor=mine" } })
  check.same(check.out(img, "echo runs", { security_opt = { "apparmor=unconfined" } }), "runs")
else
  print "skipped: this host has AppArmor"
end
