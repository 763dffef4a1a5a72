-- Passwords go where other tools find them, readable by their owner only.
registry.login("127.0.0.1:1", { username = "me", password = "secret", check = false })
local file = host.env.HOME .. "/.config/containers/auth.json"
assert(fs.stat(file).mode == tonumber("600", 8))
assert(json.decode(fs.read(file)).auths["127.0.0.1:1"].auth == "bWU6c2VjcmV0")
assert(registry.logout("127.0.0.1:1") == true)
assert(registry.logout("127.0.0.1:1") == false)
