-- With SOURCE_DATE_EPOCH two builds in two fresh stores give the same image, to the byte.
local check = require "check"
local dir <close> = fs.tempdir()
fs.mkdir(dir.path .. "/in/sub")
for n = 1, 30 do fs.write(("%s/in/sub/%d"):format(dir.path, n), ("%d"):format(n)) end
local code = ([[
  local s = build.from(image.load(host.env.BUSYBOX)[1]):copy(%q, "/in"):write("/w", "text")
    :run "mkdir /made && for i in $(seq 50); do echo $i > /made/$i; done && chown -R ann /made && ln /w /hard && rm /etc/group && date > /tmp/now && rm /tmp/now"
    :env{A="b"}
  io.write(s:commit("same:1").digest)]]):format(dir.path .. "/in")
local env = { SOURCE_DATE_EPOCH = "1700000000" }
local one = check.again(code, dir.path .. "/one", env).stdout
host.run { "touch", dir.path .. "/in/sub/7" }
local two = check.again(code, dir.path .. "/two", env).stdout
check.same(one, two)
check.same(one:match "^sha256:%x+$", one)
check.same(check.again(code, dir.path .. "/three", { SOURCE_DATE_EPOCH = "1700000001" }).stdout ~= one, true)

-- so do branches that end in another order, layers made of several steps, and layers packed side by side
code = [[
  local base = build.from(image.load(host.env.BUSYBOX)[1])
  local function branch(n) return function() return base:run("mkdir -p /d && echo " .. n .. " > /d/" .. n) end end
  local order, branches, states = host.env.ORDER, {}, {}
  for digit in order:gmatch "%d" do branches[#branches + 1] = branch(digit) end
  for at, made in ipairs(parallel(branches)) do states[order:sub(at, at)] = made end
  local s = base
  for n = 1, #order do s = s:merge(states[tostring(n)]) end
  s = s:layer(function(s) return s:write("/x", "x"):run "ln /x /y && chmod 4755 /x && rm -r /d/1":write("/z", "z") end)
  local plain, one = s:commit("order:1"), s:commit("order:2", { squash = true, compression = "zstd", annotations = { a = "b" } })
  io.write(plain.digest, " ", one.digest, " ", plain.config.created)]]
env.ORDER = "1234"
local first = check.again(code, dir.path .. "/four", env).stdout
env.ORDER = "4213"
check.same(check.again(code, dir.path .. "/five", env).stdout, first)
check.same(first:match "^sha256:%x+ sha256:%x+ %S+$", first)

-- steps that a build without the variable has taken make no difference
code = [[io.write(build.from(image.load(host.env.BUSYBOX)[1]):write("/w", "text"):run "echo a > /a":commit("later:1").digest)]]
local direct = check.again(code, dir.path .. "/six", env).stdout
check.again(code, dir.path .. "/seven")
check.same(check.again(code, dir.path .. "/seven", env).stdout, direct)
