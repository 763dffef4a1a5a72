-- events, system events

local command = ...
local filter = command.use "filter"
local format = command.use "format"
local template = command.use "template"
local time = command.use "time"

local FILTERS = { "container", "event", "image", "label", "type" }

-- Name and image are attributes like the others.
local function attributes_of(event)
  local all = { name = event.name, image = event.image }
  for name, value in pairs(event.attributes) do
    all[name] = value
  end
  return all
end

-- `2026-01-31T12:00:00.000000000Z container start ID (image=busybox, name=web)`
local function line(event)
  local names, parts = {}, {}
  local attributes = attributes_of(event)
  for name in pairs(attributes) do
    names[#names + 1] = name
  end
  table.sort(names)
  for index, name in ipairs(names) do
    parts[index] = name .. "=" .. tostring(attributes[name])
  end
  local text = time.rfc3339(event.time) .. " " .. event.type .. " " .. event.action .. " " .. event.id
  return #parts > 0 and text .. " (" .. table.concat(parts, ", ") .. ")" or text
end

local function details(event)
  return {
    Type = event.type,
    Action = event.action,
    Actor = { ID = event.id, Attributes = attributes_of(event) },
    scope = "local",
    time = math.floor(event.time),
    timeNano = math.floor(event.time * 1e9),
    -- The names older tools ask for.
    status = event.action,
    id = event.id,
    from = event.image,
    ID = event.id,
    Time = math.floor(event.time),
    TimeNano = math.floor(event.time * 1e9),
  }
end

local function shown(asked)
  if not asked then
    return line
  elseif asked == "json" then
    return function(event)
      return json.encode(details(event))
    end
  elseif asked:find("{{", 1, true) then
    local compiled = template(asked)
    return function(event)
      return compiled(details(event))
    end
  end
  return format.expression(asked)
end

return {
  summary = "Show what happens to containers, as it happens",
  details = "Filters: " .. table.concat(FILTERS, ", ") .. ".",
  flags = {
    filter.flag,
    format.flag(),
    { long = "since", value = "TIME", help = "Begin with this time, or a span ago" },
    { long = "until", value = "TIME", help = "End with this time, or a span ago" },
  },
  run = function(_, flags)
    local show = shown(flags.format)
    local events = container.events {
      filters = filter.read(flags.filter, FILTERS),
      since = flags.since and time.point(flags.since, "--since"),
      ["until"] = flags["until"] and time.point(flags["until"], "--until"),
    }
    for event in events do
      command.print(show(event))
      command.flush()
    end
  end,
}
