-- Results in order, one per function; a list gives a list; nils keep their place.
local r = table.pack(parallel(function() return 1, 2 end, function() end, function() return false end))
assert(r.n == 3 and r[1] == 1 and r[2] == nil and r[3] == false)
local list = parallel({ function() return "a" end, function() return "b" end })
assert(#list == 2 and list[1] == "a" and list[2] == "b")
assert(#parallel({}) == 0)
local ok, err = pcall(parallel, function() end, 5)
assert(not ok and err.kind == "invalid_argument")
assert(tostring(err) == "parallel: argument 2 must be a function, got number", tostring(err))
