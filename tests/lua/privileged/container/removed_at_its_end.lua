-- `rm=true`: whatever ends a container, nothing of it remains.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local root = host.env.MOONSHELL_ROOT
local function look() return host.out { "sh", "-c", "cd $0; ls containers names run volumes; ls tmp", root } end
container.run(img, "true")
-- This program has a work area of its own.
local before = look()
local function rest(what) check.same(look(), before, what) end
local function away(c)
  if c.status ~= "removed" then c:wait() end
  check.same(c.status, "removed")
end
local opts = function(more) more.rm = true return more end
rest "run"
local c = container.start(img, "sleep 0.2", opts {})
away(c)
rest "ended by itself"
c = container.start(img, "sleep 1000", opts { volumes = { "/data" } })
c:kill()
away(c)
rest "killed"
c = container.start(img, "sleep 1000", opts {})
c:stop { timeout = 0 }
away(c)
rest "stopped"
c = container.start(img, "sleep 1000", opts {})
c:remove { force = true }
away(c)
rest "removed by force"
c = container.start(img, "sleep 1000", opts {})
local e = check.fails("invalid_argument", ("cannot restart container '%s': it is removed when it ends"):format(c.name), nil, c.restart, c)
check.same(c.status, "running")
c:kill()
-- What cannot start.
check.fails("not_found", "command not found: nope: not found in the image's PATH", nil, container.start, img, { "nope" }, opts {})
rest "not found"
check.same(pcall(container.start, img, "true", opts { user = "eve" }), false)
check.same(pcall(container.start, img, "true", opts { volumes = { "/no/such:/x" } }), false)
check.same(pcall(container.start, img, "true", opts { workdir = "/etc/passwd" }), false)
check.same(pcall(container.run, img, "true", { volumes = { "/data" }, workdir = "/etc/passwd" }), false)
local other = container.create(img, "true", { name = "other" })
check.same(pcall(container.start, img, "true", opts { pid = "container:other" }), false)
check.same(pcall(container.run, img, "true", { network = "container:other" }), false)
check.same(pcall(container.run, img, "true", { cidfile = "/no/such/folder/id" }), false)
other:remove()
rest "what cannot start"
check.fails("invalid_argument", "a container that is removed at its end cannot be started again: rm and restart conflict", nil, container.create, img, "true", opts { restart = "always" })
-- Without rm what did not start stays, and says why.
check.fails("not_found", "command not found: nope: not found in the image's PATH", nil, container.start, img, { "nope" }, { name = "kept" })
c = container.get "kept"
check.same({ c.status, c.exit_code, c.error }, { "created", 127, "command not found: nope: not found in the image's PATH" })
c:remove()
rest "kept"
