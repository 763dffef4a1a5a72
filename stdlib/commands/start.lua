-- start, container start

local command = ...
local containers = command.use "containers"

return {
  summary = "Start containers that were made or have ended",
  words = containers.many,
  failure = 125,
  flags = {
    { long = "attach", short = "a", help = "Show its output and pass signals on" },
    { long = "detach-keys", value = "KEYS", help = "Keys that leave a terminal, such as ctrl-p,ctrl-q" },
    { long = "interactive", short = "i", help = "Let it read standard input" },
    { long = "sig-proxy", help = "Pass signals on to the program; the default, --sig-proxy=false turns it off" },
  },
  run = function(args, flags)
    if not (flags.attach or flags.interactive) then
      local status = containers.all(args.container, function(c)
        c:start()
      end)
      return status == 0 and 0 or 125
    end
    if #args.container > 1 then
      command.fail("only one container at a time can be attached to")
    end
    local c = containers.find(args.container[1])
    return c:start {
      attach = true,
      detach_keys = flags.detach_keys,
      interactive = flags.interactive,
      sig_proxy = flags.sig_proxy ~= false,
    } or 0
  end,
}
