-- The lines of a Dockerfile: byte order mark, line ends, directives, comments, continuation, here-documents.
--
--   # syntax=docker/dockerfile:1     a directive: these come first
--   # comment
--   RUN make \                       the escape at the end of a line joins it with the next one
--     # comment                      vanishes
--     install
--   COPY <<EOF /etc/motd             the lines up to EOF belong to the instruction
--   hello
--   EOF

local use = ...
local failure = use "dockerfile.failure"
local words = use "dockerfile.words"

local Reader = {}
Reader.__index = Reader

local DIRECTIVES = { syntax = true, escape = true, check = true }

-- Lines with their ends.
local function lines_of(text)
  text = text:gsub("^\239\187\191", "")
  local lines = {}
  for line in text:gmatch "[^\n]*\n?" do
    if line ~= "" then
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function bare(line)
  return (line:gsub("[\r\n]+$", ""))
end

local function is_comment(line)
  return line:find "^%s*#" ~= nil
end

function Reader:place(first, last)
  local source = {}
  for index = first, math.min(last or first, #self.lines) do
    source[#source + 1] = bare(self.lines[index])
  end
  return { file = self.file, line = first, last = last or first, source = source }
end

-- Reads the directives at the top. Any other line ends them.
function Reader:read_directives()
  local at = 1
  while at <= #self.lines do
    local line = words.trim(self.lines[at])
    local name, value = line:match "^#%s*(%a%w*)%s*=%s*(.-)$"
    name = name and name:lower()
    if not DIRECTIVES[name] or value == "" then
      break
    end
    failure.at(self:place(at), function()
      if self.directives[name] then
        failure.raise(("only one '%s' directive can be used"):format(name))
      end
      if name == "escape" and value ~= "\\" and value ~= "`" then
        failure.raise(("invalid escape '%s'"):format(value), "it may be \\ or `")
      end
    end)
    self.directives[name] = value
    at = at + 1
  end
  self.escape = self.directives.escape or "\\"
  self.first = at
end

-- The line without the escape at its end; nil when it has none there.
function Reader:continued(line)
  local body = line:match "^(.-)[ \t]*$"
  if body:sub(-1) ~= self.escape or body:sub(-2, -2) == self.escape then
    return nil
  end
  return body:sub(1, -2)
end

--- The next instruction's text, its first and last line, and the comments before and in it; nil at the end. `ending`
-- has the comments behind the last one then.
function Reader:next()
  local comments = {}
  while self.at <= #self.lines do
    local first = self.at
    local line = bare(self.lines[first])
    self.at = first + 1
    if is_comment(line) then
      if first >= self.first then
        comments[#comments + 1] = line:match "^%s*#%s?(.-)%s*$"
      end
    elseif line:find "%S" then
      local text = self:joined((line:gsub("^%s+", "")), comments)
      if text ~= "" then
        return text, first, self.at - 1, comments
      end
    end
  end
  self.ending = comments
end

-- A line with those that continue it; comments between them go to `comments`.
function Reader:joined(line, comments)
  local parts = {}
  local body = self:continued(line)
  while body do
    parts[#parts + 1] = body
    local following
    repeat
      following = self.lines[self.at] and bare(self.lines[self.at])
      self.at = following and self.at + 1 or self.at
      local comment = following and following:match "^%s*#%s?(.-)%s*$"
      comments[#comments + 1] = comment
    until not following or (following:find "%S" and not comment)
    if not following then
      return table.concat(parts)
    end
    line = following
    body = self:continued(line)
  end
  parts[#parts + 1] = line
  return table.concat(parts)
end

--- Reads the lines of a here-document; `first` is where its instruction begins.
function Reader:document(wanted, first)
  local content, begin = {}, self.at
  while self.at <= #self.lines do
    local line = self.lines[self.at]
    self.at = self.at + 1
    local stop = bare(line)
    if wanted.chomp then
      stop = stop:gsub("^\t+", "")
    end
    if stop == wanted.name then
      wanted.content = table.concat(content)
      return wanted
    end
    content[#content + 1] = line
  end
  failure.at(self:place(first, begin - 1), function()
    failure.raise(("the here-document '%s' does not end"):format(wanted.name), "write " .. wanted.name .. " alone on a line behind it")
  end)
end

--- A reader of a Dockerfile's text; `file` is its name in messages.
local function open(text, file)
  local reader = setmetatable({ file = file, lines = lines_of(text), at = 1, directives = {} }, Reader)
  reader:read_directives()
  return reader
end

return { open = open, bare = bare }
