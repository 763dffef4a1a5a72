-- login

local command = ...

local DEFAULT = "docker.io"

local function user(flags)
  if flags.username then
    return flags.username
  elseif flags.password_stdin or not command.is_terminal "stdin" then
    command.fail("no user name", { hint = "give --username" })
  end
  command.write("Username: ")
  command.flush()
  local name = io.read("l")
  if not name or name == "" then
    command.fail("no user name")
  end
  return name
end

local function password(flags)
  if flags.password_stdin then
    return (io.read("a"):gsub("[\r\n]+$", ""))
  elseif flags.password then
    command.warning("a password among the arguments can be seen by others; --password-stdin is safer")
    return flags.password
  end
  return command.password("Password: ")
end

return {
  summary = "Remember a password for a registry",
  words = { { name = "server", optional = true } },
  flags = {
    { long = "username", short = "u", value = "NAME", type = "name", help = "The user" },
    { long = "password", short = "p", value = "PASSWORD", help = "The password, for everybody to see" },
    { long = "password-stdin", conflicts = { "password" }, help = "Read the password from standard input" },
  },
  run = function(args, flags)
    local name = user(flags)
    local secret = password(flags)
    if secret == "" then
      command.fail("the password is empty")
    end
    registry.login(args.server or DEFAULT, { username = name, password = secret })
    command.print("Login Succeeded")
  end,
}
