error(setmetatable({}, { __tostring = function() return "shown by tostring" end }))
