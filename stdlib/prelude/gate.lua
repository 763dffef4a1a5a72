-- A gate: branches of `parallel` wait at it until one of them opens it.
--
-- Who waits must be sure that a running branch opens it in the end, or fails, which cancels those that wait.

local core = ...
local raw_yield = core.raw.yield

--- Makes a closed gate. `open()` lets everyone pass, now and later; `pass()` waits until then.
function core.gate()
  local opened, waiting = false, {}
  local function open()
    opened = true
    for _, branch in ipairs(waiting) do
      core.push(branch)
    end
    waiting = {}
  end
  local function pass()
    while not opened do
      local branch = core.branch
      if not branch then
        error("nobody is left to open this gate", 2)
      end
      waiting[#waiting + 1] = branch
      branch.idle = true
      raw_yield(core.PENDING, waiting)
      branch.idle = false
    end
  end
  return open, pass
end
