-- The driver of the command line, and the table `command` that every command module is given:
--
--   local command = ...
--   return {
--     summary = "Say hello",
--     words = { { name = "who", optional = true } },
--     flags = { { long = "loud", short = "l", help = "Shout" } },
--     run = function(args, flags)
--       command.print(flags.loud and "HELLO" or "hello", args.who or "world")
--     end,
--   }
--
-- `run` returns the exit status (nothing is 0) and raises errors. How words and flags are described is told in
-- src/commands/declaration.rs; `args` has the words by number and by name, `flags` the given flags by long name, with
-- underscores for dashes.

local native = ...
local command = { version = native.version, executable = native.executable }

local EPIPE = 32

local function finish(ok, value, ...)
  if not ok then
    error(value, 0)
  end
  return value, ...
end

-- Output ----------------------------------------------------------------------------------------------------------

-- Whoever reads has seen enough: end as a program does that SIGPIPE kills, without a word.
local function written(ok, message, errno)
  if not ok then
    if errno == EPIPE then
      os.exit(141)
    end
    error({ kind = "os", errno = errno, message = "write standard output: " .. tostring(message) }, 0)
  end
end

--- Writes text as it is.
function command.write(text)
  written(io.stdout:write(text))
end

--- Writes values with blanks between them, and a line end.
function command.print(...)
  local texts = table.pack(...)
  for index = 1, texts.n do
    texts[index] = tostring(texts[index])
  end
  command.write(table.concat(texts, " ") .. "\n")
end

--- Writes out what is buffered: before waiting for something.
function command.flush()
  written(io.stdout:flush())
end

--- A table without lines. `headings` may be nil; cells are strings.
function command.grid(headings, rows)
  return native.grid(headings, rows)
end

--- Prints an error and goes on.
command.report = native.report
--- Prints a note.
command.warning = native.warning
--- Shows no progress from now on.
command.quiet = native.quiet
--- Shows progress in another way from now on: "auto", "plain", "none" or "json".
command.show_progress = native.show_progress
--- Whether "stdin" or "stdout" is a terminal.
command.is_terminal = native.is_terminal
--- The known word that is nearest to a misspelt one, or nil.
command.nearest = native.nearest

--- Ends the command with an error. `more` may have `hint`, `kind` and `exit_code`.
function command.fail(message, more)
  local err = { kind = "invalid_argument", message = message }
  for key, value in pairs(more or {}) do
    err[key] = value
  end
  error(err, 0)
end

--- Asks for a password on the terminal.
function command.password(prompt)
  return finish(native.password(prompt))
end

--- Waits; Ctrl-C ends it.
function command.wait(seconds)
  finish(native.wait(seconds))
end

--- Seconds since 1970, with a fraction.
function command.now()
  return native.now()
end

--- Seconds of a time span such as "1m30s".
function command.seconds(text)
  return finish(native.seconds(text))
end

--- Bytes of a size such as "512m".
function command.bytes(text)
  return finish(native.bytes(text))
end

-- Many things ------------------------------------------------------------------------------------------------------

--- Calls `act` with each name in turn. An error is printed and does not stop the others; the status tells of it.
function command.each(names, act)
  local status = 0
  for _, name in ipairs(names) do
    local ok, err = pcall(act, name)
    if not ok then
      command.flush()
      native.report(err)
      status = 1
    end
  end
  return status
end

local AT_ONCE = 50 -- each call has a thread

--- As `each`, at the same time; what the calls return is printed in the order of the names.
function command.all(names, act)
  local status = 0
  for first = 1, #names, AT_ONCE do
    local branches = {}
    for _, name in ipairs { table.unpack(names, first, math.min(first + AT_ONCE - 1, #names)) } do
      branches[#branches + 1] = function()
        return table.pack(pcall(act, name))
      end
    end
    local failed = command.each(parallel(branches), function(result)
      if not result[1] then
        error(result[2], 0)
      elseif result[2] ~= nil then
        command.print(result[2])
      end
    end)
    status = math.max(status, failed)
  end
  return status
end

-- Modules ----------------------------------------------------------------------------------------------------------

local libraries = {}

--- A piece that commands share: stdlib/lib/NAME.lua.
function command.use(name)
  if libraries[name] == nil then
    libraries[name] = finish(native.library(name))(command)
  end
  return libraries[name]
end

--- The table of another command: "ps", "image/inspect".
function command.load(path)
  local module = finish(native.module(path))(command)
  if type(module) ~= "table" or type(rawget(module, "run")) ~= "function" then
    command.fail("command '" .. path .. "' does not return a table with a function 'run'")
  end
  return module
end

local function shown(path)
  return (path:gsub("/", " "))
end

--- Runs another command with a list of words, and returns its exit status.
function command.run(path, words)
  local module = command.load(path)
  local status, args, flags = finish(native.parse(shown(path), module, words))
  if not status then
    return module.run(args, flags)
  elseif args then
    command.write(args)
  end
  return status
end

local driver = {}

--- Runs a command as the program, and returns its exit status.
function driver.main(path, words)
  local ok, result = pcall(command.run, path, words)
  if not ok then
    if type(result) == "table" and result.kind == "os" and result.errno == EPIPE then
      os.exit(141)
    end
    -- What was printed stands before the error.
    io.stdout:flush()
    error(result, 0)
  end
  command.flush()
  return result
end

--- Prints the help text of a command.
function driver.help(path)
  command.write(finish(native.help(shown(path), command.load(path))))
  command.flush()
end

local function summary(path)
  local ok, module = pcall(command.load, path)
  return ok and tostring(module.summary) or "(cannot be loaded)"
end

local function list(rows)
  local width = 0
  for _, row in ipairs(rows) do
    width = math.max(width, #row[1])
  end
  for _, row in ipairs(rows) do
    command.write(string.format("  %-" .. width .. "s  %s\n", row[1], summary(row[2])))
  end
end

--- Prints the commands of a group.
function driver.group(name)
  command.write("Usage: moonshell " .. name .. " COMMAND\n\nCommands:\n")
  list(native.group(name))
  command.write("\n`moonshell " .. name .. " COMMAND --help` tells more.\n")
  command.flush()
end

--- Prints all commands.
function driver.overview(groups)
  local rows = {}
  for _, name in ipairs(native.names()) do
    rows[#rows + 1] = { name, name }
  end
  command.write("\nCommands (`moonshell COMMAND --help` tells more):\n")
  list(rows)
  command.write("\nGroups, which have commands of their own: " .. table.concat(groups, ", ") .. "\n")
  command.flush()
end

return driver
