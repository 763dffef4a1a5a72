-- attach, container attach

local command = ...
local containers = command.use "containers"

return {
  summary = "Connect to a running container's streams",
  words = containers.one,
  flags = {
    { long = "detach-keys", value = "KEYS", help = "Keys that leave it running. Default ctrl-p,ctrl-q" },
    { long = "no-stdin", help = "Do not pass standard input on" },
    { long = "sig-proxy", help = "Pass signals on to the program; the default, --sig-proxy=false turns it off" },
  },
  run = function(args, flags)
    return containers.find(args.container):attach {
      detach_keys = flags.detach_keys,
      no_stdin = flags.no_stdin,
      sig_proxy = flags.sig_proxy ~= false,
    } or 0
  end,
}
