-- What an image's history says of the instructions, in Docker's words.

local history = {}

-- Go's %q: strings in quotes between brackets.
local function quoted(list)
  local parts = {}
  for index, word in ipairs(list) do
    parts[index] = '"' .. word:gsub('[%c"\\]', function(char)
      local known = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
      return known[char] or ("\\x%02x"):format(char:byte())
    end) .. '"'
  end
  return "[" .. table.concat(parts, " ") .. "]"
end

local function bare(list)
  return "[" .. table.concat(list, " ") .. "]"
end

--- A command as a list: a line for the shell gets the shell in front.
function history.vector(command, state)
  if type(command) == "table" then
    return command
  end
  local list = { table.unpack(state.config.Shell or { "/bin/sh", "-c" }) }
  list[#list + 1] = command
  return list
end

--- CMD and ENTRYPOINT.
function history.command(keyword, command, state)
  return keyword .. " " .. quoted(history.vector(command, state))
end

--- EXPOSE, VOLUME and SHELL.
function history.list(keyword, list)
  return keyword .. " " .. bare(list)
end

--- ENV and LABEL.
function history.pairs(keyword, pairs)
  local parts = { keyword }
  for _, pair in ipairs(pairs) do
    parts[#parts + 1] = pair[1] .. "=" .. pair[2]
  end
  return table.concat(parts, " ")
end

--- RUN, with the arguments it sees.
function history.run(vector, arguments)
  local parts = { "RUN" }
  if #arguments > 0 then
    parts[#parts + 1] = "|" .. #arguments
    table.move(arguments, 1, #arguments, #parts + 1, parts)
  end
  table.move(vector, 1, #vector, #parts + 1, parts)
  return table.concat(parts, " ")
end

--- COPY and ADD.
function history.copy(item)
  local parts = { item.keyword }
  if item.parents then
    parts[#parts + 1] = "--parents"
  end
  for _, name in ipairs { "chown", "chmod" } do
    if item[name] then
      parts[#parts + 1] = ("--%s=%s"):format(name, item[name])
    end
  end
  table.move(item.sources, 1, #item.sources, #parts + 1, parts)
  for _, document in ipairs(item.contents) do
    parts[#parts + 1] = "<<" .. document.name
  end
  parts[#parts + 1] = item.target
  return table.concat(parts, " ")
end

-- A time span as Go writes it.
local function span(seconds)
  if not seconds then
    return "0s"
  elseif seconds < 1 then
    return ("%gms"):format(seconds * 1000)
  end
  local hours, minutes, rest = seconds // 3600, seconds % 3600 // 60, seconds % 60
  local text = ("%gs"):format(rest)
  if hours > 0 then
    return ("%dh%dm%s"):format(hours, minutes, text)
  end
  return minutes > 0 and ("%dm%s"):format(minutes, text) or text
end

--- HEALTHCHECK.
function history.healthcheck(item)
  local test = { "NONE" }
  if not item.none then
    test = item.json and { "CMD", table.unpack(item.command) } or { "CMD-SHELL", item.command }
  end
  return ("HEALTHCHECK {Test:%s Interval:%s Timeout:%s StartPeriod:%s StartInterval:%s Retries:%d}"):format(
    bare(test), span(item.interval), span(item.timeout), span(item.start_period), span(item.start_interval),
    item.retries or 0
  )
end

return history
