-- expect-status: 1
-- expect-stdout: block
-- expect-stdout: return
-- expect-stdout: error
-- expect-stdout: break
-- expect-stdout: goto
-- expect-stdout: program
-- expect-stderr: error: the end
local function closing(name)
  return setmetatable({}, { __close = function() print(name) end })
end
do local x <close> = closing("block") end
;(function() local x <close> = closing("return") return 1 end)()
pcall(function() local x <close> = closing("error") error("x") end)
while true do local x <close> = closing("break") break end
do
  do local x <close> = closing("goto") goto out end
end
::out::
local x <close> = closing("program")
error("the end", 0)
