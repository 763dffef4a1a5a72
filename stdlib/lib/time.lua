-- Times: RFC 3339, seconds since 1970, "2 hours ago", and what --since and --until accept.

local command = ...
local time = {}

-- Days from 1970-01-01 to a day of the Gregorian calendar; years begin in March, so that leap days come last.
local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

--- Seconds since 1970 from RFC 3339 text (a date alone and a missing zone are accepted: UTC), or nil.
function time.parse(text)
  local year, month, day, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  if not year then
    return nil
  end
  local seconds = days(tonumber(year), tonumber(month), tonumber(day)) * 86400
  if rest == "" then
    return seconds
  end
  local hour, minute, second, fraction, zone = rest:match("^[Tt ](%d%d):(%d%d):?(%d*)(%.?%d*)(.*)$")
  if not hour then
    return nil
  end
  seconds = seconds + tonumber(hour) * 3600 + tonumber(minute) * 60 + (tonumber(second) or 0)
  if fraction ~= "" and fraction ~= "." then
    seconds = seconds + tonumber("0" .. fraction)
  end
  if zone == "" or zone == "Z" or zone == "z" then
    return seconds
  end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):?(%d%d)$")
  if not sign then
    return nil
  end
  local offset = tonumber(hours) * 3600 + tonumber(minutes) * 60
  return seconds - (sign == "-" and -offset or offset)
end

--- Seconds since 1970 from what a person writes: RFC 3339, seconds, or a time span that counts back from now.
function time.point(text, flag)
  local seconds = tonumber(text) or time.parse(text)
  if seconds then
    return seconds
  end
  local ok, span = pcall(command.seconds, text)
  if not ok then
    command.fail("invalid time '" .. text .. "' for '" .. flag .. "'", {
      hint = "write 2026-01-31T12:00:00Z, seconds since 1970, or a time span such as 10m",
    })
  end
  return command.now() - span
end

--- `2026-01-31T12:00:00.123456789Z`; a missing time is the year 1, as in the field's own output.
function time.rfc3339(seconds)
  if not seconds then
    return "0001-01-01T00:00:00Z"
  end
  local whole = math.floor(seconds)
  local text = os.date("!%Y-%m-%dT%H:%M:%S", whole)
  local nanos = math.floor((seconds - whole) * 1e9 + 0.5)
  return nanos > 0 and string.format("%s.%09dZ", text, math.min(nanos, 999999999)) or text .. "Z"
end

--- `2026-01-31 12:00:00 +0000 UTC`, in the local zone.
function time.created_at(seconds)
  return seconds and os.date("%Y-%m-%d %H:%M:%S %z %Z", math.floor(seconds)) or ""
end

local STEPS = {
  { 1, "Less than a second" },
  { 2, "1 second" },
  { 60, 1, "seconds" },
  { 120, "About a minute" },
  { 3600, 60, "minutes" },
  { 90 * 60, "About an hour" },
  { 48 * 3600, 3600, "hours" },
  { 14 * 86400, 86400, "days" },
  { 60 * 86400, 7 * 86400, "weeks" },
  { 730 * 86400, 30 * 86400, "months" },
}

--- A time span in words: "About an hour", "3 weeks".
function time.span(seconds)
  if seconds >= 90 * 60 then
    -- From here on the hours count, rounded.
    seconds = (seconds + 1800) // 3600 * 3600
  end
  for _, step in ipairs(STEPS) do
    if seconds < step[1] then
      return step[3] and math.floor(seconds / step[2]) .. " " .. step[3] or step[2]
    end
  end
  return math.floor(seconds / (365 * 86400)) .. " years"
end

--- How long ago, in words; "N/A" when it is not known.
function time.ago(seconds)
  if not seconds then
    return "N/A"
  end
  return time.span(math.max(command.now() - seconds, 0)) .. " ago"
end

return time
