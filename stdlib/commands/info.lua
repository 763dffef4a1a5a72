-- info, system info

local command = ...
local format = command.use "format"
local units = command.use "units"

local function counts()
  local found = { Containers = 0, ContainersRunning = 0, ContainersPaused = 0, ContainersStopped = 0 }
  if not rawget(container, "list") then
    return found
  end
  for _, c in ipairs(container.list { all = true }) do
    found.Containers = found.Containers + 1
    local field = c.status == "running" and "ContainersRunning"
      or c.status == "paused" and "ContainersPaused"
      or "ContainersStopped"
    found[field] = found[field] + 1
  end
  return found
end

return {
  summary = "Show facts of this host and its containers",
  flags = { format.flag("f") },
  run = function(_, flags)
    local facts, fields = host.info(), counts()
    fields.Images = #image.list()
    fields.ServerVersion = command.version
    fields.Driver = "overlay"
    fields.SecurityOptions = { "name=seccomp,profile=default" }
    if facts.apparmor then
      table.insert(fields.SecurityOptions, 1, "name=apparmor")
    end
    fields.Warnings = facts.warnings
    fields.CgroupVersion = tostring(facts.cgroup)
    fields.KernelVersion = facts.kernel
    fields.OSType = "linux"
    fields.Architecture = facts.arch
    fields.NCPU = facts.cpus
    fields.MemTotal = facts.memory
    fields.Name = facts.hostname
    fields.Rootless = facts.user ~= 0
    fields.RootDir = facts.root
    if flags.format then
      return format.details({ { object = fields, details = fields } }, flags.format)
    end
    local function line(name, value)
      command.print(name .. ": " .. tostring(value))
    end
    line("Containers", fields.Containers)
    line(" Running", fields.ContainersRunning)
    line(" Paused", fields.ContainersPaused)
    line(" Stopped", fields.ContainersStopped)
    line("Images", fields.Images)
    line("Version", fields.ServerVersion)
    line("Storage Driver", fields.Driver)
    line("Cgroup Version", fields.CgroupVersion)
    line("Kernel Version", fields.KernelVersion)
    line("OSType", fields.OSType)
    line("Architecture", fields.Architecture)
    line("CPUs", fields.NCPU)
    line("Total Memory", units.memory(fields.MemTotal))
    line("Name", fields.Name)
    line("Rootless", fields.Rootless)
    line("Root Dir", fields.RootDir)
    line("Security Options", facts.apparmor and "apparmor seccomp" or "seccomp")
    for _, text in ipairs(facts.warnings) do
      command.warning(text)
    end
  end,
}
