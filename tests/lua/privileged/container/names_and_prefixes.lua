-- Names and the beginnings of ids: what they may be, who has them, when they are free again.
-- timeout-ms: 90000
local check = require "check"
local img = check.busybox()
local a = container.create(img, "true", { name = "one" })
check.same(container.get("one").id, a.id)
check.same(container.get(a.id).name, "one")
check.same(container.get(a.short_id).name, "one")
check.same(container.get(a.id:sub(1, 3)).name, "one")
local taken = "the name 'one' is taken by container " .. a.short_id
local advice = "remove or rename that container, or take another name"
for _, make in ipairs { container.create, container.start, container.run } do
  check.fails("already_exists", taken, advice, make, img, "true", { name = "one" })
end
check.same(#container.list { all = true }, 1)
local rules = "two or more letters, digits, '_', '.' and '-', beginning with a letter or digit"
for _, bad in ipairs { "x", "-x", "a b", "a/b", "../x", "" } do
  check.fails("invalid_argument", ("invalid container name '%s'"):format(bad), rules, container.create, img, "true", { name = bad })
end
local b = container.create(img, "true")
assert(b.name:match "^%l+_%l+%d*$", b.name)
check.fails("already_exists", taken, advice, b.rename, b, "one")
check.fails("invalid_argument", "invalid container name '-'", rules, b.rename, b, "-")
check.fails("invalid_argument", "container 'one' has that name already", nil, a.rename, a, "one")
local old = b.name
b:rename "two"
check.same({ b.name, container.get(old), container.get("two").id }, { "two", nil, b.id })
a:rename(old)
a:rename "one"
-- The beginning of several ids is none.
local made, twice = {}, nil
repeat
  made[#made + 1] = container.create(img, "true")
  local first = {}
  for _, c in ipairs(container.list { all = true }) do
    local digit = c.id:sub(1, 1)
    if first[digit] then twice = digit end
    first[digit] = true
  end
until twice
local count = 0
for _, c in ipairs(container.list { all = true }) do count = count + (c.id:sub(1, 1) == twice and 1 or 0) end
check.fails("invalid_argument", ("'%s' is the beginning of %d container ids"):format(twice, count), "give more digits of it", container.get, twice)
check.same(container.get "zz", nil)
check.same(container.get "", nil)
check.same(container.get(("0"):rep(64)), nil)
-- A name wins over the beginning of an id.
local name = made[1].id:sub(1, 5)
a:rename(name)
check.same(container.get(name).id, a.id)
a:remove()
check.same(container.get(name).id, made[1].id)
-- A name is free again once its container is gone.
check.same(container.create(img, "true", { name = "one" }).name, "one")
container.prune()
check.same(#container.list { all = true }, 0)
check.same(host.out { "ls", host.env.MOONSHELL_ROOT .. "/names" }, "")
