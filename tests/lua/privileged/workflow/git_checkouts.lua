-- The git library: names lead to commits, commits to files.
local check = require "check"
local git = require "git"
local folder <close> = fs.tempdir()
local url = folder.path .. "/app.git"
local function sh(line)
  return host.out({ "sh", "-ec", "cd " .. url .. "; " .. line }, { env = {
    GIT_AUTHOR_NAME = "me", GIT_AUTHOR_EMAIL = "me@localhost",
    GIT_COMMITTER_NAME = "me", GIT_COMMITTER_EMAIL = "me@localhost", GIT_CONFIG_GLOBAL = "/dev/null" } })
end
fs.mkdir(url)
sh "git init -q -b main; echo one > f; mkdir sub; echo in sub > sub/g; git add .; git commit -qm one; git tag -a v1 -m v1"
sh "echo two > f; git commit -qam two"
local one, two = sh "git rev-parse v1^{commit}", sh "git rev-parse HEAD"

check.same(git.resolve(url), two)
check.same(git.resolve(url, "main"), two)
check.same(git.resolve(url, "v1"), one, "a tag with a message leads on to its commit")
check.same(git.resolve(url, one), one)
check.fails("not_found", "git.resolve: " .. url .. " has no 'v9'", nil, git.resolve, url, "v9")

local base = build.from(check.busybox())
local source, commit = git.checkout(url, { ref = "v1" })
check.same(commit, one)
check.same(base:copy("f", "/f", { from = source }):read "/f", "one\n")
check.same(base:copy("f", "/f", { from = git.checkout(url, { commit = two }) }):read "/f", "two\n")
check.same(base:copy(".", "/s", { from = git.checkout(url, { ref = "v1", subdir = "sub" }) }):read "/s/g", "in sub\n")
check.same(base:copy(".", "/s", { from = git.checkout(url) }):exists "/s/.git", false)

check.fails("invalid_argument", "git.checkout: 'abc' is no whole commit",
  "a commit has 40 hexadecimal digits; give a branch or tag as ref", git.checkout, url, { commit = "abc" })
check.fails("invalid_argument", "git.checkout: commit and ref exclude each other", nil,
  git.checkout, url, { commit = one, ref = "v1" })
check.fails("invalid_argument", "git.checkout: unknown option 'branch'", "commit, ref and subdir are known",
  git.checkout, url, { branch = "x" })
check.fails("network", "git.resolve: cannot ask file:///no/such: '/no/such' does not appear to be a git repository", nil,
  git.checkout, "file:///no/such", { ref = "v1" })
