-- exec, container exec

local command = ...
local containers = command.use "containers"
local create = command.use "create"

return {
  summary = "Run a program in a running container",
  details = "The exit status is the program's; 125 when it could not be started, 126 when it cannot be "
    .. "executed, 127 when it is not found.",
  words = { { name = "container" }, { name = "command", many = true, rest = "ARG" } },
  flags_first = true,
  failure = 125,
  flags = {
    { long = "detach", short = "d", help = "Do not wait for it" },
    { long = "detach-keys", value = "KEYS", help = "Keys that leave a terminal, such as ctrl-p,ctrl-q" },
    { long = "env", short = "e", value = "NAME[=VALUE]", many = true, help = "Set a variable" },
    { long = "env-file", value = "FILE", many = true, help = "Read variables from a file" },
    { long = "interactive", short = "i", help = "Keep standard input open" },
    { long = "privileged", help = "Every capability" },
    { long = "tty", short = "t", help = "Give it a terminal" },
    { long = "user", short = "u", value = "USER[:GROUP]", help = "User, by name or number" },
    { long = "workdir", short = "w", value = "FOLDER", help = "Working folder in the container" },
  },
  run = function(args, flags)
    create.check_terminal(flags)
    local result = containers.find(args.container):exec(args.command, {
      check = false,
      detach = flags.detach,
      detach_keys = flags.detach_keys,
      env = create.env(create.with_files(flags.env_file, flags.env)),
      interactive = flags.interactive,
      privileged = flags.privileged,
      tty = flags.tty,
      user = flags.user,
      workdir = flags.workdir,
    })
    return flags.detach and 0 or result.exit_code
  end,
}
