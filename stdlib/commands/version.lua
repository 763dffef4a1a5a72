-- version

local command = ...
local format = command.use "format"

return {
  summary = "Show versions",
  flags = { format.flag("f") },
  run = function(_, flags)
    local facts = host.info()
    local fields = {
      Version = command.version,
      LuaVersion = _VERSION:gsub("^Lua ", ""),
      KernelVersion = facts.kernel,
      Os = "linux",
      Arch = facts.arch,
    }
    if flags.format then
      -- The field's templates ask for the parts of a client and a server: here both are this program.
      local details = { Client = fields, Server = fields }
      for name, value in pairs(fields) do
        details[name] = value
      end
      if flags.format == "json" then
        command.print(json.encode(fields))
        return
      end
      return format.details({ { object = fields, details = details } }, flags.format)
    end
    command.print("moonshell")
    command.print(" Version:          " .. fields.Version)
    command.print(" Lua version:      " .. fields.LuaVersion)
    command.print(" Kernel version:   " .. fields.KernelVersion)
    command.print(" OS/Arch:          " .. fields.Os .. "/" .. fields.Arch)
  end,
}
