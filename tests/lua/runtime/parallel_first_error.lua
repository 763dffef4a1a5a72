-- The first error cancels the others, whose `<close>` run (and may use the engine), and is raised as it is.
local log = {}
local function closing(name)
  return setmetatable({}, { __close = function() log[#log + 1] = name .. ":" .. host.out({ "/bin/echo", "closed" }) end })
end
local thing = { any = "table" }
local ok, err = pcall(parallel, function()
  local x <close> = closing("outer")
  coroutine.wrap(function()
    local y <close> = closing("inner")
    host.run("sleep 1000")
  end)()
end, function()
  local z <close> = closing("nested")
  parallel(function()
    local w <close> = closing("deep")
    host.run("sleep 1000")
  end, function() host.run("sleep 1000") end)
end, function()
  host.out("echo start")
  error(thing)
end)
assert(not ok and err == thing, tostring(err))
table.sort(log)
assert(table.concat(log, " ") == "deep:closed inner:closed nested:closed outer:closed", table.concat(log, " "))

-- An engine error keeps its fields.
local ok2, err2 = pcall(parallel, function() host.out("echo why >&2; exit 9") end, function() host.run("sleep 1000") end)
assert(not ok2 and err2.kind == "exit" and err2.exit_code == 9 and err2.stderr == "why\n")
assert(err2.where:find("parallel_first_error.lua:%d+$"))

-- After that everything works again.
assert(host.out("echo fine") == "fine")
