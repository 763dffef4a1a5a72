-- With `interactive` the program reads this program's standard input, without it none.
-- stdin: one\ntwo\n
local check = require "check"
local img = check.busybox()
check.same(check.out(img, "cat"), "")
check.same(check.out(img, "cat", { interactive = true }), "one\ntwo")
