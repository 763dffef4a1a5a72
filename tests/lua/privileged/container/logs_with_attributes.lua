-- Labels and variables that are written down with each line.
local check = require "check"
local c <close> = container.create(check.busybox(), "echo one; echo two >&2", {
  labels = { app = "web & co", other = "x" },
  env = { LANG = "C", SECRET = "s" },
  log_opts = { labels = "app,missing", env = "LANG" },
})
c:start()
c:wait()
local count = 0
for line, stream, time, more in c:logs() do
  count = count + 1
  check.same(json.encode(more), '{"LANG":"C","app":"web & co"}')
  check.same(({ one = "stdout", two = "stderr" })[line], stream)
  check.same(math.type(time), "float")
end
check.same(count, 2)
-- Without them nothing is written.
local plain <close> = container.start(check.busybox(), "echo one")
plain:wait()
check.same(select("#", plain:logs()()), 3)
