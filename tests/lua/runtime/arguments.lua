-- args: one -x --root
assert(arg[0]:find("arguments.lua$") and arg[1] == "one" and arg[2] == "-x" and arg[3] == "--root" and #arg == 3)
assert(select("#", ...) == 3 and ... == "one")
