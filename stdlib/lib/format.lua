-- --format: `json`, `table`, `table TEMPLATE`, a template with {{.Fields}}, or a Lua expression over the object.

local command = ...
local template = command.use "template"

local format = {}

--- The flag, with an optional short name.
function format.flag(short)
  return {
    long = "format",
    short = short,
    value = "FORMAT",
    help = "json, table, a template such as '{{.ID}}', or a Lua expression such as 'c.name'",
  }
end

-- `\t` and `\n` as typed in a shell.
local function unescaped(text)
  return (text:gsub("\\([tn])", { t = "\t", n = "\n" }))
end

-- A row whose misspelt fields are errors; `known` has every field there is.
local function strict(fields, known)
  return setmetatable({}, {
    __index = function(_, name)
      local value = fields[name]
      if value == nil and not known[name] then
        local names = {}
        for field in pairs(known) do
          names[#names + 1] = field
        end
        table.sort(names)
        local near = command.nearest(name, names)
        command.fail("there is no field '" .. name .. "' to show", {
          hint = near and "did you mean '" .. near .. "'?" or "fields: " .. table.concat(names, ", "),
        })
      end
      return value
    end,
    __pairs = function()
      return pairs(fields)
    end,
  })
end

local function plain(fields)
  local values = {}
  for name, value in pairs(fields) do
    if type(value) ~= "function" then
      values[name] = value
    end
  end
  return values
end

local function shown(value)
  if type(value) == "table" and not (getmetatable(value) or {}).__tostring then
    return json.encode(value)
  end
  return tostring(value)
end

--- Compiles a Lua expression: a function from an object (`c`, `i` or `it` in the expression) to text.
function format.expression(text)
  local names = setmetatable({}, { __index = _G })
  local body, err = load("return " .. text, "=format", "t", names)
  if not body then
    command.fail("invalid format '" .. text .. "': " .. err:gsub("^format:1: ", ""), {
      hint = "write json, table, a template such as '{{.ID}}', or a Lua expression such as 'c.name'",
    })
  end
  return function(object)
    names.c, names.i, names.it = object, object, object
    return shown(body())
  end
end

local function cells(text)
  local row = {}
  for cell in (text .. "\t"):gmatch("([^\t]*)\t") do
    row[#row + 1] = cell
  end
  return row
end

local function print_grid(headings, rows)
  if headings or #rows > 0 then
    command.print(command.grid(headings, rows))
  end
end

local function print_table(rows, spec)
  local headings, lines = {}, {}
  for index, name in ipairs(spec.columns) do
    headings[index] = spec.headings[name]
  end
  for number, row in ipairs(rows) do
    local line = {}
    for index, name in ipairs(spec.columns) do
      line[index] = tostring(row.fields[name])
    end
    lines[number] = line
  end
  print_grid(headings, lines)
end

-- A method of a row, such as `{{.Label "x"}}`, is headed by its argument.
local function headings_of(spec)
  local headings = {}
  for name, heading in pairs(spec.headings) do
    headings[name] = heading
  end
  for _, name in ipairs(spec.methods or {}) do
    headings[name] = function(argument)
      return tostring(argument)
    end
  end
  return headings
end

local function known_fields(spec)
  local known = {}
  for name in pairs(spec.headings) do
    known[name] = true
  end
  for _, name in ipairs(spec.methods or {}) do
    known[name] = true
  end
  return known
end

local function print_template(rows, spec, text, as_table)
  local show, known = template(unescaped(text)), known_fields(spec)
  if not as_table then
    for _, row in ipairs(rows) do
      command.print(show(strict(row.fields, known)))
    end
    return
  end
  local lines = {}
  for index, row in ipairs(rows) do
    lines[index] = cells(show(strict(row.fields, known)))
  end
  print_grid(cells(show(strict(headings_of(spec), known))), lines)
end

--- Prints rows, each { object =, fields = { ID = ... } }. `spec` has
---   format    what the user asked for, or nil
---   headings  every field and its heading
---   columns   the fields of the default table
---   methods   fields that are functions
---   quiet     the one field to print, when -q was given
function format.rows(rows, spec)
  local asked = spec.format
  if spec.quiet and (not asked or asked == "table") then
    for _, row in ipairs(rows) do
      command.print(row.fields[spec.quiet])
    end
  elseif not asked or asked == "" or asked == "table" then
    print_table(rows, spec)
  elseif asked == "json" then
    for _, row in ipairs(rows) do
      command.print(json.encode(plain(row.fields)))
    end
  elseif asked:find("^table%s") then
    print_template(rows, spec, asked:gsub("^table%s+", ""), true)
  elseif asked:find("{{", 1, true) then
    print_template(rows, spec, asked, false)
  else
    local show = format.expression(asked)
    for _, row in ipairs(rows) do
      command.print(show(row.object))
    end
  end
end

--- Prints objects as `inspect` does: each { object =, details = }, a list of all details when no format is given.
function format.details(items, asked)
  if not asked or asked == "" or asked == "json" then
    local list = {}
    for index, item in ipairs(items) do
      list[index] = item.details
    end
    command.print(#list > 0 and json.encode(list, { pretty = not asked or asked == "" }) or "[]")
    return
  end
  local show
  if asked:find("{{", 1, true) then
    local compiled = template(unescaped(asked))
    show = function(item)
      return compiled(item.details)
    end
  else
    local compiled = format.expression(asked)
    show = function(item)
      return compiled(item.object)
    end
  end
  for _, item in ipairs(items) do
    command.print(show(item))
  end
end

return format
