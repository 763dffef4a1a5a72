-- A step has the rights of a container and no more: capabilities, groups, descriptors, devices and folders it works in.
-- timeout-ms: 60000
local check = require "check"
local img = check.busybox()
local s = build.from(img)
-- what a container has, a step has
local sets = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status; umask"
local container_sets = check.out(img, sets)
check.same(s:out(sets), container_sets)
check.has(container_sets, "CapInh:\t0000000000000000")
check.has(container_sets, "CapAmb:\t0000000000000000")
check.has(container_sets, "Seccomp:\t2")
local as_ann = s:user "ann"
check.same(as_ann:out(sets), check.out(img, sets, { user = "ann" }))
check.has(as_ann:out "grep CapEff /proc/self/status", "0000000000000000")
-- groups: the primary one and those of the image; a file that is closed to a group stays closed to its members
local closed = s:write("/closed", "secret", { mode = "0604", chown = "root:wheel" })
check.same(closed:out("id -G", { user = "ann" }), "1000 10")
check.same(closed:out("cat /closed || echo closed", { user = "ann" }), "closed")
check.same(closed:out("cat /closed", { user = "bob" }), "secret")
check.same(s:out("id -u; id -G", { user = "1000:5" }), "1000\n5")
-- users that are no users are refused, or are exactly that; never root
for _, user in ipairs { "4294967295", "4294967296", "2147483648", "-1", "1000:x", "1000:", " 0", "0x0" } do
  local ok, got = pcall(s.out, s, "id -u", { user = user })
  check.same(ok and got == "0", false, user)
end
-- nothing but the three streams is open, for the step and for its first process
check.same(s:out "n=0; while [ $n -lt 64 ]; do if [ -e /proc/1/fd/$n ]; then echo -n $n; fi; n=$((n+1)); done", "012")
-- a working folder that is a descriptor of the engine's: refused, or a folder of the step's
for n = 3, 60 do
  for _, process in ipairs { "self", "1" } do
    local folder = ("/proc/%s/fd/%d"):format(process, n)
    local ok, got = pcall(s.out, s, "ls -A . ..; ls -A ../../../../../../../etc", { workdir = folder, cache = false })
    if ok then check.same(got:match "\n?group\npasswd$" ~= nil, true, folder .. ": " .. got) end
  end
end
-- device nodes can be made and not be opened
check.same(s:out "mknod /tmp/sda b 8 0 && (cat /tmp/sda >/dev/null 2>&1 && echo open || echo refused)", "refused")
check.same(s:out "mknod /tmp/mem c 1 1 && (cat /tmp/mem >/dev/null 2>&1 && echo open || echo refused)", "refused")
-- kernel settings are not a step's
check.same(s:out "(echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo written || echo refused", "refused")
check.same(s:out "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c", "0")
