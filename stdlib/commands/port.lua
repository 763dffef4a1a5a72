-- port, container port

local command = ...
local containers = command.use "containers"

return {
  summary = "Show what a container's ports are bound to",
  words = { { name = "container" }, { name = "port", optional = true, shown = "PORT[/PROTOCOL]" } },
  run = function(args)
    local wanted = args.port and (args.port:find("/", 1, true) and args.port or args.port .. "/tcp")
    local found = false
    for _, port in ipairs(containers.find(args.container):port()) do
      local inside = port.container_port .. "/" .. (port.protocol or "tcp")
      local outside = (port.host_ip or "0.0.0.0") .. ":" .. tostring(port.host_port)
      if not wanted then
        command.print(inside, "->", outside)
      elseif wanted == inside then
        found = true
        command.print(outside)
      end
    end
    if wanted and not found then
      command.fail("port " .. wanted .. " of '" .. args.container .. "' is not published", { kind = "not_found" })
    end
  end,
}
