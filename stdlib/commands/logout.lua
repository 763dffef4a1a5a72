-- logout

local command = ...

return {
  summary = "Forget the password for a registry",
  words = { { name = "server", optional = true } },
  run = function(args)
    local server = args.server or "docker.io"
    if registry.logout(server) then
      command.print("Removing login credentials for", server)
    else
      command.print("Not logged in to", server)
    end
  end,
}
