-- port, container port

local command = ...
local containers = command.use "containers"

return {
  summary = "Show what a container's ports are bound to",
  words = { { name = "container" }, { name = "port", optional = true, shown = "PORT[/PROTOCOL]" } },
  run = function(args)
    local wanted = args.port and (args.port:find("/", 1, true) and args.port or args.port .. "/tcp")
    local published, names = containers.find(args.container):port(), {}
    for name in pairs(published) do
      names[#names + 1] = name
    end
    table.sort(names)
    if wanted and not published[wanted] then
      command.fail("port " .. wanted .. " of '" .. args.container .. "' is not published", { kind = "not_found" })
    end
    for _, name in ipairs(names) do
      for _, bound in ipairs((not wanted or wanted == name) and published[name] or {}) do
        local outside = bound.ip .. ":" .. bound.port
        command.print(wanted and outside or name .. " -> " .. outside)
      end
    end
  end,
}
