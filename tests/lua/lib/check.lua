-- What many test scripts need: comparisons that say what differs, and the busybox image.
local check = {}

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" or getmetatable(value) then return tostring(value) end
  return json.encode(value)
end

-- Both are the same; tables by what they hold.
function check.same(got, want, what)
  if show(got) ~= show(want) then
    error(("%s: expected\n  %s\ngot\n  %s"):format(what or "value", show(want), show(got)), 2)
  end
end

-- The text contains (plainly) the part.
function check.has(text, part, what)
  if not text:find(part, 1, true) then
    error(("%s: expected to contain\n  %s\ngot\n  %s"):format(what or "text", show(part), show(text)), 2)
  end
end

-- The call fails with this kind and message, and this hint (nil: none). Returns the error.
function check.fails(kind, message, hint, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("expected a failure: " .. message, 2) end
  if type(err) ~= "table" then error("expected an error table, got " .. tostring(err), 2) end
  local got = ("%s | %s | %s"):format(err.kind, err.message, err.hint)
  local want = ("%s | %s | %s"):format(kind, message, hint)
  if got ~= want then error(("expected\n  %s\ngot\n  %s\ncauses: %s"):format(want, got, show(err.causes)), 2) end
  return err
end

-- The busybox image, loaded into this script's own store.
function check.busybox()
  return image.load(host.env.BUSYBOX)[1]
end

-- What a container prints, without the last line end.
function check.out(img, cmd, opts)
  opts = opts or {}
  opts.capture = true
  return (container.run(img, cmd, opts).stdout:gsub("\r?\n$", ""))
end

-- Runs the program itself: global options and arguments; standard output and error are captured.
function check.moonshell(...)
  return host.run({ host.env.MOONSHELL, ... }, { capture = true, check = false })
end

-- Runs a piece of Lua in a process of its own, on this script's store unless `root` says another one; its progress.
function check.again(code, root, env)
  local words = { host.env.MOONSHELL, "--progress", "plain", "-e", code }
  if root then table.insert(words, 2, "--root=" .. root) end
  local result = host.run(words, { capture = true, check = false, env = env })
  if not result.ok then error(("a second process failed: %s%s"):format(result.stdout, result.stderr), 2) end
  return result
end

-- The steps a process ran and those it had in the cache, from its progress.
function check.steps(progress)
  local ran, cached = {}, {}
  for line in progress:gmatch("[^\n]+") do
    -- Steps begin with a capital, other work does not.
    ran[#ran + 1] = line:match "^([%[%u].-): done %([%d.hms]+%)$"
    cached[#cached + 1] = line:match "^([%[%u].-): CACHED$"
  end
  return ran, cached
end

return check
