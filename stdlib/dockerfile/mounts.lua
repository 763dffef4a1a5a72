-- The value of `RUN --mount=`: type=cache,target=/root/.cache,sharing=locked

local use = ...
local failure = use "dockerfile.failure"

local TYPES = { "bind", "cache", "tmpfs", "secret", "ssh" }
local SHARING = { "shared", "private", "locked" }
local KEYS = {
  "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src",
  "dst", "destination", "ro", "rw", "readwrite", "env",
}
local SAME = { src = "source", dst = "target", destination = "target", readonly = "ro", readwrite = "rw" }
-- Keys and the types they belong to; the others belong to all.
local ONLY = {
  required = { secret = true, ssh = true },
  size = { tmpfs = true },
  mode = { secret = true, ssh = true, cache = true },
  uid = { secret = true, ssh = true, cache = true },
  gid = { secret = true, ssh = true, cache = true },
  sharing = { cache = true },
  env = { secret = true },
}
local SWITCH = { ro = true, rw = true, required = true }

local function one_of(list, word)
  for _, each in ipairs(list) do
    if each == word then
      return true
    end
  end
  return false
end

-- The fields between commas; one in double quotes may have commas in it.
local function fields(text)
  local list, at = {}, 1
  while at <= #text + 1 do
    local field
    if text:sub(at, at) == '"' then
      local stop, parts = at + 1, {}
      while true do
        local plain, quote, after = text:match('^([^"]*)("?)("?)', stop)
        parts[#parts + 1] = plain
        if quote == "" then
          failure.raise(("a quote is not closed in '%s'"):format(text))
        end
        stop = stop + #plain + 1
        if after == "" then
          break
        end
        parts[#parts + 1], stop = '"', stop + 1
      end
      field, at = table.concat(parts), stop
      if at <= #text and text:sub(at, at) ~= "," then
        failure.raise(("unexpected text behind a quote in '%s'"):format(text))
      end
    else
      field = text:match("^[^,]*", at)
      at = at + #field
    end
    list[#list + 1] = field
    at = at + 1
  end
  return list
end

local TRUTH = {
  ["1"] = true, t = true, T = true, ["true"] = true, TRUE = true, True = true,
  ["0"] = false, f = false, F = false, ["false"] = false, FALSE = false, False = false,
}

local function number(key, value, digits)
  if not value:find("^" .. digits .. "+$") then
    failure.raise(("invalid value '%s' for '%s'"):format(value, key))
  end
  return value
end

-- One key and its value, checked; `value` is nil for a key alone.
local function read(mount, key, value, field)
  local known = SAME[key] or key
  if not one_of(KEYS, key) then
    failure.unknown(("unexpected key '%s' in '%s'"):format(key, field), key, KEYS)
  elseif SWITCH[known] then
    local truth = value == nil or TRUTH[value]
    if truth == nil then
      failure.raise(("invalid value '%s' for '%s': expected true or false"):format(value, key))
    end
    if known == "ro" then
      known, truth = "rw", not truth
    end
    mount[known] = truth
  elseif value == nil then
    failure.raise(("'%s' needs a value"):format(field), ("write %s=VALUE"):format(key))
  elseif known == "type" or known == "sharing" then
    local words = known == "type" and TYPES or SHARING
    value = value:lower()
    if not one_of(words, value) then
      failure.unknown(("unknown %s '%s' of a mount"):format(known, value), value, words)
    end
    mount[known] = value
  elseif known == "mode" then
    mount.mode = number(key, value, "[0-7]")
  elseif known == "uid" or known == "gid" then
    mount[known] = math.tointeger(tonumber(number(key, value, "%d")))
  elseif known == "size" and not value:lower():find "^%d+%.?%d*%s*[kmgtp]?i?b?$" then
    failure.raise(("invalid value '%s' for 'size'"):format(value))
  else
    mount[known] = value
  end
end

local function check(mount)
  local kind = mount.type
  for key, types in pairs(ONLY) do
    if mount[key] ~= nil and not types[kind] then
      failure.raise(("a mount of type '%s' has no '%s'"):format(kind, key))
    end
  end
  if kind == "secret" then
    if mount.from then
      failure.raise "a secret mount has no 'from'"
    elseif mount.source and mount.id then
      failure.raise "'source' and 'id' of a secret mount mean the same"
    end
    mount.id, mount.source = mount.id or mount.source, nil
    mount.id = mount.id or (mount.target and mount.target:match "[^/]+$")
    if not mount.id then
      failure.raise "a secret mount needs an 'id' or a 'target'"
    end
  elseif kind ~= "ssh" and not mount.target then
    failure.raise(("a mount of type '%s' needs a 'target'"):format(kind))
  end
  return mount
end

--- The mount as a table: type, target, from, source, rw and what else was given. `expand` replaces variables in
--- values.
local function parse(text, expand)
  local mount = { type = "bind" }
  -- The type comes first, whatever place it has.
  local list = {}
  for _, field in ipairs(fields(text)) do
    local key, value = field:match "^%s*(.-)%s*=(.*)$"
    key = (key or field):lower()
    list[#list + 1] = { key, value and expand(value), field }
  end
  for _, item in ipairs(list) do
    read(mount, table.unpack(item, 1, 3))
  end
  return check(mount)
end

return parse
