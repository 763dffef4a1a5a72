local c <close> = setmetatable({}, { __close = function() error("in close", 0) end })
os.exit(3)
