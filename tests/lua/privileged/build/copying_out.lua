-- Copying out of a state: nothing of it leads elsewhere on the host.
local check = require "check"
local s = build.from(check.busybox())
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
local s = s:run "mkdir -p /app/sub /gone && echo one >/app/one && ln -s /etc/passwd /app/link && chown 5:6 /app/one && chmod 4755 /app/one && ln -s /app /way && echo x >/gone/x"
  :remove "/gone/x"
s:copy_out("/app", d .. "app")
check.same(host.run({ "sh", "-c", "cd " .. d .. "app && find . | sort | tr '\\n' ' '" }, { capture = true }).stdout, ". ./link ./one ./sub ")
check.same(fs.read(d .. "app/one"), "one\n")
check.same(host.run({ "readlink", d .. "app/link" }, { capture = true }).stdout, "/etc/passwd\n")
s:copy_out("/app", d .. "app")
check.same(fs.exists(d .. "app/app/one"), true)
s:copy_out("/app/.", d .. "app")
s:copy_out("/app/one", d .. "file")
check.same(fs.read(d .. "file"), "one\n")
s:copy_out("/way/one", d .. "file2")
check.same(fs.read(d .. "file2"), "one\n")
s:copy_out("/app/one", d .. "kept", { archive = true })
check.same(host.run({ "stat", "-c", "%u:%g %a", d .. "kept" }, { capture = true }).stdout, "5:6 4755\n")
s:copy_out("/gone", d)
check.same(fs.exists(d .. "gone/x"), false)
-- a link stays one; what it leads to is the state's
s:copy_out("/app/link", d .. "as-link")
check.same(host.run({ "readlink", d .. "as-link" }, { capture = true }).stdout, "/etc/passwd\n")
s:copy_out("/app/link", d .. "passwd", { follow = true })
check.same(fs.read(d .. "passwd"), s:read "/etc/passwd")
-- links that lie in the target are not followed
fs.mkdir(d .. "trap")
fs.mkdir(d .. "outside")
host.run { "ln", "-s", d .. "outside", d .. "trap/sub" }
pcall(s.copy_out, s, "/app/.", d .. "trap")
check.same(host.run({ "ls", d .. "outside" }, { capture = true }).stdout, "")
check.fails("not_found", "cannot copy '/none': it does not exist in the state", nil, s.copy_out, s, "/none", d)
-- the layers are as they were
check.same(s:out "stat -c '%u:%g %a' /app/one", "5:6 4755")
-- what went wrong is a state's
local gone = d .. "no/such/place"
check.fails("not_found", ("cannot copy '/app' of the state to '%s' of the host: '%s' does not exist"):format(gone, d .. "no/such"), nil, s.copy_out, s, "/app", gone)
