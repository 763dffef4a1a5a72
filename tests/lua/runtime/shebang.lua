#!/usr/bin/env moonshell
-- expect-status: 1
-- expect-stderr: shebang.lua:4
error("line four")
