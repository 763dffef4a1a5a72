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
