-- expect-status: 7
-- expect-stdout: coroutine
-- expect-stdout: branch
-- expect-stdout: program
local function closing(name)
  return setmetatable({}, { __close = function() print(host.out({ "/bin/echo", name })) end })
end
local x <close> = closing("program")
parallel(function()
  local y <close> = closing("branch")
  host.run("sleep 1000")
end, function()
  local wrapped = coroutine.wrap(function()
    local z <close> = closing("coroutine")
    host.out("true")
    pcall(os.exit, 7)
    print("not reached")
  end)
  pcall(wrapped)
  print("not reached")
end)
print("not reached")
