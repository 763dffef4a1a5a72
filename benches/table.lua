-- Turns one hyperfine export into table rows: table.lua RESULT.json TITLE PER AIMS
--
-- AIMS is a list of `PEER FACTOR` (at most FACTOR times the peer's time) and `ms NUMBER` (at most so many), by commas.
-- Times are medians; ratios compare programs of this one export only.

local path, title, per, aims = arg[1], arg[2], tonumber(arg[3]), arg[4]

local function ms(seconds)
  local value = seconds * 1000 / per
  return string.format(value < 100 and "%.2f" or "%.0f", value)
end

local file = assert(io.open(path))
local results = json.decode(file:read "a").results
file:close()

local median = {}
for _, result in ipairs(results) do median[result.command] = result.median end
local own = median.moonshell

local function verdict(aim)
  local what, number = aim:match "^%s*(%S+)%s+(%S+)%s*$"
  local limit = tonumber(number)
  if what == "ms" then
    local met = own * 1000 / per <= limit
    return string.format("<= %s ms: %s", number, met and "met" or "**missed**")
  end
  local wanted = limit < 1 and string.format("%.3gx faster than %s", 1 / limit, what)
    or string.format("<= %sx %s", number, what)
  if not median[what] then return wanted .. ": not measured" end
  local ratio = own / median[what]
  local got = limit < 1 and string.format("%.1fx", 1 / ratio) or string.format("%.2fx", ratio)
  return string.format("%s: %s, %s", wanted, got, ratio <= limit and "met" or "**missed**")
end

local verdicts = {}
for aim in aims:gmatch "[^,]+" do verdicts[#verdicts + 1] = verdict(aim) end

for index, result in ipairs(results) do
  local first = index == 1
  print(string.format("| %s | %s | %s | %s - %s | %.2f | %s |", first and title or "", result.command,
    ms(result.median), ms(result.min), ms(result.max), result.median / own,
    result.command == "moonshell" and table.concat(verdicts, "; ") or ""))
end
