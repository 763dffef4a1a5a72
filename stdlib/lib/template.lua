-- The template language of --format: text with actions in double braces, in the grammar of Go's text/template
-- (https://pkg.go.dev/text/template) as far as output formats use it: fields, variables, pipelines, literals,
-- parentheses, if / else / range / with / end, trimming dashes, comments, and the functions below.
--
-- A template becomes a tree of Lua functions of a scope { dot =, vars = }; each returns a value, or writes to `out`.

local command = ...
local reader = command.use "template_reader"
local values = command.use "template_functions"
local show, truth, is_list, sorted_keys, wrong =
  values.show, values.truth, values.is_list, values.sorted_keys, values.wrong

-- Texts and actions, in order: { text = } or { action = }.
local function pieces(template)
  local list, start = {}, 1
  while true do
    local open, after = template:find("{{", start, true)
    local text = template:sub(start, (open or 0) - 1)
    if list.trim then
      text, list.trim = text:gsub("^%s+", ""), nil
    end
    if open and template:find("^%-%s", after + 1) then
      text, after = text:gsub("%s+$", ""), after + 1
    end
    if text ~= "" then
      list[#list + 1] = { text = text }
    end
    if not open then
      return list
    end
    local close = template:find("}}", after + 1, true)
    if not close then
      wrong("'{{' without '}}'")
    end
    local action = template:sub(after + 1, close - 1)
    if action:find("%s%-$") then
      action, list.trim = action:sub(1, -3), true
    end
    if not action:find("^%s*/%*.*%*/%s*$") then
      list[#list + 1] = { action = action }
    end
    start = close + 2
  end
end

local function inner(scope, value)
  return { dot = value, vars = setmetatable({}, { __index = scope.vars, __newindex = rawset }) }
end

local function run(nodes, scope, out)
  for _, node in ipairs(nodes) do
    node(scope, out)
  end
end

local parse

local function conditional(read, state, keeps_dot)
  local names, value = read:variables(), read:pipeline()
  local body, other = parse(state, true)
  return function(scope, out)
    local found = value(scope)
    local within = inner(scope, (keeps_dot or not truth(found)) and scope.dot or found)
    if names[1] then
      within.vars[names[1]] = found
    end
    run(truth(found) and body or other, within, out)
  end
end

local function loop(read, state)
  local names, value = read:variables(), read:pipeline()
  local body, other = parse(state, true)
  return function(scope, out)
    local list = value(scope)
    if not truth(list) then
      return run(other, scope, out)
    elseif type(list) ~= "table" then
      wrong("'range' takes a list or a map, got " .. show(list))
    end
    local keys = is_list(list) and list or sorted_keys(list)
    for index, key in ipairs(keys) do
      local item = keys == list and key or list[key]
      local within = inner(scope, item)
      if names[2] then
        within.vars[names[1]] = keys == list and index - 1 or key
        within.vars[names[2]] = item
      elseif names[1] then
        within.vars[names[1]] = item
      end
      run(body, within, out)
    end
  end
end

local function statement(read)
  local names = read:variables()
  local value = read:pipeline()
  if names[1] then
    return function(scope)
      scope.vars[names[1]] = value(scope)
    end
  end
  return function(scope, out)
    out[#out + 1] = show(value(scope))
  end
end

-- The nodes up to the end of the block, and those after its `else`.
function parse(state, within)
  local nodes, other, current = {}, {}, nil
  current = nodes
  while true do
    state.at = state.at + 1
    local piece = state.list[state.at]
    if not piece then
      if within then
        wrong("'{{end}}' is missing")
      end
      return nodes, other
    elseif piece.text then
      current[#current + 1] = function(_, out)
        out[#out + 1] = piece.text
      end
    else
      local read = reader(piece.action)
      if read:take("end") then
        if not within then
          wrong("'{{end}}' without a beginning")
        end
        return nodes, other
      elseif read:take("else") then
        current = other
        if read:take("if") then
          -- The rest, up to the one `end`, is a condition of its own.
          current[1] = conditional(read, state, true)
          return nodes, other
        end
      elseif read:take("if") then
        current[#current + 1] = conditional(read, state, true)
      elseif read:take("with") then
        current[#current + 1] = conditional(read, state, false)
      elseif read:take("range") then
        current[#current + 1] = loop(read, state)
      else
        current[#current + 1] = statement(read)
      end
      if not read:done() then
        wrong("unexpected '" .. tostring(read:peek().value) .. "' in '{{" .. piece.action .. "}}'")
      end
    end
  end
end

--- Compiles a template: a function from an object to text.
return function(text)
  local nodes = parse({ list = pieces(text), at = 0 }, false)
  return function(object)
    local out = {}
    run(nodes, { dot = object, vars = { ["$"] = object } }, out)
    return table.concat(out)
  end
end
