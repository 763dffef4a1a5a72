-- When the registry is asked, and what a second pull costs.
local check = require "check"
local R = host.env.REGISTRY
local name = R .. "/policies:1"
host.run({ "skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" .. R .. "/busybox", "docker://" .. name })
check.fails("not_found", "no such image '" .. name .. "'", "the pull policy is 'never': pull it first", image.pull, name, { policy = "never" })
check.fails("not_found", "no such image '" .. name .. "'", "the pull policy is 'never': pull it first", container.run, name, "true", { pull = "never" })
check.fails("not_found", "no such image '" .. name .. "'", "the pull policy is 'never': pull it first", build.from, name, { pull = "never" })
local first = image.pull(name)
local function progress(code)
  local r = check.again(code)
  return r.stderr
end
check.same(progress(("image.pull(%q)"):format(name)), "", "a name that is here needs nothing")
local again = progress(("image.pull(%q, {policy='always'})"):format(name))
check.has(again, "already here")
check.same(again:find("done", 1, true), nil, again)
-- the tag moves: only `always` sees it
local moved = build.from(first):write("/moved", "yes"):commit(name):push()
local other <close> = fs.tempdir()
local function at(root, policy)
  return check.again(("io.write(image.pull(%q, {policy=%q}).digest)"):format(name, policy), root).stdout
end
check.same(at(other.path, "missing"), moved)
image.push(first, { to = name })
check.same(at(other.path, "missing"), moved)
check.same(at(other.path, "never"), moved)
check.same(at(other.path, "always"), first.digest)
check.same(at(other.path, "missing"), first.digest)
-- the same from a container and a build
check.has(progress(("container.run(%q, 'true', {pull='always'})"):format(name)), "already here")
check.has(progress(("build.from(%q, {pull='always'})"):format(name)), "already here")
