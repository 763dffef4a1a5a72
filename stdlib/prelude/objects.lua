-- Metatables made in Lua, so that a misspelt name raises an error table: error values, module tables, handles.

local core = ...
local native = core.native

local failure = { __name = "error" }

function failure.__tostring(err)
  local text = tostring(err.message)
  for _, cause in ipairs(err.causes or {}) do
    text = text .. ": " .. cause
  end
  return text
end

-- An error is as good as its text: `"failed: " .. err` works.
function failure.__concat(left, right)
  return tostring(left) .. tostring(right)
end

-- Two errors are equal when they report the same failure.
function failure.__eq(left, right)
  return left.kind == right.kind
    and left.op == right.op
    and left.subject == right.subject
    and tostring(left) == tostring(right)
end

core.failure = failure

--- A module table that suggests a name for a misspelt one and cannot be overwritten by accident.
function core.module(name, functions)
  return setmetatable(functions, {
    __name = "module " .. name,
    __index = function(_, key)
      core.finish(native.no_function(name, key))
    end,
    __tostring = function()
      return "module " .. name
    end,
  })
end

--- `__index` and `__newindex` of a handle type. `get` returns (true, found, value).
function core.class(name, methods, get)
  local function index(self, key)
    local method = methods[key]
    if method then
      return method
    end
    local found, value = core.finish(get(self, key))
    if not found then
      core.finish(native.no_member(name, key))
    end
    return value
  end
  local function newindex(_, key)
    core.finish(native.read_only(name, key))
  end
  return index, newindex
end

--- `__close` of a handle type. What is being given back is given back whole: the first Ctrl-C waits for it.
function core.closer(method)
  return function(self)
    local before, masked = native.mask()
    local ok, err = pcall(method, self)
    native.unmask(before, masked)
    native.arm()
    if not ok then
      error(err, 0)
    end
  end
end
