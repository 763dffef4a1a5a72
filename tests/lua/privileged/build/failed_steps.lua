-- A failed step's error tells what failed and leads back to the state it failed in; nothing of it is kept.
local check = require "check"
local s = build.from(check.busybox()):write("/in", "input")
local line = "echo to-out; echo to-err >&2; echo x > /made; exit 3"
local e = check.fails("exit", "command exited with code 3: " .. line, nil, s.run, s, line)
check.same({ e.exit_code, e.op, e.state == s, e.state:read "/in", e.state:read "/made" }, { 3, "State:run", false, "input", "x\n" })
check.same(e.stderr, "to-out\nto-err\n")
check.same(s:exists "/made", false)
local o = check.fails("exit", "command exited with code 4: exit 4", nil, s.out, s, "exit 4")
check.same({ o.exit_code, o.state == s }, { 4, true }, "it had written nothing")
local n = check.fails("not_found", "command not found: nope: not found in the image's PATH", nil, s.run, s, { "nope", "x" })
check.same({ n.exit_code, n.state == s }, { 127, true })
check.fails("exit", "command exited with code 1: /bin/sh -c false x", nil, s.run, s, { "/bin/sh", "-c", "false", "x" })
check.same(check.fails("not_found", "command not found: /bin/sh: no such file in the image", "without a shell in the image, give the command as a list: {\"/program\", \"argument\"}",
  function() build.scratch():write("/x", "y"):run "echo" end).exit_code, 127)
check.fails("timeout", "still running after 100ms", nil, s.run, s, "sleep 60", { timeout = "100ms" })
check.fails("invalid_argument", "State:run: unknown option 'evn'", "did you mean 'env'?", s.run, s, "true", { evn = {} })
check.fails("invalid_argument", "State:run: argument vector has no element 1 (nil)", "a variable in the list is probably misspelt or not set", s.run, s, { nil, "x" })
-- The state it failed in: all that looks and runs works there, and nothing that stands on it is kept.
local left = e.state
check.same({ left:exists "/made", #left:list "/" - #s:list "/", left:out "cat /made /in" }, { true, 1, "x\ninput" })
local after = left:run "echo y >> /made; rm /in"
check.same({ after:read "/made", after:exists "/in", left:read "/made", after:run("true") == after }, { "x\ny\n", false, "x\n", true })
check.same({ left:out "cat /proc/sys/kernel/random/uuid" == left:out "cat /proc/sys/kernel/random/uuid" }, { false })
check.same(left:write("/more", "m"):read "/more", "m")
check.same(s:copy("/made", "/got", { from = left }):read "/got", "x\n")
check.same(check.out(left, "cat /made"), "x")
check.same(left:shell { command = "exit 7" }, 7)
local place <close> = fs.tempdir()
left:copy_out("/made", place.path)
check.same({ fs.read(place.path .. "/made"), left:stat("/made").size, #left:tree() > 1 }, { "x\n", 2, true })
check.fails("unsupported", "State:shell needs a terminal", "without one, say what to run: s:shell{command=\"...\"}", left.shell, left)
check.fails("invalid_argument", "what a failed step left goes away with its state: no container can stay on it", "run it in the foreground, to be removed at its end", container.create, left)
local committed, refused = pcall(left.commit, left, "held:1")
check.same(committed, false)
check.has(refused.message, "failed")
-- a step that is killed by its time leaves what it had written, too
local late = select(2, pcall(s.run, s, "echo half > /half; sleep 60", { timeout = "2s" }))
check.same({ late.kind, late.state:read "/half" }, { "timeout", "half\n" })
-- what a failed step did to what was there: removed, replaced, of other owners and modes
local odd = select(2, pcall(s.run, s, "rm -r /etc; mkdir /etc; echo n > /etc/n; chmod 711 /etc; chown 5:6 /etc/n; exit 1")).state
check.same({ odd:list("/etc")[1].name, #odd:list "/etc", odd:list("/etc")[1].uid, odd:out "stat -c %a /etc" }, { "n", 1, 5, "711" })
-- nothing of it stays on disk
local function areas()
  return #fs.list(host.env.MOONSHELL_ROOT .. "/tmp")
end
local before = areas()
e, left, after, late, odd, refused = nil, nil, nil, nil, nil, nil
collectgarbage() collectgarbage()
check.same(before - areas() > 3, true, "the states that were left are gone")
-- a step's own options do not stay
local t = s:run("echo $A $(pwd) $(id -un) > /o", { env = { A = "a" }, workdir = "/tmp", user = "root" })
check.same({ t:read "/o", t:out "echo [$A] $(pwd)" }, { "a /tmp root\n", "[] /" })
-- a failed step runs again
local dir <close> = fs.tempdir()
check.same(pcall(s.run, s, "test -e /in && false"), false)
local again = check.moonshell("--progress", "plain", "-e", ([[build.from(image.load(host.env.BUSYBOX)[1]):write("/in", "input"):run("test -e /in && false")]]))
check.same(again.ok, false)
check.has(again.stderr, "error: command exited with code 1: test -e /in && false\n")
check.has(again.stderr, "at -e:1\n")
-- the machine's programs
check.fails("not_found", "'/no/such' does not exist on this host", nil, build.from_host, { "/no/such" })
check.fails("invalid_argument", "program 'sh' is not an absolute path", nil, build.from_host, { "sh" })
check.fails("invalid_argument", "build.from_host needs at least one program", nil, build.from_host, {})
check.fails("invalid_argument", "'/etc' is not a regular file", nil, build.from_host, { "/etc" })
fs.write(dir.path .. "/script", "#!/bin/sh -e\necho from a script\n", { mode = tonumber("755", 8) })
check.same(build.from_host { dir.path .. "/script" }:out { dir.path .. "/script" }, "from a script")
