-- A program's output, its input and its end: what is passed on, what is captured, what is an error.
local check = require "check"
local img = check.busybox()
local r = container.run(img, "echo out; echo err >&2; exit 7", { capture = true, check = false })
check.same({ r.exit_code, r.ok, r.stdout, r.stderr }, { 7, false, "out\n", "err\n" })
local e = check.fails("exit", "command 'echo out; echo why >&2; exit 7' exited with code 7", nil,
  container.run, img, "echo out; echo why >&2; exit 7", { capture = true })
check.same({ e.exit_code, e.op }, { 7, "container.run" })
check.has(e.stderr, "why\n")
-- signals
check.same(container.run(img, "sh -c 'kill -SEGV $$'; exit $?", { check = false, capture = true }).exit_code, 139)
-- not found, not executable
local gone = check.fails("not_found", "command not found: nope: not found in the image's PATH", nil, container.run, img, { "nope" })
check.same(gone.exit_code, 127)
local plain = check.fails("permission", "cannot execute: /etc/passwd: permission denied", nil, container.run, img, { "/etc/passwd" })
check.same(plain.exit_code, 126)
check.same(check.fails("not_found", "command not found: /no/such: no such file in the image", nil, container.run, img, { "/no/such" }).exit_code, 127)
local soft = container.run(img, { "nope" }, { check = false, capture = true })
check.same({ soft.exit_code, soft.stderr }, { 127, "command not found: nope: not found in the image's PATH\n" })
-- standard input: nothing, or bytes of any kind
check.same(check.out(img, "cat | wc -c"), "0")
local bytes = ("\0\1\255\n"):rep(200000)
check.same(container.run(img, "cat", { input = bytes, capture = true }).stdout == bytes, true, "800,000 bytes through cat")
-- one that does not read its input does not hang
check.same(check.out(img, "exec true", { input = bytes }), "")
-- much on both streams at once
local both = container.run(img, "for i in $(seq 20000); do echo $i; echo $i >&2; done", { capture = true })
check.same({ #both.stdout, #both.stderr }, { 108894, 108894 })
-- what a background process holds open ends with the container
check.same(check.out(img, "sleep 1000 & echo done"), "done")
