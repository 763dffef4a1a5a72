-- The coroutine library with a tunnel: an engine call inside a user's coroutine that has to wait suspends the
-- whole branch, not the coroutine, so `resume` and `wrap` never show the user a half-finished call.

local core = ...
local native, PENDING, STOP, roots = core.native, core.PENDING, core.STOP, core.roots
local raw_resume, raw_yield, raw_close = coroutine.resume, coroutine.yield, coroutine.close
local raw_status, raw_running, raw_yieldable = coroutine.status, coroutine.running, coroutine.isyieldable
local create = coroutine.create
local enter, leave = native.enter, native.leave

-- Coroutines that are suspended only because something inside them waits for the engine.
local waiting = setmetatable({}, { __mode = "k" })

local guard = {
  __close = function(self)
    waiting[self.co] = nil
    if self.armed then
      core.dispose(self.co)
    end
  end,
}

-- Waits on behalf of `co`. When this coroutine is closed meanwhile, so is `co`.
local function forward(co, token, job)
  waiting[co] = true
  local keep <close> = setmetatable({ co = co, armed = true }, guard)
  if token == PENDING then
    raw_yield(PENDING, job)
    keep.armed = false
    return
  end
  -- The program ends. Where nothing can be yielded, closing `co` and raising is all that is left.
  core.stop()
end

local left

local function after(co, stopping, ...)
  local ok, token, job = ...
  if ok then
    if token == PENDING then
      forward(co, token, job)
      enter(co)
      return left(co, raw_resume(co))
    elseif token == STOP or (stopping and raw_status(co) == "suspended") then
      forward(co, STOP)
    end
  end
  return ...
end

function left(co, ...)
  return after(co, leave(), ...)
end

local function resume(co, ...)
  if waiting[co] then
    return false, "cannot resume non-suspended coroutine"
  end
  enter(co)
  return left(co, raw_resume(co, ...))
end

-- Called as a tail call, so that level 2 is whoever called the wrapped function: a string gets its position, as in
-- the standard library.
local function values(co, ok, ...)
  if ok then
    return ...
  end
  local err = (...)
  if raw_status(co) == "dead" then
    local closed, other = raw_close(co)
    err = closed and err or other
  end
  error(err, 2)
end

coroutine.resume = resume

function coroutine.wrap(f)
  local co = create(f)
  return function(...)
    return values(co, resume(co, ...))
  end
end

function coroutine.close(co)
  if waiting[co] then
    error("cannot close a normal coroutine", 2)
  end
  -- Protected, so that a wrong argument cannot leave the wrong coroutine marked as running.
  enter(co)
  local called, ok, err = pcall(raw_close, co)
  leave()
  if not called then
    error(ok, 2)
  elseif ok then
    return true
  end
  return false, err
end

function coroutine.status(co)
  if waiting[co] then
    return "normal"
  end
  return raw_status(co)
end

function coroutine.running()
  local co, main = raw_running()
  return co, main or roots[co] == true
end

function coroutine.isyieldable(co)
  co = co or raw_running()
  return raw_yieldable(co) and not roots[co]
end

function coroutine.yield(...)
  if roots[raw_running()] then
    error("attempt to yield from outside a coroutine", 2)
  end
  return raw_yield(...)
end
