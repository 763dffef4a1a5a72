-- The part of the runtime that has to be Lua: how engine functions are called, how they wait inside `parallel`,
-- and how a script starts, stops and cleans up.
--
-- Why Lua: a Lua function may yield across pcall, metamethods, iterators and `<close>`, and errors it raises stay
-- the tables they are. Rust only ever returns (true, values), (false, error) or (nil, job).
--
-- Two values travel up through coroutines to whoever runs them, past user code that never sees them:
-- PENDING (with a job: resume me when it is done) and STOP (the program ends: close me).

local native = ...
local create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local raw_close, raw_status, raw_running = coroutine.close, coroutine.status, coroutine.running
local raw_yieldable = coroutine.isyieldable
local enter, leave = native.enter, native.leave
local stdout = io.stdout

-- Shared by the files of the prelude. `live`: branches of `parallel` that can make progress on their own; with
-- one or none an engine call runs inline, because nobody could use the time it takes.
local core = {
  native = native,
  PENDING = {},
  STOP = {},
  live = 0,
  branch = nil, -- the branch that runs now
  chain = nil, -- modules being loaded outside any branch
  roots = setmetatable({}, { __mode = "k" }), -- coroutines a script must take for the main thread
}
local PENDING, STOP, roots = core.PENDING, core.STOP, core.roots

local function finish(done, value, ...)
  if done then
    return value, ...
  elseif done == nil then
    raw_yield(PENDING, value)
    return finish(native.collect(value))
  end
  if native.stopping() then
    core.stop()
  end
  error(value, 0)
end
core.finish = finish

--- Wraps a Rust function: raises its errors, and waits without blocking the other branches.
function core.shim(call, flushes)
  if flushes then
    return function(...)
      stdout:flush()
      return finish(call(core.live > 1 and raw_yieldable(), ...))
    end
  end
  return function(...)
    return finish(call(core.live > 1 and raw_yieldable(), ...))
  end
end

--- Ends the program (the reason is known to Rust): unwinds to the root where that is possible, so that no pcall can
--- hold it up, and raises elsewhere.
function core.stop()
  if raw_yieldable() then
    raw_yield(STOP)
  end
  native.unwind()
  error("the program is ending", 0)
end

--- Closes a suspended coroutine, `<close>` variables innermost first, with interrupts off and an engine whose
--- calls work although the program was cancelled.
function core.dispose(co)
  local before, masked = native.mask()
  native.disarm(co)
  enter(co)
  local ok, err = raw_close(co)
  leave()
  native.unmask(before, masked)
  if not ok then
    native.close_failed(err)
  end
end

local function caught(err)
  return { err = err, where = native.where(), trace = native.traceback() }
end

--- Runs `body(...)` as the main program. Returns "ok" and its values, "error" and what the handler caught, or
--- "stopped" after an interrupt or os.exit.
function core.run(body, ...)
  local root = create(xpcall)
  roots[root] = true
  enter(root)
  local result = table.pack(raw_resume(root, body, caught, ...))
  leave()
  if raw_status(root) == "suspended" then
    core.dispose(root)
    return "stopped"
  elseif not result[1] then
    -- Only the handler itself can fail here: a stack overflow, or no memory.
    return "error", { err = result[2] }
  elseif not result[2] then
    return "error", result[3]
  end
  return "ok", table.unpack(result, 3, result.n)
end

function os.exit(code)
  if code == nil or code == true then
    code = 0
  elseif code == false then
    code = 1
  end
  if math.type(code) ~= "integer" then
    error("bad argument #1 to 'exit' (integer expected, got " .. type(code) .. ")", 2)
  end
  native.exit(code)
  core.stop()
end

core.raw = { resume = raw_resume, yield = raw_yield, status = raw_status, isyieldable = raw_yieldable }
native.load("prelude/coroutine")(core)
native.load("prelude/require")(core)
native.load("prelude/gate")(core)
core.parallel = native.load("prelude/parallel")(core)
native.load("prelude/objects")(core)

return core
