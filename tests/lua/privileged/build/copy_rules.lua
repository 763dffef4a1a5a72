-- What goes where when things are copied.
local check = require "check"
local s = build.from(check.busybox())
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
fs.mkdir(d .. "src/sub/deep")
fs.write(d .. "src/one.c", "one")
fs.write(d .. "src/one.o", "object")
fs.write(d .. "src/sub/two.c", "two")
fs.write(d .. "src/sub/two.o", "object")
fs.write(d .. "run.sh", "#!/bin/sh\necho ran\n", { mode = tonumber("4755", 8) })
host.run({ "ln", "-s", "one.c", d .. "src/link" })
host.run({ "ln", "-s", "/etc/shadow", d .. "src/outside" })
host.run({ "ln", "-s", "loop", d .. "src/loop" })
host.run({ "chown", "-R", "1234:1234", d .. "src" })
local function tree(state, path)
  return state:out("cd " .. path .. " && find . | sort | tr '\\n' ' '")
end
-- a folder's contents, whether or not the target is there or ends in a slash
local all = ". ./link ./loop ./one.c ./one.o ./outside ./sub ./sub/deep ./sub/two.c ./sub/two.o "
check.same(tree(s:copy(d .. "src", "/app"), "/app"), all)
check.same(tree(s:copy(d .. "src/", "/app/"), "/app"), all)
check.same(tree(s:run "mkdir /app":copy(d .. "src", "/app"), "/app"), all)
-- links stay links
local copied = s:copy(d .. "src", "/app")
check.same(copied:out "for l in link outside loop; do readlink /app/$l; done", "one.c\n/etc/shadow\nloop")
check.same(copied:out "stat -c '%u:%g %a' /app /app/one.c /app/sub | sort -u", "0:0 644\n0:0 755")
-- a file becomes the target, or goes into it
check.same(s:copy(d .. "run.sh", "/bin/run"):out "run", "ran")
check.same(s:copy(d .. "run.sh", "/bin/run"):out "stat -c %a /bin/run", "4755")
check.same(s:copy(d .. "run.sh", "/new/folder/"):exists "/new/folder/run.sh", true)
check.same(s:copy(d .. "run.sh", "/bin"):exists "/bin/run.sh", true)
check.same(s:workdir "/w":copy(d .. "run.sh", "."):exists "/w/run.sh", true)
check.same(s:workdir "/w":copy(d .. "run.sh", "x/y"):exists "/w/x/y", true)
-- several
check.same(tree(s:copy({ d .. "src/one.c", d .. "run.sh" }, "/two/"), "/two"), ". ./one.c ./run.sh ")
check.fails("invalid_argument", "cannot copy 2 things to '/two': end it with '/' to name a folder", nil, s.copy, s, { d .. "src/one.c", d .. "run.sh" }, "/two")
-- left out
check.same(tree(s:copy(d .. "src", "/app", { exclude = { "*.o", "sub/deep", "l*" } }), "/app"), ". ./one.c ./outside ./sub ./sub/two.c ")
check.fails("invalid_argument", "invalid pattern 'a[': the class does not end", nil, s.copy, s, d .. "src", "/app", { exclude = { "a[" } })
-- owner and mode
local owned = s:copy(d .. "src", "/app", { chown = "ann:wheel", chmod = "0700" })
check.same(owned:out "stat -c '%u:%g %a' /app /app/one.c /app/sub/two.c | sort -u", "1000:10 700")
check.same(s:copy(d .. "run.sh", "/x", { chown = "7:8", chmod = "644" }):out "stat -c '%u:%g %a' /x", "7:8 644")
check.fails("not_found", "user 'eve' is not in the image's /etc/passwd", nil, s.copy, s, d .. "src", "/app", { chown = "eve" })
check.fails("invalid_argument", "invalid mode '999'", "write octal digits in a string, such as \"0755\", or words, such as \"u=rwX,go=rX\"", s.copy, s, d .. "src", "/app", { chmod = "999" })
-- what is in the way
check.fails("not_found", "cannot copy 'no/such': no such file or folder on the host", nil, s.copy, s, "no/such", "/x")
check.fails("invalid_argument", "cannot copy into /etc/passwd: it is not a folder", nil, s.copy, s, d .. "src", "/etc/passwd")
host.run({ "mkfifo", d .. "fifo" })
check.same(s:copy(d .. "fifo", "/x"):stat("/x").kind, "fifo")
check.fails("invalid_argument", "cannot copy /dev/null: it is neither file, folder, link nor pipe", nil, s.copy, s, "/dev/null", "/x")
local _, loop = pcall(s.copy, s, d .. "src/loop", "/x")
check.same(loop.kind == "os" or loop.kind == "invalid_argument" or loop, true)
-- links in the image lead inside it
check.same(s:run "ln -s /etc /conf":copy(d .. "src/one.c", "/conf/one"):read "/etc/one", "one")
check.same(s:run "ln -s ../../../../../../etc /up":copy(d .. "src/one.c", "/up/one"):read "/etc/one", "one")
-- from another state or image
local built = build.scratch():write("/out/app", "program", { mode = "0755", chown = "5:6" }):write("/out/doc", "text")
check.same(tree(s:copy("/out", "/opt", { from = built }), "/opt"), ". ./app ./doc ")
local kept = s:copy("/out/app", "/new/a", { from = built })
check.same(kept:out "stat -c '%u:%g %a' /new /new/a | tr '\\n' ' '", "0:0 755 5:6 755 ")
local given = s:copy("/out/app", "/new/a", { from = built, chown = "7:8" })
check.same(given:out "stat -c '%u:%g %a' /new /new/a | tr '\\n' ' '", "7:8 755 7:8 755 ")
local special = s:copy("/d", "/copy", { from = s:run "mkdir /d && mknod /d/null c 1 3 && mkfifo -m 600 /d/pipe" })
check.same(special:out "stat -c '%n %F %t:%T %a' /copy/* | tr '\\n' ' '", "/copy/null character special file 1:3 644 /copy/pipe fifo 0:0 600 ")
local img = built:commit "built:1"
check.same(s:copy("/out/doc", "/a", { from = img }):read "/a", "text")
check.same(s:copy("/out/doc", "/a", { from = "built:1" }):read "/a", "text")
check.fails("not_found", "cannot copy '/none': it does not exist in the other state", nil, s.copy, s, "/none", "/x", { from = built })
