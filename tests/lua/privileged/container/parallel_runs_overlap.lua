-- Four containers run at the same time: each waits until it has seen the three others.
local check = require "check"
local img = check.busybox()
local dir <close> = fs.tempdir()
local runs = {}
for n = 1, 4 do
  runs[n] = function()
    local cmd = ("touch /meet/%d; until [ $(ls /meet | wc -l) = 4 ]; do usleep 1000; done; echo %d"):format(n, n)
    return check.out(img, cmd, { volumes = { dir.path .. ":/meet" }, timeout = 20 })
  end
end
check.same(parallel(runs), { "1", "2", "3", "4" })
-- the first failure ends the others
local before = host.info() and true
local err = check.fails("exit", "command 'exit 3' exited with code 3", nil, parallel,
  function() container.run(img, "sleep 60") end,
  function() container.run(img, "exit 3") end)
check.same(err.exit_code, 3)
