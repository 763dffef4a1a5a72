-- A container whose ids are mapped to others of the host: its root is nobody there, and its files on disk keep its ids.
local check = require "check"
local img = check.busybox()

local c <close> = container.start(img, "touch /made; chown 7:8 /made; sleep 100", { userns = "200000" })
check.same(host.out("grep Uid: /proc/" .. c.pid .. "/status"), "Uid:\t200000\t200000\t200000\t200000")
repeat until c:exec({ "test", "-e", "/made" }, { check = false }).exit_code == 0
check.same(c:out "id -u; stat -c '%u:%g' /made /bin /etc/passwd", "0\n7:8\n0:0\n0:0")
check.same(c:out "tr -s ' ' < /proc/self/uid_map", " 0 200000 65536")
-- On disk the ids are the container's own: an image of it is as any other.
local upper = c:inspect().GraphDriver.Data.UpperDir
check.same(host.out("stat -c '%u:%g' " .. upper .. "/made"), "7:8")
check.same(c:diff()[1].path, "/made")
-- What is copied in belongs to its root, what is copied out to us.
local folder <close> = fs.tempdir()
fs.write(folder.path .. "/in", "from outside")
c:copy_in(folder.path .. "/in", "/in")
check.same(c:out "stat -c '%u' /in; cat /in", "0\nfrom outside")
c:copy_out("/made", folder.path .. "/out")
check.same(host.out("stat -c '%u' " .. folder.path .. "/out"), "0")
-- Its root has no power over the host: not even over what is the host's and seen inside.
check.same(c:out("echo x >> /etc/hosts; echo $?", { check = false }), "1")
check.same(c:out("cat /proc/1/root/etc/passwd | head -c 4"), "root")
c:stop { timeout = 0 }
c:start()
check.same(c:out "cat /in", "from outside")
check.fails("invalid_argument", "invalid userns 'auto': expected host, or the first host id", nil, container.run, img, "true", { userns = "auto" })
check.fails("invalid_argument", "privileged and userns conflict", nil, container.run, img, "true", { userns = "200000", privileged = true })
