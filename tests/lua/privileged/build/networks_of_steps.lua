-- Steps see the host's network, as packages must come from somewhere, unless told otherwise; their host name is fixed.
local check = require "check"
local s = build.from(check.busybox())
check.same(s:out "ls /sys/class/net", host.out "ls /sys/class/net")
check.same(s:out("ls /sys/class/net", { network = "none" }), "lo")
check.same(s:out "hostname; cat /etc/hostname", "moonshell\nmoonshell")
-- the files a container gets of its own do not become part of the image
local t = s:run "echo x >> /etc/hosts; echo nameserver 192.0.2.1 > /etc/resolv.conf; touch /marker"
check.same({ t:exists "/etc/hosts", t:exists "/etc/resolv.conf", t:exists "/etc/hostname", t:exists "/dev/null", t:exists "/proc/self" }, { false, false, false, false, false })
local w = s:write("/etc/hosts", "192.0.2.9 mine\n")
check.same({ w:read "/etc/hosts", w:commit():history()[2].created_by }, { "192.0.2.9 mine\n", "WRITE /etc/hosts" })
