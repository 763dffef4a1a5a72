-- services: containers a test needs beside it, for as long as it needs them.
--
--   local services = require "services"
--   services.test(app, "make check", {
--     services = {
--       db = { image = "postgres:16", env = { POSTGRES_PASSWORD = "x" }, ready = "pg_isready -U postgres" },
--     },
--   })
--
-- All of them and the test share one network of their own: they reach each other as 127.0.0.1, and nothing else.
-- Whatever happens, they are gone afterwards.

local use = ...
local fail = use "fail"
local services = {}

local function copy(from, without)
  local to = {}
  for key, value in pairs(from) do
    if not without[key] then
      to[key] = value
    end
  end
  return to
end

-- The last lines of a container's log.
local function tail(c)
  local lines = {}
  for line in c:logs { tail = 20 } do
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

local function wait_ready(name, c, limit)
  local filters = { container = c.id, event = { "health_status", "die" } }
  local deadline = os.time() + limit
  -- From its start on, so that nothing that happened meanwhile is missed.
  for event in container.events { since = "1h", before = deadline, filters = filters } do
    if event.action == "die" then
      local code = tonumber(event.attributes.exitCode)
      fail("exit", ("service '%s' ended with status %s before it was ready"):format(name, code), {
        subject = name,
        stderr = tail(c),
        exit_code = code,
      })
    elseif event.attributes.health == "healthy" then
      return
    end
  end
  fail("timeout", ("service '%s' was not ready in %d s"):format(name, limit), { subject = name, stderr = tail(c) })
end

local group = {}
group.__index = group
group.__name = "services"

--- Stops and removes them.
function group:close()
  local first
  for index = #self.list, 1, -1 do
    local ok, err = pcall(self.list[index].remove, self.list[index], { force = true, volumes = true })
    if not ok and err.kind ~= "not_found" then
      first = first or err
    end
  end
  self.list = {}
  if first then
    error(first, 0)
  end
end
group.__close = group.close

--- Starts services: a table from names to {image=, cmd=, ready=, timeout=, and everything container.start takes}.
--- `ready` is a command that succeeds when the service is (`timeout`: seconds to wait for that, 60). Returns a group:
--- `group.network` for the `network` option of containers that should reach them, `group[NAME]` the containers,
--- `group:close()`; a `<close>` variable closes it.
function services.start(wanted)
  local names = {}
  for name, service in pairs(wanted) do
    if type(service) ~= "table" or not service.image then
      fail("invalid_argument", ("services: '%s' needs an image"):format(tostring(name)))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  if #names == 0 then
    fail("invalid_argument", "services: none is named")
  end
  local made = setmetatable({ list = {} }, group)
  local ok, err = pcall(function()
    for _, name in ipairs(names) do
      local service = wanted[name]
      local opts = copy(service, { image = true, cmd = true, ready = true, timeout = true })
      opts.network = made.network
      if service.ready then
        opts.health = { cmd = service.ready, interval = "200ms", retries = 1000000 }
      end
      local c = container.start(service.image, service.cmd, opts)
      made.list[#made.list + 1] = c
      made[name] = c
      made.network = made.network or "container:" .. c.id
    end
    for _, name in ipairs(names) do
      if wanted[name].ready then
        wait_ready(name, made[name], wanted[name].timeout or 60)
      end
    end
  end)
  if not ok then
    pcall(made.close, made)
    error(err, 0)
  end
  return made
end

--- Runs a test in a fresh container of an image or state beside services, and takes them away. Options: `services`
--- (as services.start), and everything container.run takes. Returns the Result; a failure raises, with the services'
--- last log lines as `logs`.
function services.test(image, cmd, opts)
  opts = opts or {}
  local beside <close> = services.start(opts.services or {})
  local run = copy(opts, { services = true })
  run.network = beside.network
  local ok, result = pcall(container.run, image, cmd, run)
  if ok then
    return result
  end
  if type(result) == "table" and result.kind == "exit" then
    result.logs = {}
    for name in pairs(opts.services) do
      result.logs[name] = tail(beside[name])
    end
  end
  error(result, 0)
end

return services
