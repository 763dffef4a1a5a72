-- What is committed and pushed here is the same after a pull into another store.
local check = require "check"
local R = host.env.REGISTRY
local dir <close> = fs.tempdir()
fs.mkdir(dir.path .. "/src")
fs.write(dir.path .. "/src/app.sh", "#!/bin/sh\necho app\n", { mode = tonumber("4755", 8) })
local look = "cat /kind; find /app /d /etc/group 2>/dev/null | sort | tr '\\n' ' '; stat -c '%a %u:%g' /app/app.sh /d /d/secret"
local s = build.from(R .. "/busybox"):copy(dir.path .. "/src", "/app", { chown = "ann" })
  :run "echo kind > /kind; mkdir -p /d/old && echo 1 > /d/old/1 && echo s > /d/secret && chmod 0 /d/secret"
  :run "rm -r /d/old && rm /etc/group && mkdir /d/old && chmod 1777 /d"
local name = R .. "/arrive/app:1"
local img = s:entrypoint { "/app/app.sh" }:commit(name)
local digest = img:push()
check.same({ digest, img:push() }, { img.digest, img.digest })
local code = ("local i = image.pull(%q); print(i.digest, i.id); container.run(i); io.write(build.from(i):out(%q))"):format(name, look)
check.same(check.again(code, dir.path .. "/other").stdout, digest .. "\t" .. img.id .. "\napp\n" .. s:out(look))
check.same(s:out(look), "kind\n/app /app/app.sh /d /d/old /d/secret 4755 1000:1000\n1777 0:0\n0 0:0")
