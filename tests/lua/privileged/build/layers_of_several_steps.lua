-- s:layer: several steps, one layer, one line of history; the steps stay cached one by one.
local check = require "check"
local base = build.from(check.busybox()):write("/old/x", "below"):write("/gone", "g")

local function steps(s)
  return s:write("/a", "1"):run "ln /a /b && rm /gone && rm -r /old && mkdir /old && echo new > /old/y"
    :write("/tmp/scratch", "only for a moment"):remove "/tmp/scratch":env { IN = "layer" }:run "echo $IN > /in"
end
local s = base:layer(steps)
local img = s:commit "layer:1"
check.same(#img.layers, 4)
check.same(#base:commit().layers, 3)
check.same(s:read "/in", "layer\n")
check.same(s.config.Env[#s.config.Env], "IN=layer")
check.same({ s:exists "/gone", s:exists "/old/x", s:exists "/old/y", s:exists "/tmp/scratch" }, { false, false, true, false })
check.same(s:out "test /a -ef /b && cat /b; ls /old", "1y")
local history = img:history()
check.same(history[#history].created_by, "LAYER WRITE /a; RUN /bin/sh -c ln /a /b && rm /gone && rm -r /old && mkdir /old"
  .. " && echo new > /old/y; WRITE /tmp/scratch; REMOVE /tmp/scratch; ENV IN=layer; RUN /bin/sh -c echo $IN > /in")
check.same(base:layer(steps, { history = "what I say" }):history()[#history].created_by, "what I say")
check.same(history[#history - 1].created_by, "WRITE /gone")

-- what is in the tar: removals of what is below only, and the folder that hides the old one
local dir <close> = fs.tempdir()
image.save(dir.path .. "/i.tar", img)
host.run { "mkdir", dir.path .. "/x" }
host.run { "tar", "-xf", dir.path .. "/i.tar", "-C", dir.path .. "/x" }
local blob = img.layers[4].digest:gsub("^sha256:", dir.path .. "/x/blobs/sha256/")
local names = host.out { "tar", "-tzf", blob }
for _, part in ipairs { ".wh.gone", "old/.wh..wh..opq", "old/y", "in" } do check.has("\n" .. names .. "\n", "\n" .. part .. "\n") end
check.same(names:find("scratch", 1, true), nil)
check.same(names:find(".wh.old", 1, true), nil)

-- cached: as a whole, and by step
local code = [[
  local base = build.from(image.load(host.env.BUSYBOX)[1]):write("/old/x", "below"):write("/gone", "g")
  local s = base:layer(function(s)
    return s:write("/a", "1"):run "ln /a /b && rm /gone && rm -r /old && mkdir /old && echo new > /old/y"
      :write("/tmp/scratch", "only for a moment"):remove "/tmp/scratch":env { IN = "layer" }:run "echo $IN > /in"
  end)
  io.write(s:commit("layer:1").digest)]]
local again = check.again(code)
local ran, cached = check.steps(again.stderr)
check.same(ran, {})
check.same(#cached, 8)
check.same(again.stdout, img.digest)

-- history of one's own, functions that wait, nothing at all
local own = base:layer(function(s)
  local one, two = parallel(function() return s:run "echo 1 > /one" end, function() return s:run "echo 2 > /two" end)
  return one:copy("/two", "/two", { from = two })
end, { history = "RUN both" }):commit()
check.same(#own.layers, 4)
check.same(own:history()[#own:history()].created_by, "RUN both")
check.same(check.out(own, "cat /one /two"), "1\n2")
check.same(base:layer(function(s) return s end), base)
check.same(#base:layer(function(s) return s:write("/n", "n"):remove "/n" end):commit().layers, 3)
check.same(base:layer(base:write("/n", "n")):read "/n", "n")
local inner = base:layer(function(s) return s:layer(steps):write("/z", "z") end)
check.same(#inner:commit().layers, 4)
check.same(inner:read "/z" .. inner:read "/a", "z1")

-- what must come back
local one_of = function(value) return function() return value end end
local text = "State:layer: the function must return a State, got "
check.fails("invalid_argument", text .. "nil", nil, base.layer, base, one_of(nil))
check.fails("invalid_argument", text .. "Image", nil, base.layer, base, one_of(img))
check.fails("invalid_argument", "the state was not made from the one the layer starts at",
  "return the last state of steps that begin with the given one", base.layer, base, one_of(build.scratch():write("/x", "x")))
local called = false
pcall(base.layer, base, function() called = true end, { histroy = "x" })
check.same(called, false)
local ok, err = pcall(base.layer, base, function() error({ mine = true }) end)
check.same({ ok, err.mine }, { false, true })
check.same(pcall(help, base.layer), true)
