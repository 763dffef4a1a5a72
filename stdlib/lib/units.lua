-- Sizes, ids and names as container tools show them.

local units = {}

local function scaled(bytes, base, names)
  local value, index = bytes, 1
  while value >= base and index < #names do
    value, index = value / base, index + 1
  end
  return value, names[index]
end

-- Four significant digits at most, as %.4g but without an exponent.
local function digits(value, count)
  local whole = #tostring(math.floor(value))
  local text = string.format("%." .. math.max(count - whole, 0) .. "f", value)
  if text:find(".", 1, true) then
    text = text:gsub("0+$", ""):gsub("%.$", "")
  end
  return text
end

--- `72.8MB`: three significant digits, powers of a thousand, as lists of images show sizes.
function units.size(bytes)
  local value, unit = scaled(bytes, 1000, { "B", "kB", "MB", "GB", "TB", "PB" })
  return digits(value, 3) .. unit
end

--- `7.656GiB`: four significant digits, powers of 1024, as memory is shown.
function units.memory(bytes)
  local value, unit = scaled(bytes, 1024, { "B", "KiB", "MiB", "GiB", "TiB", "PiB" })
  return digits(value, 4) .. unit
end

--- The first twelve digits of an id, with or without its algorithm.
function units.short(id)
  return (id:gsub("^%w+:", "")):sub(1, 12)
end

--- A text of at most `width` characters, the last of them a dot of three where it was cut.
function units.cut(text, width)
  if utf8.len(text) and utf8.len(text) > width then
    return text:sub(1, utf8.offset(text, width) - 1) .. "…"
  end
  return text
end

--- The repository and tag of a name: "debian", "12". The digest, when the name has one, is the third.
function units.split_name(name)
  local rest, digest = name:match("^(.-)@(.+)$")
  rest = rest or name
  local repository, tag = rest:match("^(.*):([^:/]+)$")
  return repository or rest, tag, digest
end

--- A name with nothing left out: "docker.io/library/debian:latest".
function units.full_name(name)
  local repository, tag, digest = units.split_name(name)
  local host = repository:match "^([^/]+)/"
  if not host or not (host:find "[.:]" or host == "localhost") then
    repository = "docker.io/" .. repository
  end
  repository = repository:gsub("^docker%.io/([^/]+)$", "docker.io/library/%1")
  if digest then
    return repository .. "@" .. digest
  end
  return repository .. ":" .. (tag or "latest")
end

return units
