-- expect-stdout: one
-- expect-stdout: two
-- expect-stdout: three
-- Lua's own output is written out before a program writes.
io.write("one\n")
host.run("echo two")
io.write("three\n")
