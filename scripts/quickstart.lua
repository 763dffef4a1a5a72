#!/usr/bin/env moonshell
-- A first look at moonshell: build an image from this machine's own programs, run it, look inside, change it,
-- and see that a second build answers from the cache. Needs root, and nothing else: no registry, no daemon.

-- 1. An image of three programs. Their interpreter and libraries are found by reading the files.
local base = build.from_host{"/bin/sh", "/bin/ls", "/bin/cat"}
print("base     ", base)

-- 2. A container runs it.
container.run(base, "echo 'hello from a container'; ls /")

-- 3. A plain script: the output of one step decides about the next.
local function make()
  local s = base:write("/etc/motd", "made by moonshell\n"):env{GREETING = "hi"}
  if s:out("ls /bin"):find("cat") then
    s = s:run "cat /etc/motd > /report && echo \"$GREETING from the build\" >> /report"
  else
    s = s:write("/report", "there is no cat\n")
  end
  return s:cmd{"/bin/cat", "/report"}
end

local first = make()
io.write(first:read "/report")

-- 4. Commit it: an OCI image with a name, a digest and a history.
local img = first:commit "quickstart:1"
print("image    ", img)
for _, step in ipairs(img:history()) do print("          " .. (step.created_by or "")) end
container.run "quickstart:1"

-- 5. Save it for others: skopeo, podman and docker read this file.
local folder <close> = fs.tempdir()
local archive = folder.path .. "/quickstart.tar"
image.save(archive, img)
print("archive  ", fs.stat(archive).size .. " bytes")

-- 6. The same build again: every step comes from the cache, and the image is the same to the byte.
local second = make():commit "quickstart:1"
assert(second.digest == img.digest, "a repeated build gives the same image")
print("again    ", second.digest == img.digest and "the same digest, from the cache")
