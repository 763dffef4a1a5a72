-- parallel: runs functions at the same time and returns when all have ended.
--
-- Each function is a branch: a coroutine with a cancel token of its own. One loop, at the outermost `parallel`,
-- resumes branches as their engine calls complete. A nested `parallel` adds its branches to the same loop and
-- waits; where it cannot wait (inside a sort comparator, say) it runs the loop itself.

local core = ...
local native, PENDING, roots = core.native, core.PENDING, core.roots
local create, raw_resume, raw_yield = coroutine.create, core.raw.resume, core.raw.yield
local raw_status, raw_yieldable = core.raw.status, core.raw.isyieldable
local enter, leave = native.enter, native.leave

local jobs = {} -- job number -> branch that waits for it
local pending = 0 -- how many there are
local ready = { first = 1, last = 0 }

local function push(branch)
  ready.last = ready.last + 1
  ready[ready.last] = branch
end
core.push = push

local function pop()
  if ready.first > ready.last then
    return nil
  end
  local branch = ready[ready.first]
  ready[ready.first] = nil
  ready.first = ready.first + 1
  return branch
end

local function settle(branch)
  local group = branch.group
  branch.done = true
  native.release(branch.context)
  if not branch.child then
    core.live = core.live - 1
  end
  group.left = group.left - 1
  if group.left == 0 and group.waiter then
    push(group.waiter)
  end
end

-- Cancels what runs. Nothing is closed here: a branch is closed once its call has ended, inner groups first.
local function cancel(group)
  for _, branch in ipairs(group.branches) do
    if not branch.done and not branch.cancelled then
      branch.cancelled = true
      native.cancel(branch.context)
      if branch.child and branch.child.left > 0 then
        cancel(branch.child)
      elseif branch.idle then
        push(branch)
      end
    end
  end
end

local function fail(group, err)
  if not group.failed then
    group.failed, group.error = true, err
    cancel(group)
  end
end

-- Runs a branch until it waits or ends. True when the whole program has to end.
local function step(branch)
  local outer, context = core.branch, native.context(branch.context)
  core.branch = branch
  enter(branch.co)
  local ok, first, second = raw_resume(branch.co)
  leave()
  core.branch = outer
  native.context(context)
  if not ok then
    settle(branch)
    fail(branch.group, first)
  elseif raw_status(branch.co) == "dead" then
    branch.group.results[branch.index] = first
    settle(branch)
  elseif first == PENDING then
    if type(second) == "number" then
      jobs[second], pending = branch, pending + 1
    end
  else
    push(branch)
    return true
  end
  return false
end

local function halt(group)
  if not group.stopped then
    group.stopped, group.failed = true, true
    cancel(group)
  end
end

local function run_until_done(group)
  while group.left > 0 do
    local branch = pop()
    if branch and branch.cancelled then
      if not branch.done then
        core.dispose(branch.co)
        settle(branch)
      end
    elseif branch then
      if step(branch) then
        halt(group)
      end
    elseif pending > 0 then
      local job = native.wait()
      push(jobs[job])
      jobs[job], pending = nil, pending - 1
    elseif not core.break_deadlock() then
      error("parallel: every branch waits for another", 0)
    end
    if native.stopping() then
      halt(group)
    end
  end
end

local function start(functions, count)
  local group = { left = count, branches = {}, results = {} }
  local chain = core.branch or core
  for index = 1, count do
    local co = create(functions[index])
    local branch = { co = co, group = group, index = index, context = native.branch(), chain = chain.chain }
    roots[co] = true
    group.branches[index] = branch
    push(branch)
  end
  core.live = core.live + count
  return group
end

local function wait(group)
  local parent = core.branch
  if parent and raw_yieldable() then
    group.waiter, parent.child = parent, group
    core.live = core.live - 1
    raw_yield(PENDING, group)
    core.live = core.live + 1
    parent.child = nil
  else
    run_until_done(group)
  end
  if group.stopped then
    core.stop()
  elseif group.failed then
    error(group.error, 0)
  end
end

local function parallel(first, ...)
  local list = type(first) == "table" and select("#", ...) == 0
  local functions = list and first or { first, ... }
  local count = list and #first or select("#", ...) + 1
  for index = 1, count do
    if type(functions[index]) ~= "function" then
      core.finish(native.bad_branch(index, functions[index]))
    end
  end
  local group = start(functions, count)
  wait(group)
  if list then
    return group.results
  end
  return table.unpack(group.results, 1, count)
end

return parallel
