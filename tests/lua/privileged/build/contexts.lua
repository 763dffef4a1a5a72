-- Copying from a context: its rules, its borders, patterns, and the options of COPY.
local check = require "check"
local s = build.from(check.busybox())
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
fs.mkdir(d .. "ctx/src/sub")
fs.mkdir(d .. "ctx/docs")
fs.mkdir(d .. "ctx/.git")
fs.write(d .. "outside", "secret")
for _, name in ipairs { "a.txt", "b.txt", "src/one.c", "src/one.o", "src/sub/two.c", "docs/x.md", "docs/README.md", ".git/HEAD", ".hidden", "[odd]" } do
  fs.write(d .. "ctx/" .. name, name)
end
fs.write(d .. "ctx/.dockerignore", "# rules\n.git\n**/*.o\ndocs/*\n!docs/README.md\n")
host.run { "ln", "-s", "../outside", d .. "ctx/out" }
host.run { "ln", "-s", d .. "outside", d .. "ctx/absolute" }
host.run { "ln", "-s", "/src", d .. "ctx/in" }
host.run { "ln", "-s", "a.txt", d .. "ctx/link" }
host.run { "ln", "-s", "nowhere", d .. "ctx/dangling" }
host.run { "ln", "-s", "one.c", d .. "ctx/src/inner" }
local function tree(state, path)
  return state:out("cd " .. path .. " && find . | sort | tr '\\n' ' '")
end
local all = build.context(d .. "ctx")
local ctx = build.context(d .. "ctx", { ignore_file = ".dockerignore" })
check.same(ctx.folder, host.run({ "realpath", d .. "ctx" }, { capture = true }).stdout:gsub("\n", ""), nil)
check.same(tostring(all), "Context(" .. d .. "ctx)")
-- rules
check.same(tree(s:copy(".", "/app", { from = ctx }), "/app"),
  ". ./.dockerignore ./.hidden ./[odd] ./a.txt ./absolute ./b.txt ./dangling ./docs ./docs/README.md ./in ./link ./out ./src ./src/inner ./src/one.c ./src/sub ./src/sub/two.c ")
check.same(s:copy("docs", "/app", { from = ctx }):out "ls /app", "README.md")
check.fails("not_found", "cannot copy 'docs/x.md': it is not in the context", "the context's ignore rules leave it out", s.copy, s, "docs/x.md", "/x", { from = ctx })
check.fails("not_found", "cannot copy '.git': it is not in the context", "the context's ignore rules leave it out", s.copy, s, ".git", "/x", { from = ctx })
check.same(s:copy("docs/x.md", "/x", { from = all }):read "/x", "docs/x.md")
check.same(s:copy("*", "/app/", { from = build.context(all, { ignore = { "*", "!a.txt" } }) }):out "ls -A /app", "a.txt")
check.fails("invalid_argument", "invalid pattern '!': nothing follows it", nil, build.context, d .. "ctx", { ignore = { "!" } })
-- borders: dots are dropped, links lead nowhere but inside
check.same(s:copy("../../../a.txt", "/x", { from = ctx }):read "/x", "a.txt")
check.same(s:copy("/a.txt", "/x", { from = ctx }):read "/x", "a.txt")
check.same(s:copy("in/one.c", "/x", { from = ctx }):read "/x", "src/one.c")
check.same(s:copy("link", "/to/", { from = ctx }):out "cd /to; test -h link || cat link", "a.txt")
for _, name in ipairs { "../../etc/passwd", "/etc/passwd", "none", "src/none" } do
  check.fails("not_found", "cannot copy '" .. name .. "': it is not in the context", nil, s.copy, s, name, "/x", { from = ctx })
end
for _, name in ipairs { "out", "absolute", "dangling" } do
  check.fails("not_found", "cannot copy '" .. name .. "': it is not in the context", nil, s.copy, s, name, "/to/", { from = ctx })
  check.same(s:copy(name .. "*", "/to/", { from = ctx }):out("test -h /to/" .. name .. " && echo link"), "link")
end
check.same(all:read "out", nil)
check.same(all:read "absolute", nil)
check.same(all:read "../../../etc/passwd", nil)
-- patterns
check.same(tree(s:copy("*.txt", "/app/", { from = ctx }), "/app"), ". ./a.txt ./b.txt ")
check.same(tree(s:copy("[^b].txt", "/app/", { from = ctx }), "/app"), ". ./a.txt ")
check.same(tree(s:copy("?.txt", "/app/", { from = ctx }), "/app"), ". ./a.txt ./b.txt ")
check.same(s:copy("\\[odd]", "/x", { from = ctx }):read "/x", "[odd]")
check.same(s:copy("s*/sub/*.c", "/x", { from = ctx }):read "/x", "src/sub/two.c")
check.same(s:copy("none*", "/app/", { from = ctx }):exists "/app", false)
check.same(tree(s:copy({ "none*", "a.txt" }, "/app/", { from = ctx }), "/app"), ". ./a.txt ")
check.same(s:copy("src/*.o", "/app/", { from = ctx }):exists "/app/one.o", false)
check.fails("invalid_argument", "invalid pattern 'a[': the class does not end", nil, s.copy, s, "a[", "/x", { from = ctx })
check.fails("invalid_argument", "cannot copy 2 things to '/two': end it with '/' to name a folder", nil, s.copy, s, "*.txt", "/two", { from = ctx })
check.same(tree(s:copy(d .. "ctx/*.txt", "/app/"), "/app"), ". ./a.txt ./b.txt ")
local other = build.scratch():copy("src", "/opt/src", { from = ctx })
check.same(tree(s:copy("/opt/*/*.c", "/app/", { from = other }), "/app"), ". ./one.c ")
-- parents
check.same(tree(s:copy("src/sub/two.c", "/app", { from = ctx, parents = true }), "/app"), ". ./src ./src/sub ./src/sub/two.c ")
check.same(tree(s:copy("./src/./sub/*.c", "/app", { from = ctx, parents = true }), "/app"), ". ./sub ./sub/two.c ")
check.same(tree(s:copy({ "src/sub", "docs" }, "/app", { from = ctx, parents = true }), "/app"), ". ./docs ./docs/README.md ./src ./src/sub ./src/sub/two.c ")
check.same(tree(s:copy("/opt/./src/*.c", "/app", { from = other, parents = true }), "/app"), ". ./src ./src/one.c ")
-- exclude: from the source's folder on
check.same(tree(s:copy("src", "/app", { from = ctx, exclude = { "*.c" } }), "/app"), ". ./inner ./sub ./sub/two.c ")
check.same(tree(s:copy("src", "/app", { from = ctx, exclude = { "**/*.c", "!sub/two.c", "inner" } }), "/app"), ". ./sub ./sub/two.c ")
check.same(tree(s:copy("*.txt", "/app/", { from = ctx, exclude = "b*" }), "/app"), ". ./a.txt ")
-- modes and owners
local words = s:copy("src", "/app", { from = ctx, chmod = "u=rwX,go=rX", chown = "4294967294:7" })
check.same(words:out "stat -c '%u:%g %a' /app /app/one.c | tr '\\n' ' '", "4294967294:7 755 4294967294:7 644 ")
check.same(s:copy("a.txt", "/x", { from = ctx, chmod = "a+x" }):out "stat -c %a /x", "755")
check.same(s:copy("a.txt", "/x", { from = ctx, chown = "77" }):out "stat -c %u:%g /x", "77:77")
check.same(s:copy("a.txt", "/x", { from = ctx, chown = "ann" }):out "stat -c %u:%g /x", "1000:1000")
check.same(s:copy("a.txt", "/x", { from = ctx, chown = "5:wheel" }):out "stat -c %u:%g /x", "5:10")
for _, id in ipairs { "4294967295", "-1", "4294967296", "99999999999999999999", "0:4294967295" } do
  local bad = id:match "[^:]*$"
  check.fails("invalid_argument", "user or group id " .. bad .. " is out of range: 0 to 4294967294", nil, s.copy, s, "a.txt", "/x", { from = ctx, chown = id })
end
check.fails("not_found", "group 'none' is not in the image's /etc/group", nil, s.copy, s, "a.txt", "/x", { from = ctx, chown = "0:none" })
check.fails("invalid_argument", "invalid owner ':5': expected USER[:GROUP]", nil, s.copy, s, "a.txt", "/x", { from = ctx, chown = ":5" })
-- pipes are copied, sockets are not, devices refused by name
host.run { "mkfifo", d .. "ctx/docs/fifo" }
host.run { "python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", d .. "ctx/docs/socket" }
local piped = s:copy("docs", "/x", { from = all })
check.same(piped:stat("/x/fifo").kind, "fifo")
check.same(piped:exists "/x/socket", false)
check.same(s:copy("docs", "/x", { from = ctx }):exists "/x/fifo", false)
host.run { "mknod", d .. "ctx/docs/null", "c", "1", "3" }
check.fails("invalid_argument", "cannot copy docs/null: it is neither file, folder, link nor pipe", nil, s.copy, s, "docs", "/x", { from = all })
fs.remove(d .. "ctx/docs/null")
-- the target: links of the state lead inside it
local linked = s:run "ln -s /etc /conf && ln -s ../../../../../etc /up && ln -s /etc/two /file"
check.same(linked:copy("a.txt", "/conf/", { from = ctx }):read "/etc/a.txt", "a.txt")
check.same(linked:copy("src", "/up", { from = ctx }):read "/etc/one.c", "src/one.c")
check.same(linked:copy("a.txt", "/file", { from = ctx }):read "/etc/two", "a.txt")
check.same(linked:copy("a.txt", "../../../../x", { from = ctx }):read "/x", "a.txt")
-- a layer of its own: the links below are not looked at, and another base finds it made
local own = linked:copy("a.txt", "/conf/", { from = ctx, link = true })
check.same(own:exists "/etc/a.txt", false)
check.same(own:read "/conf/a.txt", "a.txt")
local result = check.again(([[
  local ctx = build.context(%q, { ignore_file = ".dockerignore" })
  local s = build.from(image.list()[1]):write("/other", "x")
  s:copy("a.txt", "/conf/", { from = ctx, link = true })
  s:copy("a.txt", "/plain/", { from = ctx })
]]):format(d .. "ctx"))
local ran, cached = check.steps(result.stderr)
check.same(ran, { "WRITE /other", "COPY a.txt /plain/" })
check.same(cached, { "COPY a.txt /conf/" })
-- reading, and what was closed
check.same(ctx:read "docs/x.md", "docs/x.md")
check.same(ctx:exists "none", false)
check.same(ctx:exists ".git", true)
check.same(ctx:read "a.txt/b", nil)
check.fails("invalid_argument", "'docs' is a folder", nil, ctx.read, ctx, "docs")
ctx:close()
check.fails("invalid_argument", "context '" .. d .. "ctx' is closed", nil, ctx.read, ctx, "a.txt")
check.same(all:read "a.txt", "a.txt")
check.fails("not_found", "context 'no/such': no such file or folder", nil, build.context, "no/such")
