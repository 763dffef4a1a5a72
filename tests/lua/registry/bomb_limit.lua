-- A layer that unpacks to more than the caller allows is refused, and nothing of it is named or kept.
local name = host.env.REGISTRY .. "/busybox"
local ok, err = pcall(image.pull, name, {max_layer_bytes = "64k"})
assert(not ok and err.kind == "integrity", tostring(err))
assert(err.message:find("unpacks to more than 65536 bytes", 1, true), err.message)
assert(err.hint:find("max_layer_bytes", 1, true), err.hint)
assert(image.get(name) == nil, "the name is not there")
assert(image.pull(name, {max_layer_bytes = "1g"}), "with a larger limit it is pulled")
