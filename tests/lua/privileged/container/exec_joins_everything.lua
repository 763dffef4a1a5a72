-- A program run inside is in every namespace and control group of the container, with its rights and no more.
local check = require "check"
local img = check.busybox()
local names = "cgroup ipc mnt net pid uts"
local function looks(c, opts)
  return c:out([[
    for n in ]] .. names .. [[; do readlink /proc/$P/ns/$n; done
    sed 's/:.*:/:/' /proc/$P/cgroup | sort
    grep -E '^(Cap|Seccomp|NoNewPrivs|Groups|Uid|Gid)' /proc/$P/status]], opts)
end
for name, opts in pairs { plain = {}, dropped = { cap_drop = { "ALL" }, no_new_privileges = true }, user = { user = "ann" },
  privileged = { privileged = true }, added = { cap_add = { "SYS_PTRACE", "NET_ADMIN" } }, unconfined = { seccomp = "unconfined" } } do
  local c <close> = container.start(img, "sleep 1000", opts)
  local own, first = looks(c, { env = { P = "self" } }), looks(c, { env = { P = "1" } })
  if name ~= "user" then check.same(own, first, name) end
  -- Nothing but the standard streams is open.
  for _, tty in ipairs { false, true } do
    -- The last one is that of the folder being listed.
    local open = c:out({ "ls", "/proc/self/fd" }, { tty = tty }):gsub("%s+", " "):gsub(" $", "")
    check.same(open, "0 1 2 3", name)
  end
end
-- The host's view: the same control groups as process 1.
local c <close> = container.start(img, "sleep 1000")
c:exec("sleep 4711", { detach = true })
local found = 0
for _, row in ipairs(c:top()) do
  local pid = tostring(row.pid or row.PID)
  check.same(host.out { "cat", "/proc/" .. pid .. "/cgroup" }, host.out { "cat", "/proc/" .. c.pid .. "/cgroup" })
  found = found + 1
end
check.same(found >= 2, true)
-- Privileged only for this one.
local all = host.out "grep CapBnd /proc/self/status"
check.same(c:out("grep CapEff /proc/self/status", { privileged = true }):sub(8), all:sub(8))
check.has(c:out("grep Seccomp: /proc/self/status", { privileged = true }), "0")
check.has(c:out("grep CapEff /proc/self/status"), "00000000a80425fb")
