-- cp, container cp

local command = ...
local containers = command.use "containers"

-- The container and the path of `NAME:PATH`; a path that begins with `/` or `.` is the host's, whatever it contains.
local function split(text)
  if text:find("^[/.]") then
    return nil, text
  end
  local name, path = text:match("^([^:]+):(.*)$")
  return name, path or text
end

local function checked(path, text)
  if path == "" then
    command.fail("'" .. text .. "' has no path", { hint = "write CONTAINER:/PATH" })
  end
  return path
end

return {
  summary = "Copy files between the host and a container",
  details = "`-` as SOURCE reads a tar stream from standard input, as TARGET writes one to standard output.",
  words = {
    { name = "source", shown = "[CONTAINER:]SOURCE" },
    { name = "target", shown = "[CONTAINER:]TARGET" },
  },
  flags = {
    { long = "archive", short = "a", help = "Keep owners" },
    { long = "follow-link", short = "L", help = "Copy what a link in SOURCE points at" },
    { long = "quiet", short = "q", help = "Show no progress" },
  },
  run = function(args, flags)
    local from, source = split(args.source)
    local to, target = split(args.target)
    if flags.quiet then
      command.quiet()
    end
    local options = { archive = flags.archive, follow = flags.follow_link }
    if from and to then
      command.fail("copying from container to container is not possible", { hint = "copy by way of the host" })
    elseif from then
      if target == "-" and command.is_terminal "stdout" then
        command.fail("an archive does not belong on a terminal", { hint = "redirect standard output" })
      end
      containers.find(from):copy_out(checked(source, args.source), target, options)
    elseif to then
      containers.find(to):copy_in(source, checked(target, args.target), options)
    else
      command.fail("neither side is in a container", { hint = "write CONTAINER:/PATH" })
    end
  end,
}
