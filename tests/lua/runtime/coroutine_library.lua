-- The replaced coroutine functions behave like the standard ones.
local co = coroutine.create(function(a, b)
  local c = coroutine.yield(a + b)
  local d, e = coroutine.yield(c * 2)
  return d, e, nil
end)
assert(select("#", coroutine.resume(co, 1, 2)) == 2)
assert(select(2, coroutine.resume(co, 10)) == 20)
local r = table.pack(coroutine.resume(co, "x", nil))
assert(r.n == 4 and r[1] and r[2] == "x" and r[3] == nil)
local ok, err = coroutine.resume(co)
assert(not ok and err == "cannot resume dead coroutine")
assert(table.pack(coroutine.resume(coroutine.create(function() end))).n == 1)

-- wrap: values, errors as they are, a position on strings.
local gen = coroutine.wrap(function() coroutine.yield() return 1, nil end)
assert(table.pack(gen()).n == 0)
assert(table.pack(gen()).n == 2)
local okw, errw = pcall(gen)
assert(not okw and errw:find("cannot resume dead coroutine", 1, true))
local thing = {}
local okt, errt = pcall(coroutine.wrap(function() error(thing) end))
assert(not okt and errt == thing)
local oks, errs = pcall(function() coroutine.wrap(function() error("text") end)() end)
assert(errs:match("^.-coroutine_library.lua:%d+: .-coroutine_library.lua:%d+: text$"), errs)

-- close runs `<close>` and reports its error.
local closed = false
local c1 = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() closed = true end })
  coroutine.yield()
end)
coroutine.resume(c1)
assert(coroutine.close(c1) == true and closed and coroutine.status(c1) == "dead")
local c2 = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() error(thing) end })
  coroutine.yield()
end)
coroutine.resume(c2)
local ok2, err2 = coroutine.close(c2)
assert(ok2 == false and err2 == thing)
assert(not pcall(coroutine.close, 1))

-- The main program looks like the main thread, also inside parallel.
local function main()
  local co1, is_main = coroutine.running()
  assert(type(co1) == "thread" and is_main)
  assert(not coroutine.isyieldable())
  local ok3, err3 = pcall(coroutine.yield, 1)
  assert(not ok3 and err3:find("outside a coroutine", 1, true))
  return true
end
assert(main() and parallel(main))
coroutine.wrap(function()
  assert(coroutine.isyieldable() and not select(2, coroutine.running()))
end)()
