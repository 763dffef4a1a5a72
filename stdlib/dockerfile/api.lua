-- The API's modules and functions, even where a script has given their names to something else. A test may put
-- others in their place.

local _, core = ...

return setmetatable({}, { __index = core.exports })
