-- A question before something is removed.

local command = ...

--- True when the answer is yes. Where nobody can answer, it is no.
return function(text)
  command.write("WARNING! " .. text .. "\nGo on? [y/N] ")
  command.flush()
  local answer = io.read("l")
  return answer ~= nil and answer:lower():find("^%s*y") ~= nil
end
