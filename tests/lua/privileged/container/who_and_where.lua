-- Users, working folders and environment, as a Docker user expects them.
local check = require "check"
local img = check.busybox()
local function who(user) return check.out(img, "echo $(id -u):$(id -g):$(id -G | tr ' ' ,):$HOME", { user = user }) end
check.same(who(nil), "0:0:0:/root")
check.same(who "ann", "1000:1000:1000,10:/home/ann")
check.same(who "1000", "1000:1000:1000,10:/home/ann")
check.same(who "ann:wheel", "1000:10:10:/home/ann")
check.same(who "ann:7", "1000:7:7:/home/ann")
check.same(who "4242", "4242:0:0:/")
check.same(who "4242:4243", "4242:4243:4243:/")
check.same(who(1001), "1001:1001:1001:/home/bob")
local function no_user(user, kind, message) check.fails(kind, message, nil, container.run, img, "id", { user = user }) end
no_user("eve", "not_found", "user 'eve' is not in the image's /etc/passwd")
no_user("ann:eves", "not_found", "group 'eves' is not in the image's /etc/group")
no_user("4294967296", "invalid_argument", "user or group id 4294967296 is out of range: 0 to 2147483647")
no_user(":5", "invalid_argument", "invalid user ':5': expected USER[:GROUP]")
-- working folder: made when missing, the user's own when made
check.same(check.out(img, "pwd", { workdir = "/a/b" }), "/a/b")
check.same(check.out(img, "pwd", { workdir = "relative" }), "/relative")
check.same(check.out(img, "pwd"), "/")
check.fails("invalid_argument", "cannot use working folder /etc/passwd: /etc/passwd is not a folder in this image", nil,
  container.run, img, "pwd", { workdir = "/etc/passwd" })
-- environment: the image's, changed by the option's
check.same(check.out(img, "echo $FROM_IMAGE $A; echo $PATH; test -n \"$HOSTNAME\" && hostname | grep -c \"^$HOSTNAME$\"", { env = { A = 1 } }),
  "yes 1\n/bin:/sbin\n1")
check.same(check.out(img, "echo \"[$FROM_IMAGE][$B]\"", { env = { FROM_IMAGE = "", B = "a b\n$c" } }), "[][a b\n$c]")
check.same(check.out(img, "echo [$C][${FROM_IMAGE-gone}]", { env = { C = true, FROM_IMAGE = false } }), "[true][gone]")
check.same(check.out(img, "echo $A", { env = { "A=b=c" } }), "b=c")
check.fails("invalid_argument", "container.run: option 'env': 'A' is not NAME=VALUE", nil, container.run, img, "true", { env = { "A" } })
check.fails("invalid_argument", "invalid name of an environment variable: 'A=B'", nil, container.run, img, "true", { env = { ["A=B"] = 1 } })
check.same(check.out(img, "echo ${HOME_OF_HOST-none}", {}), "none")
