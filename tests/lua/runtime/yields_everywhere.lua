-- Every context in which an engine call has to wait inside `parallel`: two branches each, so that nothing runs inline.
local function both(f)
  local a, b = parallel(f, f)
  assert(a == b, "branches differ: " .. tostring(a) .. " and " .. tostring(b))
  return a
end
local function slow(text)
  return host.out({ "/bin/echo", text })
end

local contexts = {}

function contexts.pcall()
  local ok, value = pcall(slow, "x")
  return ok and value
end

function contexts.pcall_error()
  local ok, err = pcall(host.out, "exit 4")
  return not ok and err.kind .. err.exit_code
end

function contexts.xpcall()
  return select(2, xpcall(slow, error, "x"))
end

function contexts.xpcall_handler()
  return select(2, xpcall(error, function(e) return slow(e) end, "handled"))
end

function contexts.metamethods()
  local meta = {}
  meta.__index = function(_, k) return slow(k) end
  meta.__newindex = function(t, k, v) rawset(t, k, slow(v)) end
  meta.__call = function(_, v) return slow(v) end
  meta.__add = function() return slow("add") end
  meta.__concat = function() return slow("concat") end
  meta.__eq = function() return slow("eq") == "eq" end
  meta.__lt = function() return slow("lt") == "lt" end
  meta.__len = function() return slow("len") end
  meta.__pairs = function(t) slow("pairs") return next, { k = 1 } end
  local a, b = setmetatable({}, meta), setmetatable({}, meta)
  a.field = "set"
  local keys = ""
  for k in pairs(a) do keys = keys .. k end
  return table.concat({ a.index, rawget(a, "field"), a("call"), a + b, a .. b, tostring(a == b), tostring(a < b), #a, keys }, " ")
end

function contexts.iterator()
  local n = 0
  local words = {}
  for word in function() n = n + 1 return n < 4 and slow("w" .. n) or nil end do words[#words + 1] = word end
  return table.concat(words)
end

function contexts.closing_value_of_for()
  local closed
  local closer = setmetatable({}, { __close = function() closed = slow("closed") end })
  for _ in function(_, i) return not i or nil end, nil, nil, closer do end
  return closed
end

function contexts.close_on_exit()
  local closed
  do
    local x <close> = setmetatable({}, { __close = function() closed = slow("closed") end })
  end
  return closed
end

function contexts.close_on_return()
  local closed
  local function f()
    local x <close> = setmetatable({}, { __close = function() closed = slow("closed") end })
    return 1
  end
  f()
  return closed
end

function contexts.close_on_error()
  local closed
  pcall(function()
    local x <close> = setmetatable({}, { __close = function() closed = slow("closed") end })
    error("x")
  end)
  return closed
end

function contexts.table_sort()
  local list = { "b", "a", "c" }
  table.sort(list, function(x, y) return slow(x) < slow(y) end)
  return table.concat(list)
end

function contexts.gsub()
  return (("ab"):gsub(".", function(c) return slow(c .. c) end))
end

function contexts.tostring()
  return tostring(setmetatable({}, { __tostring = function() return slow("shown") end }))
end

function contexts.load_reader()
  local parts = { "return ", "7" }
  local i = 0
  return load(function() i = i + 1 return parts[i] and slow(parts[i]) .. " " end)()
end

function contexts.finalizer()
  local seen
  setmetatable({}, { __gc = function() seen = slow("collected") end })
  collectgarbage()
  return seen
end

function contexts.dofile()
  local dir <close> = fs.tempdir()
  fs.write(dir.path .. "/f.lua", "return host.out('echo dofile')")
  return dofile(dir.path .. "/f.lua") .. assert(loadfile(dir.path .. "/f.lua"))()
end

local expected = {
  pcall = "x", pcall_error = "exit4", xpcall = "x", xpcall_handler = "handled", iterator = "w1w2w3",
  metamethods = "index set call add concat true true len k",
  closing_value_of_for = "closed", close_on_exit = "closed", close_on_return = "closed", close_on_error = "closed",
  table_sort = "abc", gsub = "aabb", tostring = "shown", load_reader = 7, finalizer = "collected",
  dofile = "dofiledofile",
}
for name, f in pairs(contexts) do
  local got = both(f)
  assert(got == expected[name], name .. ": " .. tostring(got))
  assert(f() == expected[name], name .. " outside parallel")
end
