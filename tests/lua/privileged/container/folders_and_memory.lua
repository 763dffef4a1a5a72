-- Folders and files of the host, memory, and a root that cannot be written.
local check = require "check"
local img = check.busybox()
local dir <close> = fs.tempdir()
local d = dir.path
fs.write(d .. "/a", "of the host\n")
check.same(check.out(img, "cat /data/a; echo new > /data/b", { volumes = { d .. ":/data" } }), "of the host")
check.same(fs.read(d .. "/b"), "new\n")
local ro = container.run(img, "echo x > /data/c", { volumes = { d .. ":/data:ro" }, capture = true, check = false })
check.has(ro.stderr, "Read-only file system")
check.same(fs.exists(d .. "/c"), false)
-- a file over a file, and over a path that is not there
check.same(check.out(img, "cat /etc/passwd /new/deep", { volumes = { d .. "/a:/etc/passwd:ro", d .. "/b:/new/deep" } }), "of the host\nnew")
check.same(build.from(img):exists "/new", false)
-- over one of the container's own files
check.same(check.out(img, "cat /etc/hosts", { volumes = { d .. "/a:/etc/hosts" } }), "of the host")
-- what the host mounts below a folder is there too, and read-only with it
check.has(check.out(img, "mount | grep ' /data '", { volumes = { d .. ":/data:ro" } }), "(ro,nosuid,nodev")
-- mistakes
check.fails("not_found", "cannot mount '" .. d .. "/none': no such file or folder on the host", "make it first: fs.mkdir(path)", container.run, img, "true", { volumes = { d .. "/none:/x" } })
check.fails("unsupported", "invalid mount 'data:/x': there are no named volumes yet", "for a folder of the host write ./data or its absolute path", container.run, img, "true", { volumes = { "data:/x" } })
check.fails("invalid_argument", "invalid mount '/x:/y:ro:z': expected SOURCE:TARGET[:ro]", nil, container.run, img, "true", { volumes = { "/x:/y:ro:z" } })
check.fails("invalid_argument", "invalid mount '" .. d .. ":/x:rx': unknown option 'rx'", nil, container.run, img, "true", { volumes = { d .. ":/x:rx" } })
check.fails("invalid_argument", "mount target 'x' must be an absolute path", nil, container.run, img, "true", { volumes = { d .. ":x" } })
check.fails("invalid_argument", "a mount cannot replace the container's '/'", nil, container.run, img, "true", { volumes = { d .. ":/" } })
check.fails("invalid_argument", "a mount cannot replace the container's '/'", nil, container.run, img, "true", { volumes = { d .. ":/a/.." } })
-- a link in the image cannot lead a mount out of it
local trap = build.from(img):run "ln -s / /escape && ln -s ../../../../../.. /up"
check.same(check.out(trap, "cat /escape/inner/a", { volumes = { d .. ":/escape/inner" } }), "of the host")
check.same(check.out(trap, "cat /inner2/a", { volumes = { d .. ":/up/inner2" } }), "of the host")
check.same(fs.exists "/inner" or fs.exists "/inner2", false)
-- memory
check.same(check.out(img, "mount | grep -c 'tmpfs on /mem'; df -k /mem | tail -n 1 | awk '{ print $2 }'", { tmpfs = { "/mem:size=4m" } }), "1\n4096")
check.has(container.run(img, "dd if=/dev/zero of=/mem/x bs=1M count=5", { tmpfs = { "/mem:size=4m" }, capture = true, check = false }).stderr, "No space left on device")
check.fails("invalid_argument", "invalid tmpfs '/mem:szie=4m': unknown option 'szie'", "did you mean 'size'?", container.run, img, "true", { tmpfs = { "/mem:szie=4m" } })
-- a read-only root
check.has(container.run(img, "echo x > /x", { read_only = true, capture = true, check = false }).stderr, "Read-only file system")
check.same(check.out(img, "echo x > /tmp/x && echo y > /data/y && echo z > /dev/shm/z && cat /tmp/x /data/y",
  { read_only = true, tmpfs = { "/tmp" }, volumes = { d .. ":/data" } }), "x\ny")
check.same(check.out(img, "df -k /dev/shm | tail -n 1 | awk '{ print $2 }'", { shm_size = "1m" }), "1024")
