-- Programs run inside a container: where, as whom, with what, and how they end.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local c <close> = container.start(img, "sleep 1000", { env = { A = "1", B = "2" }, workdir = "/tmp" })
-- Environment and folder.
check.same(c:out "echo $A $B $PWD", "1 2 /tmp")
check.same(c:out("echo $A-$B-$C", { env = { A = "x", B = false, C = "c" } }), "x--c")
check.same(pcall(c.exec, c, "true", { env = { ["A=B"] = "x" } }), false)
check.same(c:out({ "pwd" }, { workdir = "/etc" }), "/etc")
-- Users.
check.same(c:out("id -u; id -g; echo $HOME", { user = "ann" }), "1000\n1000\n/home/ann")
check.same(c:out("id -u; id -g", { user = "1234:55" }), "1234\n55")
check.same(c:out("id -g", { user = "ann:wheel" }), "10")
local function refused(kind, opts, cmd)
  local ok, e = pcall(c.exec, c, cmd or "true", opts)
  check.same({ ok, e.kind }, { false, kind }, json.encode(opts))
  return e
end
refused("not_found", { user = "eve" })
refused("not_found", { user = "ann:nosuchgroup" })
check.has(refused("not_found", { workdir = "/no/such" }).message, "/no/such")
check.has(refused("invalid_argument", { workdir = "/etc/passwd" }).message, "/etc/passwd")
-- Statuses.
for code = 0, 255, 5 do check.same(c:exec("exit " .. code, { check = false }).exit_code, code) end
check.same(c:exec("kill -9 $$", { check = false }).exit_code, 137)
check.same(c:exec("kill -15 $$", { check = false }).exit_code, 143)
local e = refused("exit", {}, "echo bad >&2; exit 9")
check.same({ e.exit_code, e.stderr }, { 9, "bad\n" })
e = refused("not_found", {}, { "nope" })
check.same(e.exit_code, 127)
e = refused("permission", {}, { "/etc/passwd" })
check.same(e.exit_code, 126)
check.same(c:exec({ "nope" }, { check = false, capture = true }).exit_code, 127)
check.same(c:exec({ "/etc/passwd" }, { check = false, capture = true }).exit_code, 126)
-- Output apart, input, terminals.
local r = c:exec("echo out; echo err >&2", { capture = true })
check.same({ r.stdout, r.stderr }, { "out\n", "err\n" })
check.same(c:out("cat", { input = "given" }), "given")
check.same(c:out "cat", "")
check.same(#c:out("cat", { input = ("x"):rep(3 << 20) }), 3 << 20)
check.same(c:out("wc -c", { input = ("x"):rep(3 << 20) }), tostring(3 << 20))
c:exec("true", { input = ("x"):rep(3 << 20) })
check.same(c:out("tty", { tty = true }):gsub("\r", ""), "/dev/pts/0")
check.same(c:exec("tty", { check = false, capture = true }).stdout, "not a tty\n")
-- Time-out and detached.
check.same(pcall(c.exec, c, "sleep 1000", { timeout = "200ms" }), false)
check.same(c:exec("sleep 777 & true", { detach = true }), nil)
local ok, late = pcall(c.exec, c, "sleep 778 & sleep 779", { timeout = "200ms" })
check.same(late.kind, "timeout")
check.same(c:out "ps | grep -c '[s]leep 779' || true", "0")
c:exec("echo there > /tmp/there", { detach = true })
c:exec "while ! [ -e /tmp/there ]; do sleep 0.01; done"
check.same(pcall(c.exec, c, { "nope" }, { detach = true }), false)
-- Many at once.
local jobs = {}
for n = 1, 100 do jobs[n] = function() return c:out("echo " .. n) end end
local results = table.pack(parallel(table.unpack(jobs)))
check.same(c.status, "running")
-- While the container ends.
local ended = table.pack(pcall(parallel, function() return c:exec("sleep 1000", { check = false }).exit_code end,
  function() c:exec("true") c:kill() return 0 end))
check.same(c.status, "exited")
-- What a program leaves behind with its output is not waited for, but a little: it goes on, and the status is the
-- program's.
do
  local c <close> = container.start(img, "sleep 1000")
  local r = c:exec("sleep 999 & echo done; exit 3", { capture = true, check = false })
  check.same(r.exit_code .. r.stdout, "3done\n")
  check.has(c:out "ps", "sleep 999")
  -- What was printed before always comes.
  check.same(#c:exec("sleep 1000 & head -c 300000 /dev/zero", { capture = true }).stdout, 300000)
end
