-- Output that is not captured goes through, in its place among the script's own.
-- expect-stdout: before
-- expect-stdout: inside
-- expect-stdout: after
-- expect-stderr: to the other stream
local check = require "check"
local img = check.busybox()
io.write("before\n")
container.run(img, "echo inside; echo to the other stream >&2")
print("after")
