-- Permissions written as `u+x,go-w` (chmod of POSIX), for files whose mode is known.

local use = ...
local failure = use "dockerfile.failure"

local modes = {}

local WHO = { u = 0x1c0, g = 0x38, o = 0x7, a = 0x1ff } -- 0700, 070, 07, 0777
local BITS = { r = 0x124, w = 0x92, x = 0x49 } -- 0444, 0222, 0111

local function bits_of(letters, mode)
  local bits, special = 0, 0
  for letter in letters:gmatch "." do
    if letter == "X" then
      bits = bits | (mode & BITS.x ~= 0 and BITS.x or 0)
    elseif letter == "s" then
      special = special | 0xc00 -- 06000
    elseif letter == "t" then
      special = special | 0x200 -- 01000
    else
      bits = bits | BITS[letter]
    end
  end
  return bits, special
end

--- A mode in octal digits: `text` itself, or what it makes of a file with `mode`.
function modes.apply(text, mode)
  if text:find "^[0-7]+$" and #text <= 5 then
    return text
  end
  for clause in (text .. ","):gmatch "([^,]*)," do
    local who, changes = clause:match "^([ugoa]*)([-+=].*)$"
    if not who or not changes:find "^[-+=rwxXst]+$" then
      failure.raise(("invalid mode '%s'"):format(text), 'write octal digits or changes, such as 0755 or u+x,go-w')
    end
    local mask = 0
    for letter in (who == "" and "a" or who):gmatch "." do
      mask = mask | WHO[letter]
    end
    for operator, letters in changes:gmatch "([-+=])([rwxXst]*)" do
      local bits, special = bits_of(letters, mode)
      special = special & ((mask & WHO.u ~= 0 and 0x800 or 0) | (mask & WHO.g ~= 0 and 0x400 or 0) | 0x200)
      bits = (bits & mask) | special
      if operator == "+" then
        mode = mode | bits
      elseif operator == "-" then
        mode = mode & ~bits
      else
        mode = (mode & ~mask) | bits
      end
    end
  end
  return ("%04o"):format(mode)
end

return modes
