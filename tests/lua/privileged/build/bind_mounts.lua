-- Bind mounts of steps: other states, images and the host; read-only, or with writes that are forgotten; keyed by content.
local check = require "check"
local img = check.busybox()
local s = build.from(img)
local other = build.scratch():write("/d/one", "1\n"):write("/d/two", "2\n"):remove "/d/one":write("/d/sub/x", "x\n"):write("/f", "file\n")
local function out(cmd, ...) return s:out(cmd, { mounts = { ... }, workdir = "/tmp" }) end

-- folders and files of a state, of an image by handle and by name
check.same(out("find /m | sort | tr '\n' ' '; cat /m/two", { type = "bind", target = "/m", from = other, source = "/d" }), "/m /m/sub /m/sub/x /m/two 2")
check.same(out("cat /m/f /m/d/sub/x", { target = "/m", from = other }), "file\nx")
check.same(out("cat /a/b/g", { target = "/a/b/g", from = other, source = "f" }), "file")
check.same(out("cmp /m/bin/busybox /bin/busybox && echo same", { target = "/m", from = img }), "same")
check.same(out("cmp /m /bin/busybox && echo same", "type=bind,from=" .. img.id .. ",source=bin/busybox,target=/m"), "same")
-- a relative target continues the working folder
check.same(out("cat here/two; pwd", { target = "here", from = other, source = "/d" }), "2\n/tmp")
-- nothing can be written, unless it is to be forgotten
local ro = "echo x > /m/new 2>/dev/null || echo no; echo y > /m/two 2>/dev/null || echo no"
check.same(out(ro, { target = "/m", from = other, source = "/d" }), "no\nno")
local dir <close> = fs.tempdir()
fs.mkdir(dir.path .. "/sub")
fs.write(dir.path .. "/two", "host\n")
fs.write(dir.path .. "/sub/deep", "deep\n")
check.same(out(ro, { target = "/m", source = dir.path }), "no\nno")
local rw = "echo x > /m/new; echo y > /m/two; rm -r /m/sub; cat /m/new /m/two; ls /m | tr '\n' ' '"
check.same(out(rw, { target = "/m", source = dir.path, rw = true }), "x\ny\nnew two ")
check.same({ fs.read(dir.path .. "/two"), fs.exists(dir.path .. "/new"), fs.read(dir.path .. "/sub/deep") }, { "host\n", false, "deep\n" })
check.same(out(rw, "target=/m,from=" .. img.id .. ",source=/etc,rw"):sub(1, 4), "x\ny\n")
check.same({ out("echo z >> /m; cat /m", { target = "/m", source = dir.path .. "/two", rw = true }), fs.read(dir.path .. "/two") }, { "host\nz", "host\n" })
check.same({ out("echo z >> /m; cat /m", { target = "/m", from = other, source = "/f", rw = true }), other:read "/f" }, { "file\nz", "file\n" })

-- the layer has nothing of it: no places, no changed folders
local t = s:run("echo x > /root-file; cat /opt/a/b/two /etc/extra/two", { mounts = {
  { target = "/opt/a/b", source = dir.path }, { target = "/etc/extra", source = dir.path, rw = true }, { target = "/etc/one-file", source = dir.path .. "/two" },
} })
local listed = {}
for _, e in ipairs(t:list "/") do listed[#listed + 1] = e.name end
check.same({ t:exists "/opt/a", t:exists "/etc/extra", t:exists "/etc/one-file", t:read "/root-file" }, { false, false, false, "x\n" })
check.same(#t:list "/", #s:list "/" + 1)
local quiet = s:run("cat /opt/a/b/two", { mounts = { { target = "/opt/a/b", source = dir.path } } })
local function layers(state) return #state:commit().layers end
check.same(layers(quiet), layers(s), "a step that writes nothing has no layer")
-- also where an earlier step has replaced the folder above, or took it away
local replaced = s:run "rm -rf /etc /home; mkdir /etc; echo k > /etc/kept"
local u = replaced:run("cat /etc/m/two /home/m/two > /seen", { mounts = { { target = "/etc/m", source = dir.path }, { target = "/home/m", source = dir.path } } })
check.same({ u:read "/seen", #u:list "/etc", u:exists "/home" }, { "host\nhost\n", 1, false })
-- what the step itself makes of a place's folder stays
local touched = s:run("chmod 700 /opt/mine; echo x > /opt/mine/file", { mounts = { { target = "/opt/mine/m", source = dir.path } } })
check.same({ touched:read "/opt/mine/file", touched:exists "/opt/mine/m", touched:out "stat -c %a /opt/mine" }, { "x\n", false, "700" })

-- the key: content and mode, not time, not place
local function id(opts) return s:run("cat /m/two; cat /proc/sys/kernel/random/uuid > /stamp", { mounts = { opts } }):read "/stamp" end
local first = id { target = "/m", source = dir.path }
host.run { "touch", "-d", "@1", dir.path .. "/two" }
check.same(id { target = "/m", source = dir.path }, first)
local copy <close> = fs.tempdir()
host.run { "cp", "-r", dir.path .. "/.", copy.path }
check.same(id { target = "/m", source = copy.path }, first)
fs.write(dir.path .. "/sub/deep", "changed\n")
local second = id { target = "/m", source = dir.path }
check.same({ second == first, id { target = "/m", source = copy.path } == first }, { false, true })
check.same(id { target = "/m", source = dir.path, rw = true } == second, false)
check.same(id { target = "/m", from = other, source = "/d" } == id { target = "/m", from = other, source = "/d" }, true)
-- files that change while the step runs are no key
local e = select(2, pcall(s.run, s, "cat /m/two; echo ready > /c/ready; while ! [ -e /c/go ]; do :; done", { mounts = { { target = "/m", source = dir.path }, { type = "cache", target = "/c" } }, timeout = "100ms" }))
check.same(e.kind, "timeout")

-- links are followed inside the source, never out of it
local l = build.from(img):run("mkdir /l; ln -s /etc /l/abs; ln -s ../../../../etc /l/up; ln -s /l/abs/passwd /l/file; ln -s loop /l/loop; ln -s /nowhere /l/none")
for _, source in ipairs { "/l/abs/passwd", "/l/up/passwd", "/l/file", "l/../../../l/abs/passwd" } do
  check.same(out("cat /m", { target = "/m", from = l, source = source }), l:read("/etc/passwd"):gsub("\n$", ""), source)
end
check.fails("not_found", "cannot mount '/l/none': the state has no such file or folder", nil, out, "true", { target = "/m", from = l, source = "/l/none" })
check.same(select(2, pcall(out, "true", { target = "/m", from = l, source = "/l/loop" })).kind, "invalid_argument")

-- contexts: what their rules leave, and nothing outside
local c <close> = fs.tempdir()
fs.mkdir(c.path .. "/src/gen")
fs.write(c.path .. "/src/a.c", "a\n")
fs.write(c.path .. "/src/a.o", "object\n")
fs.write(c.path .. "/src/gen/b.o", "object\n")
host.run { "ln", "-s", "/etc/passwd", c.path .. "/src/out" }
host.run { "ln", "-s", "../../../../../../etc", c.path .. "/up" }
local ctx = build.context(c.path, { ignore = { "**/*.o" } })
check.same(out("cd /m; find . | sort | tr '\n' ' '", { target = "/m", from = ctx }), ". ./src ./src/a.c ./src/gen ./src/out ./up ")
check.same(out("find /m | sort | tr '\n' ' '", { target = "/m", from = build.context(c.path), source = "src" }), "/m /m/a.c /m/a.o /m/gen /m/gen/b.o /m/out ")
check.same(out("cat /m", { target = "/m", from = ctx, source = "/src/../../src/a.c" }), "a")
for _, source in ipairs { "/src/out", "up/passwd" } do
  for _, from in ipairs { ctx, build.context(c.path) } do
    check.fails("not_found", "cannot mount '" .. source .. "': it is not in the context", nil, out, "true", { target = "/m", from = from, source = source })
  end
end
local function of(context) return s:run("cat /m/a.c; cat /proc/sys/kernel/random/uuid > /stamp", { mounts = { { target = "/m", from = context, source = "src" } } }):read "/stamp" end
local known = of(ctx)
fs.write(c.path .. "/src/a.o", "another\n")
check.same(of(build.context(c.path, { ignore = { "**/*.o" } })), known, "what is left out does not count")
fs.write(c.path .. "/src/a.c", "changed\n")
check.same(of(build.context(c.path, { ignore = { "**/*.o" } })) == known, false)

-- what is wrong is named
local function fails(kind, message, hint, mount) return check.fails(kind, message, hint, s.run, s, "true", { mounts = { mount } }) end
fails("not_found", "cannot mount '" .. dir.path .. "/none': no such file or folder on the host", nil, { target = "/m", source = dir.path .. "/none" })
fails("invalid_argument", "cannot mount '/dev/null': it is neither file nor folder", nil, { target = "/m", source = "/dev/null" })
fails("invalid_argument", "mount target '/': a mount cannot replace the container's '/'", nil, { target = "/", source = dir.path })
fails("invalid_argument", "mount target '/x/../..': a mount cannot replace the container's '/'", nil, "target=/x/../..,source=.")
fails("invalid_argument", "State:run: unknown key 'sorce' of a bind mount", "did you mean 'source'?", { target = "/m", sorce = "x" })
fails("invalid_argument", "State:run: unknown kind of mount 'bnd'", "did you mean 'bind'?", { type = "bnd", target = "/m" })
fails("invalid_argument", "State:run: unknown key 'bind-propagation' of a bind mount", "its keys are target, source, from, rw, ro", "target=/m,source=.,bind-propagation=rshared")
fails("invalid_argument", "State:run: a bind mount needs a source, or from", "the current folder is source=\".\"", { target = "/m" })
fails("invalid_argument", "State:run: invalid mode '755'", "write octal digits in a string, such as \"0755\"", { type = "file", target = "/m", content = "", mode = 755 })
check.fails("invalid_argument", "two mounts for '/m'", nil, s.run, s, "true", { mounts = { { target = "/m", source = dir.path }, { target = "/m/", source = dir.path } } })
check.fails("invalid_argument", "mount target /bin/busybox is not a folder", nil, s.run, s, "true", { mounts = { { target = "/bin/busybox", source = dir.path } } })
