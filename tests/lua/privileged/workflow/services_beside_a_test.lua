-- Services beside a test: ready before it begins, in one network with it, gone after it, however it ends.
local check = require "check"
local services = require "services"
local img = check.busybox()

local web = { image = img, cmd = "mkdir /www; echo from the service > /www/index.html; httpd -f -p 8080 -h /www",
  ready = "wget -q -O - http://127.0.0.1:8080/" }
local result = services.test(img, "wget -q -O - http://127.0.0.1:8080/", { services = { web = web }, capture = true })
check.same(result.stdout, "from the service\n")
check.same(#container.list { all = true }, 0)

-- Two services reach each other; the group gives their containers.
do
  local beside <close> = services.start { web = web, other = { image = img, cmd = "sleep 60" } }
  check.same(beside.other:out "wget -q -O - http://127.0.0.1:8080/", "from the service")
  check.same(#container.list(), 2)
end
check.same(#container.list { all = true }, 0)

-- A test that fails says so, with what its services printed.
local ok, err = pcall(services.test, img, "exit 4", { services = { talks = {
  image = img, cmd = "echo I heard nothing; touch /ready; sleep 60", ready = "test -e /ready" } } })
check.same({ ok, err.kind, err.exit_code, err.logs.talks }, { false, "exit", 4, "I heard nothing" })

-- A service that ends, or is never ready, is told apart.
local broken = { image = img, cmd = "echo no configuration; exit 3", ready = "true; false" }
err = check.fails("exit", "service 'broken' ended with status 3 before it was ready", nil,
  services.test, img, "true", { services = { broken = broken } })
check.same({ err.exit_code, err.stderr }, { 3, "no configuration" })
check.fails("timeout", "service 'slow' was not ready in 1 s", nil, services.test, img, "true",
  { services = { slow = { image = img, cmd = "sleep 60", ready = "false", timeout = 1 } } })
check.fails("invalid_argument", "services: 'x' needs an image", nil, services.start, { x = {} })
check.fails("invalid_argument", "services: none is named", nil, services.start, {})
check.same(#container.list { all = true }, 0)
