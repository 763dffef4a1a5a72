-- Here-documents: which words of a line begin one, and what their lines say.

local use = ...
local expand = use "dockerfile.expand"

local heredoc = {}

local function nothing() end

-- Text without its quotes as one word; nil when it is none or several.
local function word_of(text, options)
  local _, list = expand(text, nothing, options)
  return #list == 1 and list[1] or nil
end

local function quotes(text)
  return select(2, text:gsub("['\"]", ""))
end

--- What a word such as `<<EOF`, `<<-EOF`, `3<<"EOF"` announces: {name, chomp, expand}; nil when it is no such word.
function heredoc.of_word(word)
  local chomp, rest = word:match "^%d*<<(%-?)%s*([^<]*)$"
  if not rest or rest == "" then
    return nil
  end
  local name = word_of(rest, { keep_unset = true })
  local raw = word_of(rest, { keep_unset = true, raw_quotes = true })
  if not name or not raw then
    return nil
  end
  return { name = name, chomp = chomp == "-", expand = quotes(name) == quotes(raw) }
end

--- What a line announces, in order.
function heredoc.of_line(line)
  if not line:find("<<", 1, true) then
    return {}
  end
  -- A line with quotes that do not close is the shell's affair.
  local ok, _, list = pcall(expand, line, nothing, { raw_quotes = true, raw_escapes = true, keep_unset = true })
  local found = {}
  for _, word in ipairs(ok and list or {}) do
    local fine, document = pcall(heredoc.of_word, word)
    found[#found + 1] = fine and document or nil
  end
  return found
end

--- The content without tabs at the beginning of its lines.
function heredoc.chomped(content)
  return (("\n" .. content):gsub("\n\t+", "\n"):sub(2))
end

return heredoc
