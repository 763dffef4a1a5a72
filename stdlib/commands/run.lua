-- run, container run

local command = ...
local create = command.use "create"

return {
  summary = "Run a program in a new container",
  details = "The exit status is the program's; 125 when the container could not be made, 126 when the program "
    .. "cannot be executed, 127 when it is not found, 128+n when signal n ended it.",
  words = create.words,
  flags_first = true,
  failure = 125,
  flags = create.flags {
    { long = "detach", short = "d", help = "Leave it running and print its id" },
    { long = "detach-keys", value = "KEYS", help = "Keys that leave a terminal, such as ctrl-p,ctrl-q" },
    { long = "sig-proxy", help = "Pass signals on to the program; the default, --sig-proxy=false turns it off" },
  },
  run = function(args, flags)
    create.check_terminal(flags)
    local options, words = create.options(flags), create.command(args)
    if flags.detach then
      command.print(container.start(args.image, words, options).id)
      return 0
    end
    options.check, options.detach_keys, options.sig_proxy = false, flags.detach_keys, flags.sig_proxy ~= false
    return container.run(args.image, words, options).exit_code
  end,
}
