-- Calls of different branches run at the same time: each waits for a file the other makes.
local dir <close> = fs.tempdir()
local function meet(mine, other)
  return function()
    host.run("touch " .. mine .. "; until test -e " .. other .. "; do sleep 0.01; done", { cwd = dir.path, timeout = 20 })
    return mine
  end
end
local a, b = parallel(meet("a", "b"), meet("b", "a"))
assert(a == "a" and b == "b")

-- Nested, and started inside a coroutine.
local x, y = parallel(function()
  return (coroutine.wrap(function()
    local list = parallel({ meet("c", "e"), meet("d", "c") })
    return table.concat(list, "+")
  end)())
end, meet("e", "d"))
assert(x == "c+d" and y == "e")

-- Where nothing can be yielded it runs all the same.
local list = { 2, 1 }
table.sort(list, function(p, q)
  local l, r = parallel(function() return tonumber(host.out("echo " .. p)) end, function() return tonumber(host.out("echo " .. q)) end)
  return l < r
end)
assert(list[1] == 1)
