-- update, container update

local command = ...
local containers = command.use "containers"
local create = command.use "create"

local FLAGS = {
  { long = "blkio-weight", value = "WEIGHT", type = "integer", help = "Weight of its block input and output" },
  { long = "cpu-period", value = "MICROSECONDS", type = "integer", help = "Period of the CPU quota" },
  { long = "cpu-quota", value = "MICROSECONDS", type = "integer", help = "CPU time in a period" },
  { long = "cpu-shares", short = "c", value = "WEIGHT", type = "integer", help = "Weight when processors are scarce" },
  { long = "cpus", value = "NUMBER", type = "number", help = "Processors it may use, such as 1.5" },
  { long = "cpuset-cpus", value = "LIST", help = "Which processors it may use, such as 0-3,6" },
  { long = "cpuset-mems", value = "LIST", help = "Which memory nodes it may use" },
  { long = "memory", short = "m", value = "SIZE", type = "size", help = "Memory it may use" },
  { long = "memory-reservation", value = "SIZE", type = "size", help = "Memory it keeps when memory is short" },
  {
    long = "memory-swap",
    value = "SIZE",
    type = "size_or_unlimited",
    help = "Memory and swap together; -1 for any amount of swap",
  },
  { long = "pids-limit", value = "NUMBER", type = "integer", help = "Processes and threads it may have" },
  { long = "restart", value = "POLICY", type = "name", help = "no, on-failure[:MAX], always or unless-stopped" },
}

return {
  summary = "Change limits and the restart policy of containers",
  words = containers.many,
  flags = FLAGS,
  run = function(args, flags)
    if next(flags) == nil then
      command.fail("nothing to change", { hint = "`moonshell update --help` lists what can be changed" })
    end
    flags.memory_swap = create.swap(flags.memory_swap)
    return containers.each(args.container, function(c)
      c:update(flags)
    end)
  end,
}
