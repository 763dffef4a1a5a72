-- expect-stdout: READY
-- expect-stdout: inner closed
-- expect-stdout: closed cleanly
-- expect-status: 130
-- expect-stderr: error: interrupted
-- signal: INT when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
coroutine.wrap(function()
  local inner <close> = setmetatable({}, { __close = function() print("inner closed") end })
  io.stdout:write("READY\n") io.stdout:flush()
  while true do pcall(function() while true do end end) end
end)()
