-- Nothing an image says of itself is taken for a result of a step: neither its history nor its labels, however they
-- agree with what a build is about to do. What is not in the file system but in the configuration counts for steps.
-- Docker's classic cache took an image with a fitting history for a result (CVE-2024-24557).
local check = require "check"
local img = check.busybox()
img:tag "busybox:1"
local step = "echo fresh > /p"
local text = "FROM busybox:1\nRUN " .. step .. "\n"
-- An image that says it was made by that very step, and another that has its layer's place, too.
local shell = "RUN /bin/sh -c " .. step
local poison = build.from(img):write("/p", "poison\n", { history = shell }):commit("busybox:poison", { created = "2024-01-02T00:00:00Z" })
check.same(poison:history()[#poison:history()].created_by, shell)
build.from(img):env({}, { history = shell }):commit "busybox:empty"
check.same(build.from(img):run(step):read "/p", "fresh\n")
local built = build.dockerfile { text = text }
check.same(check.out(built, "cat /p"), "fresh")
check.same(built.layers[#built.layers].diff_id ~= poison.layers[#poison.layers].diff_id, true)
-- It is no cache for what follows, either: its own steps begin at itself.
check.same(build.from "busybox:poison":run "cat /p > /q":read "/q", "poison\n")
check.same(build.from(built):run "cat /p > /q":read "/q", "fresh\n")

-- HEALTHCHECK and ONBUILD of the base, and of the state: another step under them is another step.
local uuid = "cat /proc/sys/kernel/random/uuid > /u"
local function made(state) return state:run(uuid):read "/u" end
local base = build.from(img)
local plain = made(base)
check.same(made(base), plain)
local seen = { [plain] = true }
for name, state in pairs {
  healthcheck = base:healthcheck { test = "true" },
  other_healthcheck = base:healthcheck { test = "true", interval = "1s" },
  trigger = base:on_build "RUN true",
  other_trigger = base:on_build "RUN false",
} do
  local stamp = made(state)
  check.same(seen[stamp], nil, name)
  seen[stamp] = true
  check.same(made(state), stamp, name .. " again")
  -- as the base of another build
  local image = state:commit("base:" .. name:gsub("_", "-"))
  stamp = made(build.from(image))
  check.same(seen[stamp], nil, name .. " of an image")
  seen[stamp] = true
end
