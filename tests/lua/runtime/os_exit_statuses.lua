-- os.exit takes what the standard one takes.
local me = "/proc/" .. fs.read("/proc/self/stat"):match("^%d+") .. "/exe"
local function status(code)
  return host.run({ me, "-e", code }, { check = false, capture = true }).exit_code
end
assert(status("os.exit()") == 0)
assert(status("os.exit(true)") == 0)
assert(status("os.exit(false)") == 1)
assert(status("os.exit(3, true)") == 3)
assert(status("os.exit(256 + 4)") == 4)
assert(status("table.sort({2, 1, 3}, function() os.exit(5) end)") == 5)
assert(status("local x <close> = setmetatable({}, {__close = function() os.exit(6) end})") == 6)
assert(status("error('x')") == 1)
assert(status("return 5") == 0)
assert(not pcall(os.exit, {}))
