-- env: MOONSHELL_PATH=@DIR@/lib
-- Modules may call the engine while they load, in several branches; each is loaded once.
local a, b, c = parallel(function() return require("counted") end, function() return require("counted") end, function()
  return require("relative").output
end)
assert(a == 1 and b == 1 and c == "loaded" and COUNT == 1)
-- Branches that wait for each other's modules do not hang.
local ok, err = pcall(parallel, function() return require("cross_a") end, function() return require("cross_b") end)
assert(not ok and tostring(err):find("requires itself", 1, true), tostring(err))
