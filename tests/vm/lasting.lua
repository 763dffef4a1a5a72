-- Containers that last, on whatever kind of control groups this machine has.
local busybox = "/bin/busybox"
local s = build.scratch():copy(busybox, busybox):run{busybox, "--install", "-s", "/bin"}:write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:7:7::/:/bin/sh\n")

-- Its life, limits and figures.
local c = container.start(s, "echo one; echo two >&2; exec sleep 1000", { name = "first", memory = "64m", pids_limit = 20 })
assert(c.status == "running" and c.pid > 0)
local first = c:logs { follow = true }()
assert(first == "one", first)
assert(c:out("id -un", { user = "ann" }) == "ann")
assert(c:exec({ "sh", "-c", "exit 7" }, { check = false }).exit_code == 7)
-- A program inside is in the container's group, and sees itself at its root.
assert(c:out("cat /proc/self/cgroup") == c:out("cat /proc/1/cgroup"))
c:pause()
assert(c.status == "paused")
local ticks = function() return host.out("cut -d ' ' -f 3 /proc/" .. c.pid .. "/stat") end
local frozen = ticks()
assert(frozen == "D" or frozen == "S", frozen)
c:unpause()
local figures = c:stats()
assert(figures.memory.limit_bytes == 64 << 20 and figures.pids.limit == 20 and figures.pids.current >= 1)
c:update { memory = "128m", pids_limit = 30 }
figures = c:stats()
assert(figures.memory.limit_bytes == 128 << 20 and figures.pids.limit == 30)
assert(#c:top() == 1 and c:top()[1].command == "sleep 1000")
c:stop { timeout = 0 }
assert(c.status == "exited" and c.exit_code == 137)
c:start()
assert(c.status == "running" and c:stats().memory.limit_bytes == 128 << 20, "an update lasts")

-- Its files.
fs.write("/tmp/in", "from the host")
c:copy_in("/tmp/in", "/root-file")
assert(c:out("cat /root-file") == "from the host")
c:copy_out("/etc/passwd", "/tmp/out")
assert(fs.read("/tmp/out"):find("ann"))
assert(c:diff()[1].path == "/root-file")
c:remove { force = true }
assert(c.status == "removed" and container.get("first") == nil)

-- Too little memory is told from a plain kill.
local big = container.start(s, [[x=$(head -c 100000000 /dev/zero | tr '\0' x)]], { memory = "16m" })
big:wait()
assert(big.oom_killed, "memory was too short: " .. big.exit_code)
local killed = container.start(s, "sleep 1000")
killed:kill()
assert(killed.exit_code == 137 and not killed.oom_killed)
big:remove()
killed:remove()

-- A device that was asked for can be opened, another one cannot.
assert(container.run(s, "cat /dev/zero | head -c 1 | wc -c", { capture = true }).stdout == "1\n")
local made = container.run(s, "mknod /tmp-node b 1 0 && cat /tmp-node", { check = false, capture = true })
assert(made.exit_code ~= 0)

assert(#container.list { all = true } == 0)
assert(host.out "find /sys/fs/cgroup -mindepth 2 -type d -path '*moonshell/*' | wc -l" == "0", "no container's cgroup is left")
print "LASTING GOOD"
