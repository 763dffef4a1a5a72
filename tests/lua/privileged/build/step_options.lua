-- What else a step can be told: limits, hosts, network, rights, time.
local check = require "check"
local s = build.from(check.busybox())
local uuid = "cat /proc/sys/kernel/random/uuid > /stamp"
-- hosts: a table or a Dockerfile builder's list; part of the key
check.same(s:out("grep 192.0.2 /etc/hosts | sort", { add_hosts = { one = "192.0.2.1", two = "192.0.2.2" } }), "192.0.2.1\tone\n192.0.2.2\ttwo")
check.same(s:out("grep -E 'three|six' /etc/hosts", { add_hosts = { "three:192.0.2.3", "six=[2001:db8::6]" } }), "192.0.2.3\tthree\n2001:db8::6\tsix")
check.fails("invalid_argument", "invalid address 'x' for host 'one'", "write it as NAME = \"192.0.2.1\"", s.run, s, "true", { add_hosts = { one = "x" } })
check.same(s:run(uuid, { add_hosts = { a = "192.0.2.1" } }):read "/stamp" == s:run(uuid):read "/stamp", false)
-- networks
check.same(s:out("ls /sys/class/net", { network = "default" }), s:out "ls /sys/class/net")
check.same(s:out("ls /sys/class/net", { network = "none" }), "lo")
check.fails("invalid_argument", "State:run: option 'network' must be one of 'default', 'none', 'host', got 'bridge'", nil, s.run, s, "true", { network = "bridge" })
-- limits are kept, and no part of the key
local many = "for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait; echo enough"
check.same({ s:out(many), select(2, pcall(s.out, s, many, { pids_limit = 4, cache = false })).kind }, { "enough", "exit" })
local e = select(2, pcall(s.run, s, "dd if=/dev/zero of=/dev/null bs=64M count=1", { memory = "8m", memory_swap = "8m" }))
check.same({ e.kind, e.exit_code ~= 0 }, { "exit", true })
check.same(s:out("df -k /dev/shm | awk 'NR==2{print $2}'", { shm_size = "3m" }), "3072")
check.same(s:out("ulimit -n", { ulimits = { "nofile=77" } }), "77")
check.same(s:run(uuid, { memory = "64m", cpus = 1, cpu_shares = 512, cpuset_cpus = "0", pids_limit = 100 }):read "/stamp", s:run(uuid):read "/stamp")
-- rights: a container's by default
local mount = "mount -t tmpfs x /mnt 2>/dev/null && echo mounted || echo refused"
local t = s:mkdir "/mnt"
check.same({ t:out(mount), t:out(mount, { privileged = true }), t:out(mount, { security = "insecure" }), t:out(mount, { security = "sandbox" }) }, { "refused", "mounted", "mounted", "refused" })
-- time; unknown options
check.fails("timeout", "still running after 50ms", nil, s.run, s, "sleep 60", { timeout = "50ms" })
check.fails("invalid_argument", "State:run: unknown option 'mount'", "did you mean 'mounts'?", s.run, s, "true", { mount = {} })
check.same(t:shell { command = { "sh", "-c", "exit 4" }, env = { A = "x" } }, 4)
check.same(t:shell { command = "read x; [ $x = typed ]", input = "typed\n" }, 0)
