-- expect-stdout: READY
-- expect-stdout: closed cleanly
-- expect-status: 130
-- expect-stderr: error: interrupted
-- signal: INT when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
io.stdout:write("READY\n") io.stdout:flush()
-- Cannot be suspended there: an error ends the comparator, and nothing cuts the clean-up short.
table.sort({ 3, 2, 1 }, function() while true do end end)
