-- Methods whose body is partly Lua, because it calls a function of the script: errors and waiting pass through it.
-- Each takes the Rust function of its row and returns the method.

local core = ...
local native = core.native

core.wrappers = {}

core.wrappers["State:layer"] = function(layer)
  return function(self, steps, options)
    if type(steps) ~= "function" then
      return layer(self, steps, options)
    end
    -- A mistake in the options shows before any step is taken.
    layer(self, self, options)
    local last = steps(self)
    if not native.same_type(self, last) then
      core.finish(native.bad_layer(last))
    end
    return layer(self, last, options)
  end
end
