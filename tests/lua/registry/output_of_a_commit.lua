-- A commit may go to a registry at once: under its names or another one; only what is missing there travels.
local check = require "check"
local R = host.env.REGISTRY
local dir <close> = fs.tempdir()
local s = build.from(R .. "/busybox"):write("/w", "text")
local name = R .. "/output/app:1"
local img = s:commit(name, { output = "type=registry" })
local code = ("local i = image.pull(%q); print(i.digest); io.write(build.from(i):read '/w')"):format(name)
check.same(check.again(code, dir.path .. "/other").stdout, img.digest .. "\ntext")
-- another name, a list, the push of an image; what is there is not sent again
local more = check.again(([[
  local s = build.from(%q):write("/w", "text"):write("/more", "more")
  s:commit("local:1", {output={"type=image,push=true,name=%s/output/app:2", {type="registry", name=%q}}})]])
  :format(R .. "/busybox", R, R .. "/output/app:3"))
local sent, there = 0, 0
for line in more.stderr:gmatch "[^\n]+" do
  if line:match "^push %x+: done" then sent = sent + 1 elseif line:match "^push %x+: already there" then there = there + 1 end
end
check.same({ sent, there }, { 2, 6 }, "a layer and a configuration, once")
check.same(image.pull(R .. "/output/app:3").id, image.get "local:1".id)
check.same(image.get(R .. "/output/app:2"), nil)
