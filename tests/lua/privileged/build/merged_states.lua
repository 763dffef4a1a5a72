-- s:merge: another state's files on top, with what its own layers remove, without copying.
local check = require "check"
local base = build.from(check.busybox()):write("/shared", "base"):write("/opt/base", "b")
local a, b = parallel(
  function() return base:run "mkdir -p /new && echo a > /new/a && echo a > /both && echo a > /opt/a":env { FROM = "a" } end,
  function() return base:run "mkdir -p /new && echo b > /new/b && echo b > /both && rm /shared":env { FROM = "b" } end)
local m = a:merge(b)
check.same(m:read "/both" .. m:read "/new/a" .. m:read "/new/b" .. m:read "/opt/a" .. m:read "/opt/base", "b\na\nb\na\nb")
check.same(m:exists "/shared", false)
check.same(m:out "echo $FROM $(ls /new)", "a a b")
local img = m:commit "merged:1"
check.same(#img.layers, 5)
local wanted = {}
for _, layer in ipairs(a:commit().layers) do wanted[#wanted + 1] = layer.digest end
wanted[#wanted + 1] = b:commit().layers[4].digest
local got = {}
for _, layer in ipairs(img.layers) do got[#got + 1] = layer.digest end
check.same(got, wanted, "the layers are those of the two states")
local made = {}
for _, step in ipairs(img:history()) do if step.digest then made[#made + 1] = step.digest end end
check.same(made, got, "a line of history for each layer")
check.same(check.out(img, "cat /new/a /new/b"), "a\nb")

-- the same again is the same; without a common base all layers come
check.same(a:merge(b), m)
check.same(a:merge(b) ~= b:merge(a), true)
check.same(#m:merge(b):commit().layers, 5)
local other = build.scratch():write("/bin/x", "x"):write("/y", "y")
local all = m:merge(other)
check.same(#all:commit().layers, 7)
check.same(all:read "/bin/x" .. all:out "cat /y", "xy")
-- what is below something else already comes again
local over = all:write("/bin/x", "newer"):merge(other)
check.same(over:out "cat /bin/x /y", "xy")
check.same(all:write("/bin/x", "newer"):merge(other):commit().digest, over:commit().digest)
-- its layers may be part of one layer
local one = base:layer(function(s) return a:merge(b):write("/end", "e") end)
check.same(#one:commit().layers, 4)
check.same(one:out "cat /new/a /new/b /end", "a\nb\ne")
check.same(one:exists "/shared", false)
