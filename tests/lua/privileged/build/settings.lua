-- What a committed image's configuration says, and how later steps see it.
local check = require "check"
local s = build.from(check.busybox())
  :env { GREETING = "hi", N = 3, GONE = "x" }:env { GONE = false }
  :label { version = "1.0", ["org.example.x"] = "a b" }
  :workdir "/srv":workdir "app"
  :user "ann"
  :expose { "80", "53/udp" }:expose(443)
  :volume "/data"
  :stop_signal "SIGINT"
  :cmd { "serve" }:entrypoint { "/app", "-v" }:cmd { "--port", 80 }
check.same(s:out "echo $GREETING $N ${GONE-gone} $(pwd) $(id -un)", "hi 3 gone /srv/app ann")
local c = s:commit("settings:1", { message = "a remark", author = "Ann <ann@example.com>" })
local config = c.config
check.same(#config.architecture > 0, true)
check.same({ config.author, config.os }, { "Ann <ann@example.com>", "linux" })
config = config.config
check.same(config.Env, { "PATH=/bin:/sbin", "FROM_IMAGE=yes", "GREETING=hi", "N=3" })
check.same(config.Labels, { version = "1.0", ["org.example.x"] = "a b" })
check.same({ config.WorkingDir, config.User, config.StopSignal }, { "/srv/app", "ann", "SIGINT" })
check.same(config.ExposedPorts, { ["80/tcp"] = {}, ["53/udp"] = {}, ["443/tcp"] = {} })
check.same(config.Volumes, { ["/data"] = {} })
check.same({ config.Entrypoint, config.Cmd }, { { "/app", "-v" }, { "--port", "80" } })
check.same(build.from(c):cmd(false):entrypoint(false).config.Cmd, nil)
check.same(build.from(c):cmd {}.config.Cmd, nil)
check.same(build.from(c):cmd "run it".config.Cmd, { "/bin/sh", "-c", "run it" })
check.same(build.from(c):shell_form { "/bin/sh", "-ec" }:cmd "run it".config.Cmd, { "/bin/sh", "-ec", "run it" })
check.same(s:entrypoint { "x" }.config.Cmd, nil)
-- history: the base's, then every step, newest last
local texts = {}
for _, step in ipairs(c:history()) do texts[#texts + 1] = step.created_by end
check.same(texts, { "a test's own", "ENV GONE=x GREETING=hi N=3", "ENV -GONE", "LABEL org.example.x=a b version=1.0",
  "WORKDIR /srv", "WORKDIR /srv/app", "USER ann", "EXPOSE 80 53/udp", "EXPOSE 443", 'VOLUME ["/data"]',
  "STOPSIGNAL SIGINT", 'CMD ["serve"]', 'ENTRYPOINT ["/app","-v"]', 'CMD ["--port","80"]' })
check.same(c:history()[#texts].comment, "a remark")
check.same(#c.layers, 1, "settings make no layers")
-- mistakes
check.fails("invalid_argument", "invalid port '70000': expected NUMBER[/tcp|udp|sctp]", nil, s.expose, s, 70000)
check.fails("invalid_argument", "volume 'data' must be an absolute path", nil, s.volume, s, "data")
check.fails("invalid_argument", "unknown signal 'SIGNIT'", "did you mean 'SIGINT'?", s.stop_signal, s, "SIGNIT")
check.fails("invalid_argument", "invalid name of an environment variable: 'A=B'", nil, s.env, s, { ["A=B"] = 1 })
check.fails("invalid_argument", "State:env: 'A' is not NAME=VALUE", nil, s.env, s, { "A" })
check.same(s:env { "A=B" }:out "echo $A", "B")
check.fails("invalid_argument", "invalid user 'a b': expected USER[:GROUP]", nil, s.user, s, "a b")
check.fails("invalid_argument", "State:shell_form: argument vector is empty", nil, s.shell_form, s, {})
check.fails("not_found", "user 'eve' is not in the image's /etc/passwd", nil, function() s:user "eve":run "true" end)
check.fails("invalid_argument", "invalid image name 'Not Good': the repository must be lower case", nil, s.commit, s, "Not Good")
