-- The world of a process in a container: its own names, nothing of the host, and nothing to change it with.
local check = require "check"
local img = check.busybox()
local function out(cmd, opts) return check.out(img, cmd, opts) end
check.same(out "echo $$", "1")
check.same(out "ls /dev", "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero")
check.same(out { "ls", "/proc/self/fd" }, "0\n1\n2\n3", "descriptors; the fourth is ls reading the folder")
check.same(out "grep -E 'CapInh|CapBnd|CapAmb|Seccomp:|NoNewPrivs' /proc/self/status",
  "CapInh:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2")
check.same(out("grep CapEff /proc/self/status", { user = "ann" }), "CapEff:\t0000000000000000")
check.same(out "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l", "0\n0", "masked")
check.same(out "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; true", "")
local function refused(cmd, opts)
  local r = container.run(img, cmd, { capture = true, check = false, cap_add = opts and opts.cap_add, timeout = 20 })
  if r.ok then error("was not refused: " .. cmd .. "\n" .. r.stdout) end
  return r.stderr
end
check.has(refused "mount -t tmpfs x /tmp", "denied")
check.has(refused "mount -o remount,rw /proc/sys", "denied")
check.has(refused "umount /proc/kcore", "not permitted")
check.has(refused "unshare -U true", "not permitted")
check.has(refused "unshare -m true", "not permitted")
check.has(refused "nsenter -t 1 -m true", "not permitted")
check.has(refused "chroot /proc/1/root mknod /tmp/x b 8 0 && cat /tmp/x", "denied")
check.has(refused "date -s 2001-01-01 >/dev/null; false", "not permitted")
check.has(refused "hostname other", "not permitted")
check.has(refused "dmesg >/dev/null", "not permitted")
-- nothing of this process's environment
check.same(out "env | grep -c MOONSHELL || true", "0")
-- every process has ended with the container, also those that left its session
check.same(out "setsid sleep 77777 >/dev/null 2>&1 & echo $$", "1")
check.same(host.out "grep -l '7777[7]' /proc/[0-9]*/cmdline 2>/dev/null || true", "")
