-- Names: tag, list, remove, prune.
local check = require "check"
local R = host.env.REGISTRY
local img = image.pull(R .. "/busybox")
image.tag(img, "app:1")
img:tag "app"
image.tag("app:1", "example.com:5000/team/app:2")
check.same(image.get "app:latest".id, img.id)
check.same(image.get "docker.io/library/app:1".id, img.id)
check.same(image.get(img.id).id, img.id)
check.same(image.get(img.short_id).id, img.id)
local names = image.list()[1].names
table.sort(names)
check.same({ #image.list(), names }, { 1, { R .. "/busybox:latest", "app:1", "app:latest", "example.com:5000/team/app:2" } })
check.same(#image.list { name = "team" }, 1)
check.same(#image.list { name = "nothing" }, 0)
check.has(tostring(image.list()), "app:1")
local new = build.from(img):write("/new", "1"):commit "app:1"
check.same({ #image.list(), image.get "app:1".id == new.id }, { 2, true })
-- a name goes, the image stays
check.same(image.remove "app", { images = {}, names = { "app:latest" } })
check.same(image.get "app", nil)
check.fails("in_use", "image " .. img.short_id .. " has 2 names", "remove " .. R .. "/busybox:latest, example.com:5000/team/app:2 one by one, or use force=true", image.remove, img)
check.same(#image.remove(img, { force = true }).images, 1)
check.same({ #image.list(), image.get(img.id) }, { 1 })
check.fails("not_found", "no such image '" .. img.id .. "'", nil, image.remove, img)
-- what stands on it still runs
check.same(check.out(new, "cat /new"), "1")
-- prune: what has no name
local loose = build.from(new):write("/loose", "1"):commit()
check.same(loose.names, {})
check.same({ #image.list(), image.prune().images }, { 2, { loose.id } })
check.same(#image.prune().images, 0)
check.same({ #image.prune({ all = true }).images, #image.list() }, { 1, 0 })
-- mistakes
check.fails("not_found", "no such image 'nope'", nil, image.tag, "nope", "x")
check.fails("invalid_argument", "image.tag: argument 2 'ref' must be a string, got nil", nil, image.tag, new)
check.fails("invalid_argument", "cannot tag as 'x@" .. new.digest .. "': a digest cannot be chosen", nil, image.tag, loose, "x@" .. new.digest)
check.fails("not_found", "no such image 'nope'", nil, image.push, "nope")
check.fails("invalid_argument", "the image has no name", "give one: {to=\"registry/name:tag\"}", image.push, build.scratch():write("/x", "y"):commit())
