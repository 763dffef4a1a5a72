-- expect-stdout: READY
-- expect-stdout: branch closed
-- expect-stdout: closed cleanly
-- expect-status: 130
-- expect-stderr: error: interrupted
-- signal: INT when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
parallel(function()
  local b <close> = setmetatable({}, { __close = function() print("branch closed") end })
  host.run("echo READY; sleep 1000; true")
end, function() host.run("sleep 1000; true") end, function() while true do host.run("true") end end)
