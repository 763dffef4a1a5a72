-- The arguments of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`. A host's part, as in `8080:80`, is read and left out.

local use = ...
local failure = use "dockerfile.failure"

local PROTOCOLS = { "tcp", "udp", "sctp" }

local function number(text, word)
  local value = text:find "^%d+$" and math.tointeger(tonumber(text))
  if not value or value > 65535 then
    failure.raise(("invalid port '%s': expected NUMBER[-NUMBER][/tcp|udp|sctp]"):format(word))
  end
  return value
end

local function protocol_of(text, word)
  local protocol = text == "" and "tcp" or text:lower()
  for _, known in ipairs(PROTOCOLS) do
    if known == protocol then
      return protocol
    end
  end
  failure.unknown(("unknown protocol '%s' of port '%s'"):format(text, word), protocol, PROTOCOLS)
end

--- The ports of one argument, each with its protocol.
local function ports(word)
  local inner = word:match "[^:]*$"
  local range, protocol = inner:match "^([^/]*)/?(.*)$"
  protocol = protocol_of(protocol, word)
  local first, last = range:match "^(.-)%-(.*)$"
  first = number(first or range, word)
  last = last and number(last, word) or first
  if last < first then
    failure.raise(("invalid range of ports '%s': it ends before it begins"):format(word))
  end
  local list = {}
  for port = first, last do
    list[#list + 1] = ("%d/%s"):format(port, protocol)
  end
  return list
end

return ports
