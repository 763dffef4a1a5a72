-- What a step removes is gone in the image, also in another store; the base keeps it.
local check = require "check"
local s = build.from(check.busybox())
  :run "mkdir -p /d/inner /opq/old && echo 1 > /d/one && echo 2 > /d/two && echo 3 > /d/inner/three && echo x > /opq/old/x && ln -s one /d/link"
local gone = s:run "rm /d/one /d/link && rm -r /d/inner && rm -rf /opq && mkdir /opq && echo fresh > /opq/new && rm -rf /home"
local by_engine = s:remove "/d/two":remove "/d/link":remove "/opq"
local look = "find /d /opq /home 2>/dev/null | sort | tr '\\n' ' '"
check.same(gone:out(look), "/d /d/two /opq /opq/new ")
check.same(by_engine:out(look), "/d /d/inner /d/inner/three /d/one /home ")
check.same(s:out(look), "/d /d/inner /d/inner/three /d/link /d/one /d/two /home /opq /opq/old /opq/old/x ")
check.same({ gone:exists "/d/one", gone:exists "/opq/old", gone:exists "/home", s:exists "/d/one" }, { false, false, false, true })
-- something else in its place
local swapped = gone:run "rm -r /opq && echo file > /opq && mkdir /d/one && rm /d/two && ln -s /opq /d/two"
check.same(swapped:out "cat /d/two; ls -d /d/one/", "file\n/d/one/")
local back = gone:write("/opq/old/x", "again")
check.same(back:out "find /opq | sort | tr '\\n' ' '", "/opq /opq/new /opq/old /opq/old/x ")
-- elsewhere
local dir <close> = fs.tempdir()
image.save(dir.path .. "/a.tar", gone:commit "gone:1", swapped:commit "swapped:1", by_engine:commit "engine:1")
local out = check.again(([[
  image.load(%q)
  for _, name in ipairs{"gone:1", "swapped:1", "engine:1"} do print(build.from(name):out(%q)) end
]]):format(dir.path .. "/a.tar", look), dir.path .. "/root").stdout
check.same(out, "/d /d/two /opq /opq/new \n/d /d/one /d/two /opq \n/d /d/inner /d/inner/three /d/one /home \n")
