-- The main job: pull, add a file, decide by an output, commit, push; others read it; a second run answers from the cache.
local check = require "check"
local R = host.env.REGISTRY
-- what a person tries first
local seen = json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "docker://" .. R .. "/debian:bookworm" })
local one = check.moonshell("-e", ('print(image.pull("%s/debian:bookworm").digest)'):format(R))
check.same({ one.ok, one.stdout }, { true, seen.Digest .. "\n" }, one.stderr)
local img = image.pull(R .. "/debian:bookworm")
check.same({ img.digest, #img.layers, img.layers[1].digest }, { seen.Digest, 1, seen.Layers[1] })
check.same(check.out(img, "cat /etc/debian_version"):match "^12%.%d+$" ~= nil, true)
check.has(check.out(R .. "/debian:bookworm", "cat /etc/os-release; dpkg --version"), "VERSION_CODENAME=bookworm")
check.same(check.out(img, { "bash", "-c", "echo ${BASH_VERSINFO[0]}; id -un; perl -e 'print 6*7'" }), "5\nroot\n42")
local dir <close> = fs.tempdir()
local d = dir.path
fs.mkdir(d .. "/src")
fs.write(d .. "/src/app.sh", "#!/bin/sh\necho app 1\n", { mode = tonumber("755", 8) })
fs.write(d .. "/early", "early")
fs.write(d .. "/build.lua", [[
local R, d = arg[1], arg[2]
local s = build.from(R .. "/debian:bookworm")
  :copy(d .. "/early", "/early")
  :copy(d .. "/src", "/app")
if s:out "cat /etc/debian_version" >= "12" then
  s = s:run "echo new > /kind && cat /proc/sys/kernel/random/uuid > /once"
else
  s = s:run "echo old > /kind"
end
local img = s:env{MODE = "test"}:entrypoint{"/app/app.sh"}:commit(R .. "/flow/app:1")
print(img:push())
print(img.id)
]])
local function go()
  local r = host.run({ host.env.MOONSHELL, "--progress", "plain", d .. "/build.lua", R, d }, { capture = true, check = false })
  if not r.ok then error(r.stderr) end
  local ran, cached = check.steps(r.stderr)
  return r.stdout, ran, cached, r.stderr
end
local first, ran = go()
check.same(#ran, 4)
local digest, id = first:match "^(%S+)\n(%S+)\n$"
-- unchanged: all from the cache, nothing is sent again
local second, again, cached, progress = go()
check.same({ second, #again, #cached }, { first, 0, 4 }, progress)
-- touched: nothing runs
host.run { "touch", "-d", "2005-05-05", d .. "/src/app.sh", d .. "/src", d .. "/early" }
second, again = go()
check.same({ second, #again }, { first, 0 })
-- one input's content: only what follows it
fs.write(d .. "/src/app.sh", "#!/bin/sh\necho app 2\n", { mode = tonumber("755", 8) })
second, again, cached = go()
check.same(again, { "COPY " .. d .. "/src /app", "OUT cat /etc/debian_version", "RUN echo new > /kind && cat /proc/sys/kernel/random/uuid > /once" })
check.same({ #cached, second ~= first }, { 1, true })
digest, id = second:match "^(%S+)\n(%S+)\n$"
-- skopeo agrees, and can copy all of it
local target = "docker://" .. R .. "/flow/app:1"
seen = json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", target })
check.same(seen.Digest, digest)
check.same(#seen.Layers, 4, "the base's, two copies and one run")
local raw = host.out { "skopeo", "inspect", "--tls-verify=false", "--raw", target }
local manifest = json.decode(raw)
check.same(manifest.config.digest, id)
check.same(manifest.mediaType, "application/vnd.oci.image.manifest.v1+json")
local config = json.decode(host.out { "skopeo", "inspect", "--tls-verify=false", "--config", target })
check.same({ config.config.Entrypoint, config.config.Env[#config.config.Env], #config.rootfs.diff_ids }, { { "/app/app.sh" }, "MODE=test", 4 })
local texts = {}
for _, step in ipairs(config.history) do texts[#texts + 1] = step.created_by end
check.same(texts, { "a test's own", "COPY " .. d .. "/early /early", "COPY " .. d .. "/src /app",
  "RUN /bin/sh -c echo new > /kind && cat /proc/sys/kernel/random/uuid > /once", "ENV MODE=test", 'ENTRYPOINT ["/app/app.sh"]' })
host.run { "skopeo", "copy", "--quiet", "--src-tls-verify=false", target, "dir:" .. d .. "/copied" }
local layer = d .. "/copied/" .. manifest.layers[3].digest:match ":(.*)"
check.same(host.out { "tar", "-tzf", layer }, "app/\napp/app.sh")
check.same(host.out { "sh", "-c", 'tar -xzOf "$0" app/app.sh | tail -n 1', layer }, "echo app 2")
-- it runs
check.same(check.out(R .. "/flow/app:1"), "app 2")
