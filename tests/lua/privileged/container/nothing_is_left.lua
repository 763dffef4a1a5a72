-- However a container ends, no process, mount, folder or control group of it remains.
local check = require "check"
local img = check.busybox()
local function world()
  local root = host.env.MOONSHELL_ROOT
  return {
    mounts = host.out "cat /proc/self/mountinfo",
    state = host.out { "sh", "-c", "ls \"$0\"/tmp \"$0\"/containers 2>&1", root },
    cgroups = host.out "find /sys/fs/cgroup -path '*/moonshell/*' -name '[0-9a-f]*' -type d -mmin -1 2>/dev/null | sort",
    sleepers = host.out "grep -l '42424[2]' /proc/[0-9]*/cmdline 2>/dev/null || true",
  }
end
container.run(img, "true")
local before = world()
container.run(img, "true", { pids_limit = 50 })
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
