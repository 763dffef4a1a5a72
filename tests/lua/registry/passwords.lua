-- A registry that asks for a password: without, with a wrong one, with `creds`, and remembered.
local check = require "check"
local L = host.env.LOCKED
local name = L .. "/busybox"
local user, password = host.env.LOCKED_USER, host.env.LOCKED_PASSWORD
local login = "log in with registry.login(\"" .. L .. "\", {username=, password=})"
check.fails("permission", "registry " .. L .. " requires a login", login, image.pull, name)
check.fails("permission", "registry " .. L .. " refused the password of user 'joe'", login, image.pull, name, { creds = { username = user, password = "wrong" } })
check.fails("invalid_argument", "image.pull: option 'creds' must have a string 'password'", nil, image.pull, name, { creds = { username = user } })
check.same(image.get(name), nil)
local img = image.pull(name, { creds = { username = user, password = password } })
check.fails("permission", "registry " .. L .. " requires a login", login, image.push, img, { to = L .. "/mine:1" })
check.same(img:push { to = L .. "/mine:1", creds = { username = user, password = password } }, img.digest)
-- remembered
check.fails("permission", "registry " .. L .. " refused the password of user 'joe'", "check the user and the password", registry.login, L, { username = user, password = "wrong" })
check.fails("permission", "registry " .. L .. " requires a login", login, registry.tags, L .. "/mine")
registry.login(L, { username = user, password = password })
check.same(registry.tags(L .. "/mine"), { "1" })
check.same(fs.stat(host.env.HOME .. "/.config/containers/auth.json").mode & 63, 0, "only its owner reads it")
image.remove(name)
image.pull(name)
check.same(json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "--authfile", host.env.HOME .. "/.config/containers/auth.json", "docker://" .. L .. "/mine:1" }).Digest, img.digest)
check.same(registry.logout(L), true)
check.same(registry.logout(L), false)
check.fails("permission", "registry " .. L .. " requires a login", login, image.pull, name, { policy = "always" })
-- what skopeo remembers serves here too
host.run({ "skopeo", "login", "--tls-verify=false", "--authfile", host.env.HOME .. "/auth.json", "--username", user, "--password-stdin", L }, { input = password, capture = true })
check.same(check.again(("io.write(registry.tags(%q)[1])"):format(L .. "/mine"), nil, { REGISTRY_AUTH_FILE = host.env.HOME .. "/auth.json" }).stdout, "1")
-- the password is in no message and no progress
for _, code in ipairs { "image.pull(%q, {policy='always', creds=%s})", "image.push(%q, {creds=%s})" } do
  local r = check.moonshell("--log", "debug", "--progress", "json", "-e",
    code:format(name, "{username='joe', password='hunter2secret'}"))
  check.same({ r.ok, r.stderr:find("requires", 1, true) ~= nil or r.stderr:find("refused", 1, true) ~= nil }, { false, true }, r.stderr)
  -- The source line that an error quotes is the script's own.
  local said = (r.stdout .. r.stderr):gsub("\n    1 | [^\n]*", "")
  check.same(said:find("hunter2secret", 1, true), nil)
end
