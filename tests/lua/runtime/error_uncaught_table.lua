-- expect-status: 1
-- expect-stderr: error: command failed with status 3: exit 3
-- expect-stderr: error_uncaught_table.lua:6
-- expect-stderr: 6 | host.run("exit 3", {capture = true})

host.run("exit 3", {capture = true})
