-- Names that lead nowhere, and registries that do not answer.
local check = require "check"
local R = host.env.REGISTRY
check.fails("not_found", "manifest busybox:nope not found in " .. R, nil, image.pull, R .. "/busybox:nope")
check.fails("not_found", "manifest no/such:latest not found in " .. R, nil, image.pull, R .. "/no/such")
check.fails("not_found", "manifest no/such:latest not found in " .. R, nil, container.run, R .. "/no/such", "true")
check.fails("not_found", "manifest no/such:latest not found in " .. R, nil, build.from, R .. "/no/such")
-- port 1: nothing listens there
local missing = "there is no image '127.0.0.1:1/app' here"
for f, hint in pairs { [image.pull] = "", [function(n) container.run(n, "true") end] = missing, [build.from] = missing, [registry.tags] = "" } do
  local e = check.fails("network", "cannot reach registry 127.0.0.1:1", hint ~= "" and hint or nil, f, "127.0.0.1:1/app")
  check.has(table.concat(e.causes, "\n"):lower(), "refused")
end
check.fails("invalid_argument", "invalid image name 'Debian': the repository must be lower case", nil, image.pull, "Debian")
check.fails("invalid_argument", "invalid platform 'amd64/': expected OS/ARCHITECTURE[/VARIANT]", nil, image.pull, R .. "/busybox", { platform = "amd64/" })
check.fails("not_found", R .. "/busybox:latest has no image for linux/s390x; it has " .. image.pull(R .. "/busybox").platform, nil, image.pull, R .. "/busybox", { platform = "linux/s390x" })
check.same(#image.list(), 1)
