-- AppArmor: the profile that containers get, what it refuses, and who has none.
local STATE = 'build.scratch():copy("/bin/busybox", "/bin/busybox"):run { "/bin/busybox", "--install", "-s", "/bin" }'
local PROFILE = "moonshell-default"
local LIST = "/sys/kernel/security/apparmor/profiles"
local ENFORCED = PROFILE .. " (enforce)"
local LABEL = "cat /proc/self/attr/current"

local function same(found, expected) assert(found == expected, tostring(found) .. " ~= " .. tostring(expected)) end
-- Without its compiler there is none, and that is said.
local parser = "/usr/sbin/apparmor_parser"
local moonshell = arg[1]
local function other(line)
  return host.out { moonshell, "--root", "/state", "--progress", "none", "-e", "local s = " .. STATE .. "\n" .. line }
end
host.run { "mv", parser, parser .. ".away" }
same(other [[print(host.info().apparmor, host.info().warnings[1])]],
  "nil\tAppArmor is on, but apparmor_parser is missing: containers get no profile")
same(other [[print(container.run(s, "cat /proc/self/attr/current", { capture = true }).stdout)]],
  "unconfined\n")
host.run { "mv", parser .. ".away", parser }

-- The default. The step that makes the state loads the profile.
local s = load("return " .. STATE)():run "true"
local function run(line, opts)
  opts = opts or {}
  opts.capture, opts.check = true, false
  return container.run(s, line, opts)
end
same(host.info().apparmor, PROFILE)
same(#host.info().warnings, 0)
assert(fs.read(LIST):find(ENFORCED, 1, true))
same(run(LABEL).stdout, ENFORCED .. "\n")
same(s:out(LABEL), ENFORCED)
same(run(LABEL, { init = true }).stdout, ENFORCED .. "\n")
same(run(LABEL, { no_new_privileges = true, user = "7" }).stdout, ENFORCED .. "\n")
same(run(LABEL, { security_opt = { "apparmor=" .. PROFILE } }).stdout, ENFORCED .. "\n")
same(run(LABEL, { privileged = true, security_opt = { "apparmor=" .. PROFILE } }).stdout, ENFORCED .. "\n")
for _, opts in ipairs { { privileged = true }, { security_opt = { "apparmor=unconfined" } } } do
  same(run(LABEL, opts).stdout, "unconfined\n")
end

-- What it refuses although nothing else would; each is allowed to whoever has no profile.
local function refused(line, opts, what)
  local free = {}
  for key, value in pairs(opts) do free[key] = value end
  opts.security_opt, free.security_opt = { "systempaths=unconfined" }, { "systempaths=unconfined", "apparmor=unconfined" }
  local r = run(line, opts)
  assert(r.exit_code ~= 0 and r.stderr:find(what or "ermission denied"), line .. ": " .. r.exit_code .. " " .. r.stderr)
  local without = run(line, free)
  assert(without.exit_code == 0, line .. " without a profile: " .. without.exit_code .. " " .. without.stderr)
end
local admin = { "SYS_ADMIN", "SYS_PTRACE" }
refused("echo h > /proc/sysrq-trigger", {})
refused("echo 1 > /proc/sys/kernel/sysrq", {})
refused("cat /proc/kcore | head -c 1 > /dev/null; head -c 1 < /proc/kcore", { cap_add = { "SYS_RAWIO" } })
refused("mkdir /m && mount -t tmpfs x /m", { cap_add = admin })
refused("umount /dev/shm", { cap_add = admin })
refused("mount -o remount,ro,bind /dev/shm", { cap_add = admin })
refused("x=$(cat /sys/kernel/mm/ksm/sleep_millisecs) && echo $x > /sys/kernel/mm/ksm/sleep_millisecs",
  { volumes = { "/sys:/sys" } })
-- Processes of the host are out of reach, those of containers are not.
refused("kill -0 1", { pid = "host" })
refused("head -c 1 /proc/1/environ", { pid = "host", cap_add = admin })
same(run("sleep 1000 & kill -0 $! && kill -9 $! && readlink /proc/1/exe").exit_code, 0)
-- What belongs to a process can be written, and so can control groups and memory.
same(run("echo 500 > /proc/self/oom_score_adj && echo x > /dev/shm/x && cat /dev/shm/x").stdout, "x\n")
same(run("mkdir /sys/fs/cgroup/inner", { volumes = { "/sys/fs/cgroup:/sys/fs/cgroup" } }).exit_code, 0)
host.run { "rmdir", "/sys/fs/cgroup/inner" }

-- One that lasts: programs inside have its profile, the engine can stop it, and it is told.
local c = container.start(s, "trap 'exit 3' TERM; while true; do sleep 0.1; done", { name = "kept" })
same(c:out(LABEL), ENFORCED)
same(c:exec(LABEL, { capture = true, privileged = true }).stdout, ENFORCED .. "\n")
same(c:inspect().AppArmorProfile, PROFILE)
c:stop()
same(c.exit_code, 3)
-- After a boot the kernel has forgotten it.
host.run("printf %s " .. PROFILE .. " > /sys/kernel/security/apparmor/.remove")
assert(not fs.read(LIST):find(PROFILE, 1, true))
other [[container.get("kept"):start()]]
same(c:out(LABEL), ENFORCED)
c:remove { force = true }
local free = container.create(s, "true", { security_opt = { "apparmor=unconfined" } })
same(free:inspect().AppArmorProfile, "unconfined")
same(free:inspect().HostConfig.SecurityOpt[1], "apparmor=unconfined")
free:remove()

-- Another edition of the text takes its place.
host.run({ parser, "--replace", "--skip-cache" }, { input = "profile " .. PROFILE .. " { file, }" })
same(other [[print(container.run(s, "echo h > /proc/sysrq-trigger", { check = false }).exit_code)]], "1")

-- A profile of one's own, and one that is not there.
host.run({ parser, "--replace", "--skip-cache" }, { input = "profile own flags=(attach_disconnected) { file, deny /etc/passwd r, }" })
local own = { security_opt = { "apparmor=own" } }
same(run(LABEL, own).stdout, "own (enforce)\n")
assert(run("cat /etc/passwd", own).exit_code ~= 0)
local ok, e = pcall(container.create, s, "true", { security_opt = { "apparmor=nobodys" } })
assert(not ok and e.kind == "not_found" and e.message:find "'nobodys' is not loaded", tostring(e))
same(#container.list { all = true }, 0)
print "APPARMOR GOOD"
