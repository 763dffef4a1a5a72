-- `other` lies beside this file, not beside the program.
return "sibling and " .. require("other")
