-- File capabilities survive copy, commit and load.
local check = require "check"
if not host.run("command -v setcap >/dev/null && command -v getcap >/dev/null", { check = false }).ok then
  print "skipped: setcap and getcap are not here"
  return
end
local dir <close> = fs.tempdir()
fs.copy("/bin/busybox", dir.path .. "/busybox")
host.run { "setcap", "cap_net_raw+ep", dir.path .. "/busybox" }
local img = build.from(check.busybox()):copy(dir.path .. "/busybox", "/busybox"):commit "caps:1"
image.save(dir.path .. "/caps.tar", img)
check.again(("image.load(%q)"):format(dir.path .. "/caps.tar"), dir.path .. "/root")
local found = host.out { "find", dir.path .. "/root/layers", "-name", "busybox", "-path", "*/fs/busybox" }
check.has(host.out { "getcap", found }, "cap_net_raw=ep")
-- and it works: a user without rights may do what the file allows
check.same(check.out(img, "grep CapEff /proc/self/status; /busybox grep CapEff /proc/self/status", { user = "ann" }), "CapEff:\t0000000000000000\nCapEff:\t0000000000002000")
