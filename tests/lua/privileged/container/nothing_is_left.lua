-- However a container ends, no process, mount, folder or control group of it remains.
local check = require "check"
local img = check.busybox()
local function world()
  local root = host.env.MOONSHELL_ROOT
  return {
    mounts = host.out({ "grep", "-F", root, "/proc/self/mountinfo" }, { check = false }),
    state = host.out { "sh", "-c", "ls \"$0\"/tmp \"$0\"/containers 2>&1", root },
    sleepers = host.out "grep -l '42424[2]' /proc/[0-9]*/cmdline 2>/dev/null || true",
  }
end
container.run(img, "true")
local before = world()
-- Its host name is the first part of its id, which names its control groups.
local id = check.out(img, "hostname", { pids_limit = 50, memory = "64m" })
check.same(host.out { "find", "/sys/fs/cgroup", "-path", "*/moonshell/*", "-name", id .. "*" }, "")
pcall(container.run, img, "exit 1")
pcall(container.run, img, { "nope" })
pcall(container.run, img, "sleep 424242", { timeout = "100ms" })
pcall(container.run, img, "true", { user = "eve" })
pcall(container.run, img, "true", { volumes = { "/no/such/folder:/x" } })
pcall(container.run, img, "true", { workdir = "/etc/passwd" })
container.run(img, "setsid sleep 424242 & true")
pcall(parallel, function() container.run(img, "sleep 424242") end, function() error "stop" end)
local after = world()
for name, text in pairs(before) do check.same(after[name], text, name) end
