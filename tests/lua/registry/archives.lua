-- Images move as files: between stores, and between here and skopeo, in both formats.
local check = require "check"
local R = host.env.REGISTRY
local img = build.from(R .. "/busybox"):write("/mine", "text"):commit { "app:1", "example.com/team/app:2" }
local dir <close> = fs.tempdir()
local d = dir.path
local config = json.decode(check.again(("io.write(json.encode(image.get(%q).config))"):format(img.id)).stdout)
for format, transport in pairs { oci = "oci-archive", docker = "docker-archive" } do
  local path = d .. "/" .. format .. ".tar"
  image.save(path, "app:1", { format = format })
  local name = format == "oci" and transport .. ":" .. path or transport .. ":" .. path .. ":app:1"
  local seen = json.decode(host.out { "skopeo", "inspect", "--config", name })
  check.same(seen.rootfs.diff_ids, config.rootfs.diff_ids, format)
  local code = ("local i = image.load(%q)[1]; print(i.id, table.concat(i.names, ' ')); container.run(i, 'cat /mine')"):format(path)
  check.same(check.again(code, d .. "/root-" .. format).stdout, img.id .. "\tapp:1\ntext", format)
  -- and what skopeo writes
  local theirs = d .. "/theirs-" .. format .. ".tar"
  host.run { "skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://" .. R .. "/busybox", transport .. ":" .. theirs .. ":team/box:9" }
  code = ("local i = image.load(%q)[1]; print(table.concat(i.names, ' ')); container.run(i, 'echo $FROM_IMAGE')"):format(theirs)
  check.same(check.again(code, d .. "/theirs-root-" .. format).stdout, "team/box:9\nyes\n", format)
end
-- several images, compressed archives
local second = build.from(img):write("/second", "2"):commit "second:1"
image.save(d .. "/both.tar", img, second)
host.run { "zstd", "-q", d .. "/both.tar" }
host.run { "gzip", d .. "/both.tar" }
for _, path in ipairs { "/both.tar.zst", "/both.tar.gz" } do
  check.same(check.again(("print(#image.load(%q), image.get('second:1').id)"):format(d .. path), d .. "/both" .. path:match "[^.]*$").stdout, "2\t" .. second.id .. "\n")
end
-- mistakes
check.fails("not_found", "open " .. d .. "/none.tar: no such file or directory", nil, image.load, d .. "/none.tar")
check.fails("not_found", "no such image 'nope'", nil, image.save, d .. "/x.tar", "nope")
check.fails("invalid_argument", "image.save: no image given", nil, image.save, d .. "/x.tar")
check.same(fs.exists(d .. "/x.tar"), false)
check.fails("invalid_argument", "image.save: option 'format' must be one of 'oci', 'docker', got 'tar'", nil, image.save, d .. "/x.tar", img, { format = "tar" })
local r = check.moonshell("-e", ("image.load(%q)"):format("/etc/passwd"))
check.has(r.stderr, "error: not an image archive")
