-- expect-status: 130
-- expect-stdout: READY
-- expect-stdout: gone
-- signal: INT when READY
-- A handle that is being closed is closed whole, and a folder never survives its scope.
local path
local check <close> = setmetatable({}, { __close = function() print(fs.exists(path) and "left" or "gone") end })
local dir <close> = fs.tempdir()
path = dir.path
fs.write(path .. "/file", "x")
host.run("echo READY; sleep 1000; true")
