-- Every kind of file survives a commit and comes out the same from an archive in another store.
local check = require "check"
local base = build.from(check.busybox())
local long = ("n"):rep(200)
local script = ([[
set -e
mkdir /k && cd /k
echo text > 'with space'; echo text > "new
line"; echo text > 'ünïcödé ☾'; echo text > -dash; echo text > "quote'\"\\"
echo text > LONG; mkdir -p LONG1/LONG2/LONG3; echo deep > LONG1/LONG2/LONG3/file
ln -s "$(printf 'LONG/LONG')" longlink
echo one > hard1; ln hard1 hard2; ln hard1 LONG1/hard3
echo none > secret; chmod 0000 secret
echo id > setuid; chmod 6755 setuid; mkdir sticky; chmod 1777 sticky
chown 4242:99999999 sticky
truncate -s 50M sparse; printf x | dd of=sparse bs=1 seek=10M conv=notrunc 2>/dev/null
mkfifo fifo; mkdir -p empty/folder; : > nothing
ln -s /no/such broken; touch -d '1969-12-31 23:00:00' old; touch -d '2040-01-01 00:00:00' future
]]):gsub("LONG", long)
local s = base:run(script)
local look = [[cd /k && find . -exec stat -c '%F %a %u:%g %s %h %Y %N' {} + | sort; find . -type f -print0 | sort -z | xargs -0 md5sum]]
local before = s:out(look)
check.has(before, "regular file 6755 0:0 3 1")
check.has(before, "regular file 0 0:0 5 1")
check.has(before, "4242:99999999")
local name_limit = check.fails("exit", "command exited with code 1: touch /" .. ("m"):rep(256), nil, s.run, s, "touch /" .. ("m"):rep(256))
check.has(name_limit.stderr, "File name too long")
local dir <close> = fs.tempdir()
for _, format in ipairs { "oci", "docker" } do
  local path = dir.path .. "/" .. format .. ".tar"
  image.save(path, s:commit("kinds:1"), { format = format })
  local code = ([[
    local img = image.load(%q)[1]
    io.write(build.from(img):out(%q))]]):format(path, look)
  check.same(check.again(code, dir.path .. "/root-" .. format).stdout, before, format)
end
-- the sparse file did not become 50 MiB on disk
check.same(tonumber(s:out "du -k /k/sparse | cut -f 1") < 1024, true)
