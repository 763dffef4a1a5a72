-- Runs as the only program of a machine with cgroup v2 alone and an older kernel.
local busybox = "/bin/busybox"
local s = build.scratch():copy(busybox, busybox):run{busybox, "--install", "-s", "/bin"}
local r = container.run(s, [[
  cat /proc/1/cgroup /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max
  grep -c overlay /proc/mounts
  echo 1 > /sys/fs/cgroup/pids.max
]], {memory = "64m", pids_limit = 10, cpus = 0.5, capture = true, check = false})
print(r.stdout)
assert(r.exit_code ~= 0, "the cgroup is read-only in the container")
assert(r.stdout == "0::/\n67108864\n10\n50000 100000\n1\n", "limits of cgroup v2 are set")

local ok = container.run(s, "i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done", {
  pids_limit = 10, capture = true, check = false,
})
assert(ok.stderr:find "fork", "the eleventh process is refused")

-- More layers than one page of mount options could name by their paths.
for i = 1, 60 do s = s:write("/n/" .. i, "x") end
assert(s:out "ls /n | wc -l" == "60")
local tty = container.run(s, "tty; test -t 0 && echo yes", {tty = true, capture = true})
assert(tty.stdout == "/dev/pts/0\r\nyes\r\n", tty.stdout)
local img = s:commit "vm:1"
assert(s:commit("vm:1").digest == img.digest)
assert(host.out "find /sys/fs/cgroup/moonshell -mindepth 1 -type d | wc -l" == "0", "no container's cgroup is left")
print "ALL GOOD"
