-- logs, container logs

local command = ...
local containers = command.use "containers"
local time = command.use "time"

local function tail(text)
  if text == nil or text == "all" then
    return nil
  end
  local count = math.tointeger(tonumber(text))
  if not count then
    command.fail("invalid value '" .. text .. "' for '--tail'", { hint = "a number of lines, or all" })
  end
  return count >= 0 and count or nil
end

-- `name=value,...`, escaped as in the query of an address.
local function details(attributes)
  local function escape(word)
    word = word:gsub("[^%w%-_.~ ]", function(byte)
      return ("%%%02X"):format(byte:byte())
    end)
    return (word:gsub(" ", "+"))
  end
  local list = {}
  for name, value in pairs(attributes or {}) do
    list[#list + 1] = escape(name) .. "=" .. escape(value)
  end
  table.sort(list)
  return table.concat(list, ",")
end

return {
  summary = "Show what a container has printed",
  words = containers.one,
  flags = {
    { long = "details", help = "Show the log's extra attributes" },
    { long = "follow", short = "f", help = "Go on with what it prints from now on" },
    { long = "since", value = "TIME", help = "Only what is newer: a time, or a span such as 10m" },
    { long = "tail", short = "n", value = "LINES", help = "Only the last lines, or all" },
    { long = "timestamps", short = "t", help = "Show times" },
    { long = "until", value = "TIME", help = "Only what is older: a time, or a span such as 10m" },
  },
  run = function(args, flags)
    local lines = containers.find(args.container):logs {
      ends = true,
      follow = flags.follow,
      since = flags.since and time.point(flags.since, "--since"),
      tail = tail(flags.tail),
      ["until"] = flags["until"] and time.point(flags["until"], "--until"),
    }
    for text, stream, at, more in lines do
      text = (flags.details and details(more) .. " " or "") .. text
      text = (flags.timestamps and time.rfc3339(at) .. " " or "") .. text
      if stream == "stderr" then
        -- The two streams may be one terminal or file: what came first goes first.
        command.flush()
        io.stderr:write(text)
      else
        command.write(text)
        if flags.follow then
          command.flush()
        end
      end
    end
  end,
}
