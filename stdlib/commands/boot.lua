-- boot

local command = ...

-- A word of a command line in a unit, as systemd.service(5) reads it.
local function word(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("%%", "%%%%"):gsub("%$", "$$") .. '"'
end

local function unit()
  local line = word(command.executable) .. " --root " .. word(host.info().root) .. " boot"
  return table.concat({
    "[Unit]",
    "Description=Containers that start with the host (moonshell)",
    "Wants=network-online.target",
    "After=local-fs.target network-online.target",
    "",
    "[Service]",
    "Type=oneshot",
    "RemainAfterExit=yes",
    "# The containers' monitors stay in this unit, and are not its to end.",
    "KillMode=process",
    "ExecStart=" .. line,
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  }, "\n")
end

return {
  summary = "Start the containers whose restart policy asks for it, after the host has booted",
  flags = { { long = "unit", help = "Print a unit that lets systemd do it, and start nothing" } },
  run = function(_, flags)
    if flags.unit then
      return command.write(unit())
    end
    for _, name in ipairs(container.boot()) do
      command.print(name)
    end
  end,
}
