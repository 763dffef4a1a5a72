-- expect-stdout: READY
-- expect-stdout: closed cleanly
-- expect-status: 130
-- expect-stderr: error: interrupted
-- signal: INT when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
host.run("echo READY; sleep 1000; true")
error("not reached")
