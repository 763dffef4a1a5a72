-- Engine calls inside a user's coroutines suspend the branch, never the coroutine.
local function numbers(prefix)
  return coroutine.wrap(function()
    for i = 1, 3 do
      coroutine.yield(host.out({ "/bin/echo", prefix .. i }))
    end
  end)
end
local function collect(prefix)
  return function()
    local list = {}
    for word in numbers(prefix) do list[#list + 1] = word end
    return table.concat(list, ",")
  end
end
local a, b, c = parallel(collect("a"), collect("b"), collect("c"))
assert(a == "a1,a2,a3" and b == "b1,b2,b3" and c == "c1,c2,c3")

-- The same with resume, nested twice.
local function nested()
  local outer = coroutine.create(function(x)
    local inner = coroutine.create(function(y)
      local z = coroutine.yield(host.out({ "/bin/echo", y .. "1" }))
      return host.out({ "/bin/echo", z .. "2" })
    end)
    local _, first = coroutine.resume(inner, x)
    local back = coroutine.yield(first)
    local _, second = coroutine.resume(inner, back)
    assert(coroutine.status(inner) == "dead")
    return second
  end)
  local ok, one = coroutine.resume(outer, "in")
  assert(ok and one == "in1" and coroutine.status(outer) == "suspended")
  local ok2, two = coroutine.resume(outer, "back")
  assert(ok2 and two == "back2" and coroutine.status(outer) == "dead")
  return true
end
assert(parallel(nested, nested))

-- A coroutine that waits for the engine is not resumable by another branch.
local shared
local result = parallel({
  function()
    shared = coroutine.create(function() return host.out("sleep 0.1; echo done") end)
    local _, value = coroutine.resume(shared)
    return value
  end,
  function()
    assert(coroutine.status(shared) == "normal")
    local ok, err = coroutine.resume(shared)
    assert(not ok and err == "cannot resume non-suspended coroutine")
    assert(not pcall(coroutine.close, shared))
    return true
  end,
})
assert(result[1] == "done" and result[2] == true)
