-- Names in a context that are swapped all the time: a copy fails or is right, and never holds what lies outside.
local check = require "check"
local dir <close> = fs.tempdir()
local d = dir.path .. "/"
fs.mkdir(d .. "ctx/folder")
fs.mkdir(d .. "outside/folder")
fs.write(d .. "outside/file", "secret")
fs.write(d .. "outside/folder/inner", "secret")
fs.write(d .. "swap", ([[
cd '%s' && while [ -e go ]; do
  rm -rf ctx/file ctx/folder && mkdir ctx/folder && echo good >ctx/folder/inner && echo good >ctx/file
  rm -f ctx/file && ln -s ../outside/file ctx/file
  rm -rf ctx/folder && ln -s ../outside/folder ctx/folder
  rm -f ctx/file && mkfifo ctx/file
  rm -f ctx/file && ln -s ../outside/file ctx/file
done
echo ended >end
]]):format(d))
fs.write(d .. "go", "")
host.run { "mkfifo", d .. "end" }
host.run { "sh", "-c", "sh " .. d .. "swap >/dev/null 2>&1 &" }
local s = build.scratch()
local ctx = build.context(d .. "ctx")
local expected = { integrity = true, not_found = true, invalid_argument = true }
local function look(source, from)
  local ok, state = pcall(s.copy, s, source, "/to/", { from = from, cache = false })
  if not ok then
    if not expected[state.kind] then error(state) end
    return
  end
  for _, name in ipairs { "/to/file", "/to/folder/inner", "/to/inner" } do
    local found, content = pcall(state.read, state, name)
    if found and content ~= "good\n" and content ~= "" then error(name .. " holds " .. content) end
  end
end
for _ = 1, 25 do
  look(".", ctx)
  look("file", ctx)
  look("folder", ctx)
  look("f*", ctx)
end
fs.remove(d .. "go")
host.run({ "cat", d .. "end" }, { capture = true })
check.same(fs.read(d .. "outside/file"), "secret")
