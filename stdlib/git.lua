-- git: checkouts for builds, pinned by commit.
--
--   local git = require "git"
--   local source, commit = git.checkout("https://example.org/app.git", { ref = "v1.2" })
--   s = s:copy(".", "/src", { from = source }):label { ["org.opencontainers.image.revision"] = commit }
--
-- A name of a branch or tag is looked up now, and what is checked out is the commit it led to: a build that should be
-- the same tomorrow names the commit itself. Needs the `git` program on the host.

local use, core = ...
local fail = use "fail"
local git = {}

local function is_commit(text)
  return (#text == 40 or #text == 64) and not text:find "%X"
end

-- A folder's name is no repository's address for build.context; git's rule for what is a folder: no `://`, and no `:`
-- before the first `/`.
local function address(url)
  if url:find "://" or url:find "^[^/]*:" then
    return url
  end
  return "file://" .. core.native.real_path(url)
end

--- The commit a branch, tag or `HEAD` of a repository leads to now.
function git.resolve(url, ref)
  ref = ref or "HEAD"
  if is_commit(ref) then
    return ref
  end
  local listed = host.run({ "git", "ls-remote", "--", url, ref, ref .. "^{}" }, {
    capture = true,
    check = false,
    env = { GIT_TERMINAL_PROMPT = "0" },
  })
  if not listed.ok then
    -- Its first line says what failed, the others are advice.
    local why = (listed.stderr:match "[^\n]+" or "git said nothing"):gsub("^%l+: ", "")
    fail("network", ("git.resolve: cannot ask %s: %s"):format(url, why), { subject = url })
  end
  local commits = {}
  for commit, name in listed.stdout:gmatch "(%x+)%s+([^\n]+)" do
    commits[name] = commit
  end
  -- As git itself looks names up; a tag with a message leads on to its commit.
  for _, name in ipairs { ref, "refs/tags/" .. ref .. "^{}", "refs/tags/" .. ref, "refs/heads/" .. ref } do
    if commits[name] then
      return commits[name]
    end
  end
  fail("not_found", ("git.resolve: %s has no '%s'"):format(url, ref), { subject = ref })
end

--- A checkout as a build context, and its commit. Options: `commit` (its whole digits) or `ref` (a branch or tag,
--- looked up now; default `HEAD`), `subdir` (only that folder).
function git.checkout(url, opts)
  opts = opts or {}
  for key in pairs(opts) do
    if key ~= "commit" and key ~= "ref" and key ~= "subdir" then
      fail("invalid_argument", ("git.checkout: unknown option '%s'"):format(tostring(key)), {
        hint = "commit, ref and subdir are known",
      })
    end
  end
  if opts.commit and opts.ref then
    fail("invalid_argument", "git.checkout: commit and ref exclude each other")
  end
  if opts.commit and not is_commit(opts.commit) then
    fail("invalid_argument", ("git.checkout: '%s' is no whole commit"):format(tostring(opts.commit)), {
      hint = "a commit has 40 hexadecimal digits; give a branch or tag as ref",
    })
  end
  local commit = opts.commit or git.resolve(url, opts.ref)
  local fragment = "#" .. commit .. (opts.subdir and ":" .. opts.subdir or "")
  return build.context(address(url) .. fragment), commit
end

return git
