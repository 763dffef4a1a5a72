-- Flags of moonshell build: what each does to the steps, the image and the output.
-- timeout-ms: 90000
local check = require "check"
check.busybox():tag "busybox:1"
local dir <close> = fs.tempdir()
local function dockerfile_of(...)
  fs.write(dir.path .. "/Dockerfile", table.concat({ "FROM busybox:1", ... }, "\n") .. "\n")
end
local function run(...)
  return check.moonshell("--progress", "plain", "build", ...)
end
local function built(...)
  local words = { ... }
  words[#words + 1] = dir.path
  local result = run(table.unpack(words))
  check.same(result.exit_code, 0, result.stderr)
  return (result.stdout:gsub("\n$", "")), result.stderr
end
local function refused(part, ...)
  local result = run(...)
  check.same(result.exit_code, 2, result.stderr)
  check.has(result.stderr, part)
end
local function reads(id, path)
  return build.from(id):read(path)
end

-- limits and surroundings of RUN
dockerfile_of("RUN grep other /etc/hosts > /hosts; df -k /dev/shm | tail -1 > /shm; ulimit -n > /files")
local id = built("--add-host", "other:10.1.2.3", "--shm-size", "3m", "--ulimit", "nofile=77:99", "-m", "64m",
  "--cpu-quota", "50000", "--cpu-period", "100000", "-c", "512", "--cpuset-cpus", "0")
check.has(reads(id, "/hosts"), "10.1.2.3")
check.has(reads(id, "/shm"), "3072")
check.same(reads(id, "/files"), "77\n")
dockerfile_of "RUN head -c 60000000 /dev/zero | tail -c 60000000 > /dev/null"
local result = run("-m", "24m", dir.path)
check.same(result.exit_code, 1)
check.has(result.stderr, "Dockerfile:2: ")
-- rights have to be given
dockerfile_of "RUN --security=insecure grep CapEff /proc/self/status > /caps"
result = run(dir.path)
check.same(result.exit_code, 1)
check.has(result.stderr, "allow it with --allow security.insecure")
check.same(reads(built("--allow", "security.insecure"), "/caps") == nil, false)
-- names, labels, annotations, platform, layers
dockerfile_of("RUN echo 1 > /one", "RUN echo 2 > /two")
id = built("-t", "a/one:1", "--tag", "two", "--label", "a=1", "--label", "b", "--annotation", "note=x",
  "--platform", "linux/" .. host.info().arch, "--squash")
check.same({ image.get("a/one:1").id, image.get("two").id }, { id, id })
check.same(image.get(id).config.config.Labels, { a = "1", b = "" })
check.same(#image.get(id).layers, #image.get("busybox:1").layers + 1)
-- quiet: the id alone; a file for it
local quiet = check.moonshell("build", "-q", "--iidfile", dir.path .. "/id", dir.path)
check.same({ quiet.exit_code, quiet.stderr, fs.read(dir.path .. "/id") .. "\n" }, { 0, "", quiet.stdout })
-- how progress is shown
check.has(check.moonshell("build", "--progress", "plain", dir.path).stderr, "[3/3] RUN echo 2 > /two: CACHED")
check.same(json.decode(check.moonshell("build", "--progress", "json", dir.path).stderr:match "[^\n]+") ~= nil, true)
-- steps are taken once more
local _, log = built "--no-cache"
check.has(log, "[3/3] RUN echo 2 > /two: done")
-- the Dockerfile elsewhere, and on standard input
fs.write(dir.path .. "/other", "FROM busybox:1 AS first\nENV STAGE=first\nFROM first\nENV STAGE=second\n")
id = built("-f", dir.path .. "/other", "--target", "first")
check.has(table.concat(image.get(id).config.config.Env, " "), "STAGE=first")
check.same(built("--file=" .. dir.path .. "/other", "--target=first", "--load"), id, "what --load asks for is so anyway")
local piped = host.run({ host.env.MOONSHELL, "build", "-q", "-f", "-", dir.path },
  { input = "FROM busybox:1\nENV PIPED=1\n", capture = true, check = false })
check.has(table.concat(image.get((piped.stdout:gsub("\n$", ""))).config.config.Env, " "), "PIPED=1")
-- a script instead of an image
local script = check.moonshell("build", "--to-lua", "-t", "by/script:1", "--label", "l=1", "--network", "none", dir.path)
check.same(script.exit_code, 0, script.stderr)
check.has(script.stdout, 'network = "none"')
check.has(script.stdout, 'commit("by/script:1", { labels = { l = "1" } })')
-- and that script has nothing to do where the image was built already
dockerfile_of("ARG V=1", "WORKDIR /w", "COPY other .", "LABEL v=$V", "RUN cat /proc/sys/kernel/random/uuid > $V")
id = built("--build-arg", "V=2")
fs.write(dir.path .. "/build.lua", check.moonshell("build", "--to-lua", dir.path).stdout)
script = check.moonshell("--progress", "plain", dir.path .. "/build.lua", "V=2")
local ran, known = check.steps(script.stderr)
check.same({ #ran, #known, script.exit_code }, { 0, 3, 0 }, script.stderr)
check.same(build.from((script.stdout:gsub("\n$", ""))):read "/w/2", build.from(id):read "/w/2")
-- what is wrong is named
refused("unknown flag '--nonsense'", "--nonsense", dir.path)
refused("'x' for '--progress'", "--progress", "x", dir.path)
refused("'other' for '--network'", "--network", "other", dir.path)
refused("'x' for '--on-error'", "--on-error", "x", dir.path)
refused("'=x' for '--build-arg'", "--build-arg", "=x", dir.path)
refused("'x' for '--build-context'", "--build-context", "x", dir.path)
refused("'much' for '--memory'", "-m", "much", dir.path)
for flag, values in pairs { secret = { "src=x", "id=x,file=y" }, ulimit = { "nofile" }, ["add-host"] = { "x" }, ssh = { "=x" } } do
  for _, value in ipairs(values) do
    refused(("invalid value '%s' for '--%s'"):format(value, flag), "--" .. flag, value, dir.path)
  end
end
for flag, value in pairs { platform = "a/b/c/d", label = "=1", output = "type=none,dest=x" } do
  result = run("--" .. flag, value, dir.path)
  check.same(result.exit_code, 1, flag)
  check.has(result.stderr, "'" .. (flag == "output" and "none" or value) .. "'")
end
