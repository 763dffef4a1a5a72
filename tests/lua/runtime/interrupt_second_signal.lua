-- expect-status: 130
-- expect-stdout: READY
-- expect-stdout: READY
-- signal: INT when READY
-- One C call cannot be interrupted, nor can clean-up: the second signal ends the process at once.
local closed <close> = setmetatable({}, { __close = function()
  io.stdout:write("READY\n")
  io.stdout:flush()
  while true do end
end })
io.stdout:write("READY\n")
io.stdout:flush()
while true do end
