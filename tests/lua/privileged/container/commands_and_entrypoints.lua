-- What is executed: lines and vectors, the image's command and entry point, and what is wrong with them.
local check = require "check"
local img = check.busybox()
check.same(check.out(img, "echo $0 $((1 + 1)) 'a  b'"), "/bin/sh 2 a  b")
check.same(check.out(img, { "echo", "$HOME", "a  b", "" }), "$HOME a  b ")
check.same(check.out(img, { "printf", "[%s]", "a\nb", "ü", 7, 1.5 }), "[a\nb][ü][7][1.5]")
-- the image's own command is /bin/sh, which reads its input
check.same(check.out(img, nil, { input = "echo from the image\n" }), "from the image")
local greeter = build.from(img):entrypoint { "echo", "hello" }:cmd { "world" }
check.same(check.out(greeter), "hello world")
check.same(check.out(greeter, { "moon", "shell" }), "hello moon shell")
check.same(check.out(greeter, "x y"), "hello /bin/sh -c x y")
check.same(check.out(greeter, { "ls" }, { entrypoint = { "echo", "other" } }), "other ls")
check.same(check.out(greeter, nil, { entrypoint = { "echo", "alone" } }), "alone")
check.same(check.out(greeter, { "echo", "bare" }, { entrypoint = {} }), "bare")
check.fails("invalid_argument", "no command given, and the image has none", nil, container.run, greeter, nil, { entrypoint = {} })
local bash = build.from(img):shell_form { "/bin/busybox", "sh", "-ec" }
check.same(check.out(bash, "case $- in *e*) echo stops on errors;; esac"), "stops on errors")
-- mistakes
check.fails("invalid_argument", "container.run: argument vector has no element 2 (nil)",
  "a variable in the list is probably misspelt or not set", container.run, img, { "echo", nil, "c" })
check.fails("invalid_argument", "container.run: argument vector is empty", nil, container.run, img, {})
check.fails("invalid_argument", "container.run: unknown option 'volume'", "did you mean 'volumes'?", container.run, img, "true", { volume = {} })
check.fails("invalid_argument", "container.run: option 'read_only' must be a boolean, got string", nil, container.run, img, "true", { read_only = "yes" })
check.fails("invalid_argument", "no network 'bridge'", "there are none, host and container:NAME", container.run, img, "true", { network = "bridge" })
check.fails("invalid_argument", "State has no method 'rnu'", "did you mean 'run'?", function() return greeter:rnu("x") end)
check.fails("invalid_argument", "container.run: argument 1 'image' must be a string or an Image or a State, got nil", nil, container.run, nil, "true")
check.fails("invalid_argument", "State:run must be called on a State", "write a colon: x:run(...)", function() return greeter.run("x") end)
