-- fail: raises an error as the built-in functions do, for libraries.
--
--   local fail = require "fail"
--   fail("invalid_argument", "no such flavour: " .. name, { hint = "vanilla and lemon are there", subject = name })
--
-- The error is a table with `kind`, `message` and the fields given; tostring() shows the message.

local _, core = ...

--- Raises. `kind` is one of not_found, already_exists, in_use, invalid_argument, unsupported, permission, integrity,
--- network, exit, timeout.
return function(kind, message, fields)
  local err = { kind = kind, message = message, causes = {} }
  for key, value in pairs(fields or {}) do
    err[key] = value
  end
  err.where = core.native.where()
  error(setmetatable(err, core.failure), 0)
end
