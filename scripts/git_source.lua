#!/usr/bin/env moonshell
-- Building what a git repository holds, pinned to the commit that was looked up.

local git = require "git"

-- A repository to build from; yours would be a URL.
local folder <close> = fs.tempdir()
local url = folder.path .. "/app.git"
host.run({ "sh", "-ec", [[
  export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@localhost GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@localhost
  git init --quiet "$1"; cd "$1"
  echo 'echo made from git' > app.sh; git add app.sh; git commit --quiet --message first; git tag v1
]], "sh", url })

local source, commit = git.checkout(url, { ref = "v1" })
local s = build.from_host { "/bin/sh", "/bin/cat" }
  :copy("app.sh", "/app/", { from = source })
  :label { ["org.opencontainers.image.revision"] = commit }

io.write(s:out "sh /app/app.sh", "\n")
print(#s.config.Labels["org.opencontainers.image.revision"], "digits of the commit")
