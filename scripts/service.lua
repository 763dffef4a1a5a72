#!/usr/bin/env moonshell
-- A service in the background: started, watched, asked, changed, and taken away, whatever happens.

local base = build.from_host { "/bin/sh", "/bin/cat", "/bin/date", "/bin/sleep", "/bin/ls", "/bin/mkdir", "/usr/bin/id" }

-- Counts seconds into a file and says so.
local program = [[
mkdir -p /data
n=0
while true; do
  n=$((n + 1)); echo $n > /data/count; echo "count $n"; echo "to the error stream" >&2; sleep 0.1
done]]

local service <close> = container.start(base, program, {
  memory = "64m",
  pids_limit = 20,
  labels = { role = "counter" },
  health = { cmd = "cat /data/count", interval = "100ms" },
  log_opts = { ["max-size"] = "1m", ["max-file"] = 2 },
})
print("started", service.name, service.status)

-- The first lines of its log, as they come.
local lines = 0
for line, stream in service:logs { follow = true } do
  print(stream, line)
  lines = lines + 1
  if lines == 4 then break end
end

-- Programs inside: another user sees what the service made.
print("counted to", service:out("cat /data/count"), "seen by", service:out("id -u", { user = "1000" }))

-- Frozen, it does not count; thawed, it does.
service:pause()
print("paused", service.status)
service:unpause()

-- Files out of it, without its help.
local folder <close> = fs.tempdir()
service:copy_out("/data/count", folder.path .. "/count")
print("copied", tonumber(fs.read(folder.path .. "/count")) > 0)
for _, change in ipairs(service:diff()) do print(change.kind, change.path) end

local figures = service:stats()
print("processes", figures.pids.current >= 1, "memory", figures.memory.limit_bytes)

service:stop { timeout = 1 }
print("ended", service.status, service.exit_code)
