-- Git repositories as contexts and as sources of add.
local check = require "check"
if not host.run({ "sh", "-c", "command -v git" }, { capture = true, check = false }).ok then
  print("skipped: no git")
  os.exit(0)
end
local s = build.from(check.busybox())
local dir <close> = fs.tempdir()
local repo = dir.path .. "/repo"
fs.mkdir(repo)
local function git(...)
  local words = { "git", "-C", repo, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", ... }
  return (host.run(words, { capture = true, env = { GIT_CONFIG_GLOBAL = "/dev/null", GIT_CONFIG_NOSYSTEM = "1" } }).stdout:gsub("\n$", ""))
end
git("init", "-q")
fs.mkdir(repo .. "/sub/deep")
fs.write(repo .. "/file", "first")
fs.write(repo .. "/sub/deep/x", "x")
host.run { "ln", "-s", "/etc", repo .. "/sub/out" }
host.run { "ln", "-s", "deep", repo .. "/sub/in" }
git("add", "-A")
git("commit", "-qm", "one")
local first = git("rev-parse", "HEAD")
git("tag", "-a", "-m", "tag", "v1")
git("checkout", "-qb", "topic")
fs.write(repo .. "/file", "second")
git("commit", "-qam", "two")
local second = git("rev-parse", "HEAD")
git("checkout", "-q", "main")
local url = "file://" .. repo
local function file(name) return build.context(name):read "file" end
-- refs of all kinds
check.same(file(url), "first")
check.same(file(url .. "#topic"), "second")
check.same(file(url .. "#v1"), "first")
check.same(file(url .. "#refs/heads/topic"), "second")
check.same(file(url .. "#" .. second), "second")
check.same(file(url .. "#" .. first:sub(1, 12)), "first")
host.run { "git", "clone", "-q", "--bare", repo, dir.path .. "/bare.git" }
check.same(file(dir.path .. "/bare.git#topic"), "second")
check.fails("not_found", url .. " has no branch, tag or commit 'none'", nil, build.context, url .. "#none")
check.fails("not_found", url .. " has no branch, tag or commit 'abcdef0'", nil, build.context, url .. "#abcdef0")
check.fails("invalid_argument", "'--upload-pack=touch' cannot be a branch, tag or commit", nil, build.context, url .. "#--upload-pack=touch")
check.fails("network", "cannot fetch file:///no/such", nil, build.context, "file:///no/such")
-- folders; never behind links
local ctx = build.context(url .. "#:sub")
check.same(ctx:read "deep/x", "x")
check.same(ctx:exists "../file", false)
check.same(build.context(url .. "#main:/sub/deep/"):read "x", "x")
check.same(build.context(url):exists ".git", false)
check.fails("not_found", "'none' is not in the repository", nil, build.context, url .. "#:none")
check.fails("invalid_argument", "'file' of the repository is not a folder", nil, build.context, url .. "#:file")
check.fails("invalid_argument", "'sub/../..' of the repository has '..' in its path", nil, build.context, url .. "#:sub/../..")
for _, link in ipairs { "sub/out", "sub/in", "sub/in/." } do
  check.fails("invalid_argument", "'" .. link .. "' of the repository is or lies behind a symbolic link", nil, build.context, url .. "#:" .. link)
end
-- nothing of the repository or its user is run
local mark = dir.path .. "/ran"
fs.write(repo .. "/.git/hooks/post-checkout", "#!/bin/sh\ntouch " .. mark .. "\n", { mode = tonumber("755", 8) })
fs.mkdir(dir.path .. "/home/hooks")
fs.write(dir.path .. "/home/hooks/post-checkout", "#!/bin/sh\ntouch " .. mark .. "\n", { mode = tonumber("755", 8) })
fs.write(dir.path .. "/home/.gitconfig", "[core]\n hooksPath = " .. dir.path .. "/home/hooks\n")
check.again(("build.context %q"):format(url), nil, { HOME = dir.path .. "/home", GIT_DIR = "/nowhere", GIT_CONFIG_COUNT = "1", GIT_CONFIG_KEY_0 = "core.hooksPath", GIT_CONFIG_VALUE_0 = dir.path .. "/home/hooks" })
check.same(fs.exists(mark), false)
-- add: the files, or all of it; known by the commit
check.same(s:add(url .. "#topic", "/src"):read "/src/file", "second")
check.same(s:add(url .. "#:sub/deep", "/src/"):read "/src/x", "x")
check.same(s:add(url, "/src"):exists "/src/.git", false)
check.same(s:add(url, "/src", { keep_git_dir = true }):exists "/src/.git/HEAD", true)
local again = ("local s = build.from(image.list()[1]) s:add(%q, '/src') s:add(%q, '/src', {keep_git_dir = true})"):format(url, url)
local ran, cached = check.steps(check.again(again).stderr)
check.same({ ran, #cached }, { {}, 2 })
-- submodules come too, those that would read the host's files do not
git("-c", "protocol.file.allow=always", "submodule", "-q", "add", url, "inner")
git("commit", "-qm", "inner")
check.fails("network", "cannot fetch the submodules of " .. url, nil, build.context, url)
