-- expect-stdout: READY
-- expect-stdout: closed cleanly
-- expect-status: 143
-- expect-stderr: error: interrupted
-- signal: TERM when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
io.stdout:write("READY\n") io.stdout:flush()
while true do end
