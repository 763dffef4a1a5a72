assert(json.encode({ b = 1, a = { 1, 2, "x" }, c = true }) == '{"a":[1,2,"x"],"b":1,"c":true}')
assert(json.encode({ 1, { x = 1.5 } }, { pretty = true }) == '[\n  1,\n  {\n    "x": 1.5\n  }\n]')
local v = json.decode('{"a": [1, 2.5, null, "\\u00e9"], "n": null, "e": [], "o": {}}')
assert(v.a[1] == 1 and math.type(v.a[1]) == "integer" and v.a[2] == 2.5 and v.a[3] == false and v.a[4] == "é" and v.n == nil)
assert(json.encode(v.e) == "[]" and json.encode(json.decode('"x"')) == '"x"')
local _, bad = pcall(json.decode, "{")
assert(bad.kind == "invalid_argument" and bad.message:find("invalid JSON: EOF while parsing an object at line 1 column 1", 1, true))
local _, fn = pcall(json.encode, { f = print })
assert(fn.kind == "invalid_argument" and fn.message:find("cannot encode as JSON", 1, true))
local loop = {}
loop.loop = loop
assert(not pcall(json.encode, loop))
