-- A Dockerfile's text as a table:
--
--   { file, escape, directives, ending = {comments at the end}, args = {ARG instructions before the first FROM}, stages = {
--     { name, base, platform, index, from = the FROM instruction, steps = {further instructions} }, ... } }
--
-- An instruction has `keyword`, `place` (file, line, last, source), `text` (continuation removed), `comments` before
-- it, `flags` and what dockerfile/instructions.lua reads.

local use = ...
local failure = use "dockerfile.failure"
local heredoc = use "dockerfile.heredoc"
local instructions = use "dockerfile.instructions"
local reader = use "dockerfile.reader"

local parser = {}

local function read_one(source, text, first, last, comments)
  local place = source:place(first, last)
  local item = failure.at(place, instructions.split, text, source.escape)
  -- The hint for an unknown keyword is worth more than one about what follows it.
  local documents = failure.at(place, instructions.may_have_documents, item) and heredoc.of_line(text) or {}
  for index, document in ipairs(documents) do
    item.heredocs[index] = source:document(document, first)
  end
  item.place = source:place(first, source.at - 1)
  item.text, item.comments = text, comments
  return failure.at(item.place, instructions.read, item)
end

local function add(result, item)
  if item.keyword == "FROM" then
    local index = #result.stages
    local stage = { name = item.name, base = item.base, platform = item.flags.platform, index = index, from = item }
    stage.steps = {}
    table.insert(result.stages, stage)
  elseif #result.stages > 0 then
    table.insert(result.stages[#result.stages].steps, item)
  elseif item.keyword == "ARG" then
    table.insert(result.args, item)
  else
    failure.at(item.place, failure.raise, item.keyword .. " stands before the first FROM", "begin with FROM IMAGE")
  end
end

--- Parses a text; `file` is its name in messages.
function parser.parse(text, file)
  file = file or "Dockerfile"
  local source = reader.open(text, file)
  local result = {
    file = file,
    escape = source.escape,
    directives = source.directives,
    args = {},
    stages = {},
  }
  for line, first, last, comments in source.next, source do
    add(result, read_one(source, line, first, last, comments))
  end
  result.ending = source.ending
  if #result.stages == 0 then
    failure.raise(file .. ": there is no FROM", "begin with FROM IMAGE")
  end
  return result
end

--- Parses the instruction of a trigger; `place` is where messages shall say it is.
function parser.trigger(text, place)
  local source = reader.open(text, place.file)
  source.escape = "\\"
  local item
  for line, first, last, comments in source.next, source do
    if item then
      failure.at(place, failure.raise, "a trigger is more than one instruction: " .. text)
    end
    item = read_one(source, line, first, last, comments)
  end
  if not item or item.keyword == "FROM" or item.keyword == "ONBUILD" or item.keyword == "MAINTAINER" then
    failure.at(place, failure.raise, ("'%s' cannot be a trigger"):format(text))
  end
  item.place, item.triggered = place, true
  return item
end

return parser
