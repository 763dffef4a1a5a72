-- Without the right to raise a limit it stays at the hard one, with one warning for the whole run.
local check = require "check"
local script = [[
local img = image.load(host.env.BUSYBOX)[1]
for _ = 1, 2 do print((container.run(img, "ulimit -n; ulimit -Hn", {ulimits = {"nofile=99999"}, capture = true}).stdout:gsub("\n", " "))) end
]]
local words = { "setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "sh", "-c",
  'ulimit -n 4096 && exec "$@"', "sh", host.env.MOONSHELL, "-e", script }
local r = host.run(words, { capture = true, check = false })
check.same(r.stdout, "4096 4096 \n4096 4096 \n", r.stderr)
local count = select(2, r.stderr:gsub("warning: [^\n]*nofile[^\n]*", function(line) print(line) end))
check.same(count, 1, r.stderr)
