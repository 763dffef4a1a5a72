local M = { name = ..., path = select(2, ...) }
M.sibling = require("deep.sibling")
M.output = host.out("echo loaded")
return M
