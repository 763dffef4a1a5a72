-- How progress shows the steps: `[build 3/7] RUN make`.

local use = ...
local heredoc = use "dockerfile.heredoc"

local shown = {}

-- The first words of a here-document.
local function summary(document)
  local text = heredoc.chomped(document.content):gsub("%s+", " "):gsub("^ ", "")
  if utf8.len(text) and utf8.len(text) > 40 then
    text = text:sub(1, utf8.offset(text, 38) - 1) .. "..."
  end
  return text
end

--- Counts a step and returns its label.
function shown.label(run, item)
  run.count = run.count + 1
  local width = #tostring(run.total)
  local place = ("%" .. width .. "d/%d"):format(run.count, run.total)
  local ok, text = pcall(run.scope.expand, run.scope, item.text, run.state, { raw_quotes = true, keep_unset = true })
  text = ok and text or item.text
  text = text:gsub("^%S+", string.upper)
  if item.sole then
    text = text .. " (" .. summary(item.heredocs[1]) .. ")"
  end
  return ("[%s%s] %s%s"):format(run.name and run.name .. " " or "", place, item.triggered and "ONBUILD " or "", text)
end

local COUNTED = { ADD = true, COPY = true, RUN = true, WORKDIR = true }

--- How many steps a stage has that are shown; `from` tells whether it begins with an image.
function shown.total(list, from)
  local total = from and 1 or 0
  for _, item in ipairs(list) do
    total = total + (COUNTED[item.keyword] and 1 or 0)
  end
  return total
end

return shown
