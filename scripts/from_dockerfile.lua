#!/usr/bin/env moonshell
-- From a Dockerfile to Lua: build the file as it is, have it written as a script, and see that the script makes the
-- same image. Needs root; no registry has to be in reach. With the name of a Dockerfile it only writes its script:
--
--   moonshell scripts/from_dockerfile.lua [DOCKERFILE]

if arg[1] then
  io.write(dockerfile.to_lua(arg[1]))
  return
end

-- A base image of this machine's own programs, and a folder with a Dockerfile.
build.from_host{"/bin/sh", "/bin/cat", "/bin/mkdir"}:commit "dockerfile-example/base:1"
local folder <close> = fs.tempdir()
fs.write(folder.path .. "/greeting.txt", "hello\n")
fs.write(folder.path .. "/Dockerfile", [[
FROM dockerfile-example/base:1 AS words
ARG NAME=world
WORKDIR /work
# The greeting, and whom it is for.
COPY greeting.txt .
RUN <<EOF
  cat greeting.txt > /letter
  echo "dear $NAME" >> /letter
EOF

FROM dockerfile-example/base:1
ENV LETTERS=/letters
COPY --from=words --chmod=0444 /letter ${LETTERS}/
CMD ["/bin/cat", "/letters/letter"]
]])

-- 1. As `moonshell build --build-arg NAME=reader .` does it.
local img = build.dockerfile{context = folder.path, args = {NAME = "reader"}, tags = "dockerfile-example/letter:1"}
assert(container.run(img, nil, {capture = true}).stdout == "hello\ndear reader\n")

-- 2. As `moonshell build --to-lua .` does it: stages are variables, ARGs are arguments of the script.
local file = folder.path .. "/Dockerfile"
local script = dockerfile.to_lua(file, {context = folder.path, tags = "dockerfile-example/script:1"})
print(script)

-- 3. The script makes the same image. Here it runs as a function; usually it is a file: `moonshell build.lua NAME=reader`.
arg = {"NAME=reader"}
load(script)()
local other = image.get "dockerfile-example/script:1"
assert(json.encode(other.config.config) == json.encode(img.config.config), "the same configuration")
assert(json.encode(other.config.rootfs) == json.encode(img.config.rootfs), "the same layers")
print("the script made the same image as the Dockerfile")
