-- `init`: orphans are reaped, signals passed on, the program's status is the container's.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local c <close> = container.start(img, "for i in $(seq 1000); do (sleep 0.01 & ) ; done; touch /done; trap 'exit 5' USR1; while :; do sleep 0.05; done", { init = true })
c:exec "while ! [ -e /done ]; do sleep 0.05; done; sleep 0.3"
check.same(c:out "ps -o stat= | grep -c Z || true", "0")
check.has(c:out { "cat", "/proc/1/cmdline" }, "init")
c:kill "USR1"
check.same(c:wait(), 5)
for _, code in ipairs { 0, 1, 42, 255 } do
  check.same(container.run(img, "exit " .. code, { init = true, check = false }).exit_code, code)
end
check.same(container.run(img, "kill -9 $$", { init = true, check = false }).exit_code, 137)
check.same(container.run(img, "kill -15 $$", { init = true, check = false }).exit_code, 143)
check.same(container.run(img, { "nope" }, { init = true, check = false, capture = true }).exit_code, 127)
check.same(container.run(img, { "/etc/passwd" }, { init = true, check = false, capture = true }).exit_code, 126)
-- Without it the program is process 1.
check.same(check.out(img, "echo $$"), "1")
check.same(check.out(img, "tty", { init = true, tty = true }), "/dev/pts/0")
