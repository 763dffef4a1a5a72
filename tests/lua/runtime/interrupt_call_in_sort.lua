-- expect-stdout: READY
-- expect-stdout: closed cleanly
-- expect-status: 130
-- expect-stderr: error: interrupted
-- signal: INT when READY
local closed <close> = setmetatable({}, { __close = function() print("closed " .. host.out("echo cleanly")) end })
table.sort({ 3, 2, 1 }, function()
  host.run("echo READY; sleep 1000; true")
end)
