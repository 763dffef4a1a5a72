-- Sizes, times, ids and names in words.

local command = ...
local filter = command.use "filter"
local time = command.use "time"
local units = command.use "units"

local function same(what, got, expected)
  if got ~= expected then
    error(string.format("%s: expected %s, got %s", what, tostring(expected), tostring(got)), 0)
  end
end

return {
  summary = "Test",
  run = function()
    for bytes, text in pairs {
      [0] = "0B", [999] = "999B", [1000] = "1kB", [72800000] = "72.8MB", [1234567] = "1.23MB",
      [123456789] = "123MB", [5000000000] = "5GB",
    } do
      same(bytes, units.size(bytes), text)
    end
    for bytes, text in pairs { [0] = "0B", [1536] = "1.5KiB", [8220835840] = "7.656GiB", [1024 * 1024] = "1MiB" } do
      same(bytes, units.memory(bytes), text)
    end
    for seconds, text in pairs {
      [0] = "Less than a second", [1] = "1 second", [59] = "59 seconds", [60] = "About a minute",
      [150] = "2 minutes", [3599] = "59 minutes", [3600] = "About an hour", [5399] = "About an hour",
      [5400] = "2 hours", [47 * 3600] = "47 hours", [48 * 3600] = "2 days", [13 * 86400] = "13 days",
      [14 * 86400] = "2 weeks", [60 * 86400] = "2 months", [365 * 86400] = "12 months", [730 * 86400] = "2 years",
    } do
      same(seconds, time.span(seconds), text)
    end
    for text, seconds in pairs {
      ["1970-01-01T00:00:00Z"] = 0,
      ["2000-02-29T12:30:15Z"] = 951827415,
      ["2026-11-21T09:00:00.5+02:00"] = 1795244400.5,
      ["2024-03-01"] = 1709251200,
      ["1969-12-31T23:59:59Z"] = -1,
    } do
      same(text, time.parse(text), seconds)
    end
    same("no time", time.parse "yesterday", nil)
    same("no time", time.parse "2024-01-01Tx", nil)
    same("rfc3339", time.rfc3339(951827415.25), "2000-02-29T12:30:15.250000000Z")
    same("short", units.short("sha256:" .. ("ab"):rep(32)), "abababababab")
    same("cut", units.cut("äöü-äöü", 4), "äöü…")
    same("cut", units.cut("äöü", 3), "äöü")
    for name, parts in pairs {
      ["debian"] = { "debian" },
      ["debian:12"] = { "debian", "12" },
      ["127.0.0.1:5000/a/b"] = { "127.0.0.1:5000/a/b" },
      ["127.0.0.1:5000/a/b:t@sha256:00"] = { "127.0.0.1:5000/a/b", "t", "sha256:00" },
    } do
      local repository, tag, digest = units.split_name(name)
      same(name, repository, parts[1])
      same(name, tag, parts[2])
      same(name, digest, parts[3])
    end
    for name, full in pairs {
      ["debian"] = "docker.io/library/debian:latest",
      ["me/app:1"] = "docker.io/me/app:1",
      ["docker.io/x"] = "docker.io/library/x:latest",
      ["ghcr.io/me/app"] = "ghcr.io/me/app:latest",
      ["localhost/app:1"] = "localhost/app:1",
      ["127.0.0.1:5000/app"] = "127.0.0.1:5000/app:latest",
      ["debian@sha256:00"] = "docker.io/library/debian@sha256:00",
    } do
      same(name, units.full_name(name), full)
    end
    same("glob", ("a.b+c"):find(filter.glob "a.*?c") ~= nil, true)
    same("glob", ("axb"):find(filter.glob "a.b") ~= nil, false)
    same("labels", filter.labels({ a = "1" }, { "a", "a=1" }), true)
    same("labels", filter.labels({ a = "1" }, { "a=2" }), false)
    command.print("all fine")
  end,
}
