-- Binary chunks can crash the interpreter: nothing loads them.
local binary = string.dump(function() return 1 end)
assert(load(binary) == nil)
assert(load(binary, "x", "b") == nil)
assert(load(binary, "x", "bt") == nil)
local dir <close> = fs.tempdir()
fs.write(dir.path .. "/b.lua", binary)
assert(loadfile(dir.path .. "/b.lua") == nil)
assert(not pcall(dofile, dir.path .. "/b.lua"))
package.path = dir.path .. "/?.lua"
assert(not pcall(require, "b"))
assert(package.loadlib == nil and package.cpath == "")
-- Text does, with an environment, also nil.
assert(load("return x", "c", "t", { x = 5 })() == 5)
assert(load("x = 1", "c", "t", nil))
assert(select("#", load("return ...")(1, nil)) == 2)
