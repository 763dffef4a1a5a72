-- Of `debug` only what is safe exists.
assert(debug.getmetatable == nil and debug.sethook == nil and debug.setupvalue == nil)
assert(debug.traceback("msg"):find("^msg\nstack traceback:\n"))
assert(debug.traceback():find("debug_library.lua:4", 1, true))
assert(not debug.traceback():find("[moonshell", 1, true))
local thing = {}
assert(debug.traceback(thing) == thing)
assert(debug.getinfo(1).currentline == 8, debug.getinfo(1).currentline)
assert(debug.getinfo(1).short_src:find("debug_library.lua"))
