-- env: MOONSHELL_PATH=@DIR@/lib
local m, path = require("relative")
assert(m.name == "relative" and m.path == path and path:find("lib/relative.lua$"))
assert(m.sibling == "sibling and other" and m.output == "loaded")
assert(require("relative") == m and package.loaded.relative == m)
assert(require("package.init").init and require("lib.package").init)
-- The globals are a module too; what is built in stays.
assert(require("moonshell").host == host and require("moonshell").image == image)
assert(require("string") == string)
-- preload, package.loaded, package.searchers
package.preload.pre = function(name, where) return name .. where end
assert(require("pre") == "pre:preload:")
package.loaded.given = "given"
assert(require("given") == "given")
table.insert(package.searchers, function(name)
  if name == "found" then return function() return "by searcher" end end
  return "no luck"
end)
assert(require("found") == "by searcher")
package.loaded.relative = nil
assert(require("relative") ~= m)
assert(package.searchpath("relative", package.path):find("lib/relative.lua$"))
