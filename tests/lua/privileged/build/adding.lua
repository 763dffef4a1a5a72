-- Adding: archives are told by their content and unpacked where they cannot leave the target.
local check = require "check"
local s = build.from(check.busybox())
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
fs.mkdir(d .. "tree/sub")
fs.write(d .. "tree/one", "one")
fs.write(d .. "tree/sub/two", "two", { mode = tonumber("4755", 8) })
fs.write(d .. "tree/-odd", "odd")
host.run { "ln", "-s", "../one", d .. "tree/sub/link" }
host.run { "ln", d .. "tree/one", d .. "tree/hard" }
host.run { "chown", "-R", "5:6", d .. "tree" }
host.run { "chmod", "4755", d .. "tree/sub/two" }
local function tar(name, ...) host.run({ "tar", "-C", d .. "tree", "-cf", d .. name, ... }) end
tar("plain.tar", ".")
local function tree(state, path)
  return state:out("cd " .. path .. " && find . | sort | tr '\\n' ' '")
end
local all = ". ./-odd ./hard ./one ./sub ./sub/link ./sub/two "
-- every compression, whatever the name says
for program, ending in pairs { gzip = ".gz", bzip2 = ".bz2", xz = ".xz", zstd = ".zst" } do
  local ok = host.run({ "sh", "-c", program .. " -c <" .. d .. "plain.tar >" .. d .. "packed" .. ending }, { check = false, capture = true }).ok
  if ok then
    check.same(tree(s:add(d .. "packed" .. ending, "/to"), "/to"), all, program)
    check.same(build.context(d .. "packed" .. ending):read "sub/two", "two")
  else
    print("skipped: no " .. program)
  end
end
host.run { "cp", d .. "plain.tar", d .. "name.txt" }
local plain = s:add(d .. "name.txt", "/to")
check.same(tree(plain, "/to"), all)
-- owners, modes, links are the archive's
check.same(plain:out "stat -c '%u:%g %a' /to/one /to/sub/two | tr '\\n' ' '", "5:6 644 5:6 4755 ")
check.same(plain:out "readlink /to/sub/link; stat -c %h /to/one", "../one\n2")
check.same(s:add(d .. "plain.tar", "/to", { chown = "7:8", chmod = "u=rwX,go=" }):out "stat -c '%u:%g %a' /to/one /to/sub /to/sub/two | tr '\\n' ' '", "7:8 600 7:8 700 7:8 700 ")
check.same(s:add(d .. "plain.tar", "/to", { chown = "7:8" }):out "stat -c '%u:%g %a' /to/sub/two", "7:8 4755")
-- or not unpacked
check.same(tree(s:add(d .. "plain.tar", "/to/", { unpack = false }), "/to"), ". ./plain.tar ")
check.same(s:add(d .. "tree/one", "/x"):read "/x", "one")
check.same(tree(s:add(d .. "tree/sub", "/to"), "/to"), ". ./link ./two ")
check.same(tree(s:copy(d .. "plain.tar", "/to/"), "/to"), ". ./plain.tar ")
check.same(tree(s:add({ d .. "plain.tar", d .. "name.txt" }, "/to/", { from = nil }), "/to"), all)
local ctx = build.context(d)
check.same(tree(s:add("*.tar", "/to", { from = ctx }), "/to"), all)
-- into folders of the state, by links of the state
check.same(s:run "ln -s /etc /conf":add(d .. "plain.tar", "/conf"):read "/etc/one", "one")
check.same(s:run "mkdir /to && ln -s /etc /to/sub":add(d .. "plain.tar", "/to"):read "/etc/two", "two")
check.fails("invalid_argument", "cannot copy into /etc/passwd: it is not a folder", nil, s.add, s, d .. "plain.tar", "/etc/passwd")
-- members that lead elsewhere
tar("up.tar", "--transform", "s,^one,../../up,", "-P", "one")
check.fails("integrity", "cannot unpack 'up.tar'", nil, s.add, s, d .. "up.tar", "/to")
tar("absolute.tar", "--transform", "s,^one,/etc/absolute,", "-P", "one")
check.same(tree(s:add(d .. "absolute.tar", "/to"), "/to"), ". ./etc ./etc/absolute ")
fs.mkdir(d .. "evil")
host.run { "ln", "-s", "/etc", d .. "evil/way" }
host.run { "tar", "-C", d .. "evil", "-cf", d .. "way.tar", "way" }
host.run { "tar", "-C", d .. "tree", "-rf", d .. "way.tar", "--transform", "s,^one,way/through,", "one" }
local through = s:add(d .. "way.tar", "/to")
check.same(through:exists "/etc/through", false)
check.same(fs.exists "/etc/through", false)
fs.write(d .. "evil/.wh.passwd", "")
host.run { "tar", "-C", d .. "evil", "-cf", d .. "removal.tar", ".wh.passwd" }
check.fails("invalid_argument", "cannot unpack 'removal.tar'", nil, s.add, s, d .. "removal.tar", "/etc")
host.run { "sh", "-c", "head -c 9000 " .. d .. "plain.tar | head -c 1000 >" .. d .. "cut.tar" }
check.same(pcall(s.add, s, d .. "cut.tar", "/to"), false)
check.fails("integrity", "cannot open context '" .. d .. "up.tar'", nil, build.context, d .. "up.tar")
-- an archive on standard input; what it was unpacked to goes with the context
local words = { host.env.MOONSHELL, "-e", [[
  local ctx = build.context("-", { ignore = { "sub" } })
  local s = build.scratch():copy(".", "/", { from = ctx })
  print(s:read "/one", s:exists "/sub/two", ctx:read "sub/two", fs.exists(ctx.folder))
  ctx:close()
  print(fs.exists(ctx.folder))
]] }
local read = host.run(words, { capture = true, input = fs.read(d .. "plain.tar") })
check.same(read.stdout, "one\tfalse\ttwo\ttrue\nfalse\n")
-- the cache: by content
local result = check.again(([[
  local s = build.from(image.list()[1])
  s:add(%q, "/to")
  s:add(%q, "/to", {unpack = false})
]]):format(d .. "plain.tar", d .. "plain.tar"))
local ran, cached = check.steps(result.stderr)
check.same({ #ran, #cached }, { 1, 1 })
check.fails("invalid_argument", "'" .. d .. "plain.tar' is no download: it has no checksum", nil, s.add, s, d .. "plain.tar", "/to", { checksum = "sha256:" .. ("0"):rep(64) })
