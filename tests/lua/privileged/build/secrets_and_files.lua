-- Secrets of steps: seen by the program that asks, and by nothing that stays. Small files. Memory.
local check = require "check"
local img = check.busybox()
local s = build.from(img)
local root = host.env.MOONSHELL_ROOT or (host.env.HOME .. "/.local/share/moonshell")
local dir <close> = fs.tempdir()
local value = "hunter2-" .. host.out "cat /proc/sys/kernel/random/uuid"
fs.write(dir.path .. "/token", value .. "\n")
local secrets = { token = { file = dir.path .. "/token" }, word = { value = value }, path = { env = "PATH" }, unused = { value = "u" }, none = { env = "MOONSHELL_NO_SUCH" } }
local function run(cmd, mount) return s:run(cmd, { secrets = secrets, mounts = { mount }, cache = false }) end
-- a file: where, whose, how
check.same(run("cat /run/secrets/token | wc -c > /n; stat -c '%a %u %g' /run/secrets/token >> /n", { type = "secret", id = "token" }):read "/n", (#value + 1) .. "\n400 0 0\n")
check.same(run("stat -c '%a %u %g %s' /etc/t > /n", "type=secret,id=word,target=/etc/t,mode=0440,uid=7,gid=8"):read "/n", "440 7 8 " .. #value .. "\n")
check.same(run("echo x > /run/secrets/word 2>/dev/null || echo no > /n", { type = "secret", id = "word" }):read "/n", "no\n")
-- a variable, a file, both
check.same(run("echo ${#TOKEN} > /n; ls /run/secrets 2>/dev/null | wc -l >> /n", { type = "secret", id = "word", env = "TOKEN" }):read "/n", #value .. "\n0\n")
check.same(run("[ \"$P\" = \"$(cat /p)\" ] && echo same > /n", { type = "secret", id = "path", env = "P", target = "/p" }):read "/n", "same\n")
-- the id comes from the target; a list of lines does as well
check.same(s:out("wc -c < /etc/token", { secrets = { "id=token,src=" .. dir.path .. "/token" }, mounts = { "type=secret,target=/etc/token" } }), tostring(#value + 1))
check.same(s:out("echo ${#X}", { secrets = { "id=path,env=PATH" }, mounts = { "type=secret,id=path,env=X" } }), tostring(#host.env.PATH))
-- absent: nothing, or an error
check.same(run("ls /run/secrets 2>/dev/null | wc -l > /n", { type = "secret", id = "missing" }):read "/n", "0\n")
check.same(run("echo [$X] > /n", { type = "secret", id = "none", env = "X" }):read "/n", "[]\n")
check.fails("not_found", "secret 'missing' is required and was not given", "give it: secrets={[\"missing\"]={file=\"path\"}}, or --secret id=missing,src=path", run, "true", { type = "secret", id = "missing", required = true })
check.same(select(2, pcall(s.run, s, "true", { secrets = { x = { file = dir.path .. "/nope" } }, mounts = { { type = "secret", id = "x" } } })).kind, "not_found")
check.same(s:out("echo fine", { secrets = { x = { file = dir.path .. "/nope" } } }), "fine", "a secret nobody asks for does no harm")
check.fails("invalid_argument", "State:run: secret 'x' must be a table", "write x={file=\"path\"}, {env=\"NAME\"} or {value=\"text\"}", s.run, s, "true", { secrets = { x = "abc" } })
check.fails("invalid_argument", "State:run: unknown key 'fil' of secret 'x'", "did you mean 'file'?", s.run, s, "true", { secrets = { x = { fil = "abc" } } })
-- the value is no part of the key, the mount is
local function stamp(text, mount) return s:run("cat /proc/sys/kernel/random/uuid > /stamp", { secrets = { k = { value = text } }, mounts = { mount } }):read "/stamp" end
check.same({ stamp("a", { type = "secret", id = "k" }) == stamp("b", { type = "secret", id = "k" }), stamp("a", { type = "secret", id = "k" }) == stamp("a", { type = "secret", id = "k", env = "K" }) }, { true, false })
-- errors say nothing of it
local e = select(2, pcall(s.run, s, "exit 3", { secrets = { word = { value = value } }, mounts = { { type = "secret", id = "word", env = "W" }, { type = "secret", id = "word" } } }))
check.same({ e.exit_code, json.encode { e.message, e.stderr, e.causes }:find(value, 1, true) }, { 3 })
-- Nothing that is kept has it: the whole state folder, with a commit, a save and a failed state.
local t = run("cat /run/secrets/token > /dev/null; echo done > /done", { type = "secret", id = "token" })
t:commit "secret:1"
image.save(dir.path .. "/image.tar", "secret:1")
local kept = select(2, pcall(s.run, s, "ls /run/secrets > /left; exit 1", { secrets = secrets, mounts = { { type = "secret", id = "word" } } })).state
check.same({ kept:read "/left", kept:exists "/run/secrets/word" }, { "word\n", false })
for _, place in ipairs { root, dir.path .. "/image.tar" } do
  check.same(host.run({ "grep", "-raclF", value, place }, { capture = true, check = false }).stdout, "", place)
end
-- nor do arguments of processes, nor messages, at any level of the log
local script = ([[
  local s = build.from(image.load(host.env.BUSYBOX)[1])
  s:run("wc -c < /run/secrets/w; cat /proc/[0-9]*/cmdline; env", {network="none", cache=false,
    secrets={w={env="SECRET_WORD"}}, mounts={{type="secret", id="w", required=true}}})
]])
local told = host.run({ host.env.MOONSHELL, "--log", "debug", "--progress", "plain", "-e", script }, { capture = true, check = false, env = { SECRET_WORD = value } })
check.same({ told.ok, (told.stdout .. told.stderr):find(value, 1, true) }, { true })
check.has(told.stderr, "| " .. #value)

-- Small files: read-only, part of the key
local function file(content, mode) return { type = "file", target = "/dev/pipes/EOF", content = content, mode = mode } end
check.same(s:out("/dev/pipes/EOF; stat -c %a /dev/pipes/EOF; echo x > /dev/pipes/EOF 2>/dev/null || echo no", { mounts = { file("#!/bin/sh\necho $0\n", "0755") } }), "/dev/pipes/EOF\n755\nno")
local bytes = "\0\1\255" .. ("x"):rep(300000)
check.same(s:out("wc -c < /f; head -c 3 /f | od -An -tu1", { mounts = { { type = "file", target = "/f", content = bytes } } }), "300003\n   0   1 255")
local function made(content) return s:run("cat /proc/sys/kernel/random/uuid > /stamp", { mounts = { file(content) } }):read "/stamp" end
check.same({ made "a" == made "a", made "a" == made "b" }, { true, false })
check.same(s:run("cat /etc/f", { mounts = { { type = "file", target = "/etc/f", content = "x" } } }):exists "/etc/f", false)
-- memory
check.same(s:out("df -k /m | awk 'NR==2{print $2}'; cp /bin/busybox /m/; /m/busybox echo runs; stat -c %a /m", { mounts = { "type=tmpfs,target=/m,size=8m" } }), "8192\nruns\n1777")
check.same(s:run("echo x > /m/x; echo y > /n/y", { mounts = { { type = "tmpfs", target = "/m" } }, tmpfs = { "/n:size=1m" } }):exists "/m", false)
