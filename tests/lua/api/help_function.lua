-- expect-stdout: fs.append(path, text)
-- expect-stdout: 
-- expect-stdout:   Appends to a file; makes it first if need be.
-- expect-stdout: 
-- expect-stdout: Arguments:
-- expect-stdout:   path  The file. (string)
-- expect-stdout:   text  What to add. (string)
-- expect-stdout: 
-- expect-stdout: Errors: not_found, permission
-- expect-stdout: 
-- expect-stdout: Example:
-- expect-stdout:   fs.append("/tmp/log", "done\n")
help(fs.append)
local ok, err = pcall(help, "fs.apend")
assert(not ok and err.kind == "not_found" and err.hint == "did you mean 'fs.append'?")
