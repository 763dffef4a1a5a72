-- `tty` gives the program a terminal of its own.
local check = require "check"
local img = check.busybox()
check.same(check.out(img, "tty || true; echo \"[$TERM]\""), "not a tty\n[]")
check.same(check.out(img, "tty; for n in 0 1 2; do test -t $n && echo $n; done; echo $TERM", { tty = true }),
  "/dev/pts/0\r\n0\r\n1\r\n2\r\nxterm")
check.same(check.out(img, "ls -l /dev/console | cut -c 1", { tty = true }), "c")
check.same(container.run(img, "exit 5", { tty = true, check = false }).exit_code, 5)
-- it is the controlling terminal
check.same(check.out(img, "(: < /dev/tty) 2>/dev/null && echo yes || echo no"), "no")
check.same(check.out(img, "(: < /dev/tty) && echo yes", { tty = true }), "yes")
check.same(check.out(img, "read line; echo \"[$line]\"", { tty = true, input = "typed\n" }), "typed\r\n[typed]")
