-- File capabilities and the user's own attributes survive copy, commit and load.
local check = require "check"
if not host.run("command -v setcap getcap setfattr >/dev/null", { check = false }).ok then
  print "skipped: setcap, getcap and setfattr are not here"
  return
end
local dir <close> = fs.tempdir()
fs.copy("/bin/busybox", dir.path .. "/tool")
host.run { "setcap", "cap_net_raw+ep", dir.path .. "/tool" }
host.run { "setfattr", "-n", "user.note", "-v", "kept", dir.path .. "/tool" }
local img = build.from(check.busybox()):copy(dir.path .. "/tool", "/tool"):commit "caps:1"
image.save(dir.path .. "/caps.tar", img)
check.again(("image.load(%q)"):format(dir.path .. "/caps.tar"), dir.path .. "/root")
local found = host.out { "find", dir.path .. "/root/layers", "-name", "tool", "-path", "*/fs/*" }
check.has(host.out { "getcap", found }, "cap_net_raw=ep")
check.has(host.out { "getfattr", "-d", found }, 'user.note="kept"')
-- and it works: a user without rights may do what the file allows
check.has(check.out(img, "grep CapEff /proc/self/status; cp /tool /bin/other; /tool grep CapEff /proc/self/status", { user = "ann" }), "CapEff:\t0000000000002000")
