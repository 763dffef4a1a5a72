//! Git repositories as sources: fetched by the host's `git`, checked out into a work area.
//!
//! The repository is not trusted: no hooks, filters or settings of anybody are run, nothing is asked for on the
//! terminal, and only the protocols that fetch are spoken; submodules may not name files of the host. What is fetched
//! is one commit without its history.
//!
//! Source: git-fetch(1), git-config(1) ("protocol.allow", "core.hooksPath"), Docker's build context reference.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::host::{RunOptions, run};
use super::super::inroot::Root;
use super::super::progress::Task;
use super::super::store::{Workspace, remove_tree};

/// Settings that hold for every call. `file` is spoken only where the source itself is a folder of the host.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.ssh.allow=always",
    "protocol.git.allow=always",
    "protocol.file.allow=user",
    "protocol.ext.allow=never",
    "init.defaultBranch=main",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// What the caller's own use of git would change.
const UNSET: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROTOCOL_FROM_USER",
    "GIT_PROXY_COMMAND",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_SSH",
    "GIT_SSH_VARIANT",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "SSH_ASKPASS",
];

/// Where a repository is, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub url: String,
    /// A branch, tag or commit.
    pub reference: Option<String>,
    pub folder: Option<String>,
}

impl Remote {
    /// The repository that a name is the address of; none for any other name.
    pub fn parse(name: &str) -> Option<Remote> {
        let (url, fragment) = match name.split_once('#') {
            Some((url, fragment)) => (url, fragment),
            None => (name, ""),
        };
        let web = url.starts_with("https://") || url.starts_with("http://");
        let path = url.split('?').next().unwrap_or(url);
        let others = ["git@", "git://", "ssh://", "file://"];
        let is_one = web && path.ends_with(".git") || others.iter().any(|start| url.starts_with(start));
        is_one.then(|| Remote::of(url, fragment))
    }

    /// The repository in a folder of the host whose name ends in `.git`.
    pub fn in_folder(name: &str, base: &Path) -> Option<Remote> {
        let (path, fragment) = name.split_once('#').unwrap_or((name, ""));
        let folder = base.join(path);
        let bare = path.trim_end_matches('/').ends_with(".git") && folder.join("HEAD").is_file();
        let url = folder.to_str().filter(|_| bare)?;
        Some(Remote::of(url, fragment))
    }

    fn of(url: &str, fragment: &str) -> Remote {
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        Remote { url: url.into(), reference: given(reference), folder: given(folder) }
    }
}

/// A commit's files.
pub(super) struct Checkout {
    pub area: Workspace,
    /// The folder that was asked for, in the area.
    pub folder: PathBuf,
    pub commit: String,
}

/// Fetches a commit and checks it out, with its submodules; without `keep` what git keeps itself is removed.
///
/// # Errors
/// `not_found` for a missing branch, tag, commit or folder; `invalid_argument` for what cannot be one; `network` when
/// it cannot be fetched; `unsupported` without git; `interrupted`, `os`.
pub(super) fn checkout(engine: &Engine, remote: &Remote, keep: bool) -> Result<Checkout> {
    let reference = remote.reference.as_deref().unwrap_or("HEAD");
    check_reference(reference)?;
    let task = Task::start(engine.progress(), "fetch", &remote.url, None);
    let area = engine.store().workspace()?;
    let tree = area.join("git");
    fs::create_dir(&tree).os(|| format!("create {}", tree.display()))?;
    let git = Git { engine, tree: &tree };
    git.must(&["init", "-q", "--template="])?;
    fetch(&git, remote, reference)?;
    let submodules = fs::symlink_metadata(tree.join(".gitmodules")).is_ok_and(|meta| meta.is_file());
    if submodules {
        git.must(&["submodule", "-q", "update", "--init", "--recursive", "--depth=1"]).map_err(|e| {
            Error::new(Kind::Network, format!("cannot fetch the submodules of {}", remote.url)).caused_by(e)
        })?;
    }
    let commit = git.must(&["rev-parse", "HEAD"])?.trim().to_string();
    if !keep {
        remove_git(&tree).os(|| format!("remove what git keeps in {}", tree.display()))?;
    }
    let folder = match &remote.folder {
        Some(folder) => inner(&tree, folder)?,
        None => tree,
    };
    task.end("done");
    Ok(Checkout { area, folder, commit })
}

fn check_reference(reference: &str) -> Result<()> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    if reference.starts_with(['-', '+', '/']) || reference.contains("..") || reference.contains(odd) {
        return Err(Error::invalid(format!("'{reference}' cannot be a branch, tag or commit")));
    }
    Ok(())
}

fn fetch(git: &Git, remote: &Remote, reference: &str) -> Result<()> {
    let url = remote.url.as_str();
    let unreachable = |e: Error| Error::new(Kind::Network, format!("cannot fetch {url}")).caused_by(e);
    let missing = || Error::not_found(format!("{url} has no branch, tag or commit '{reference}'"));
    let detach = |what: &str| git.run(&["checkout", "-q", "-f", "--detach", what]);
    match git.run(&["fetch", "-q", "--depth=1", "--no-tags", "--", url, reference]) {
        Ok(_) => return detach("FETCH_HEAD^{commit}").map(drop).map_err(unreachable),
        Err(e) if e.kind() != Kind::Exit => return Err(e),
        // It is not there, or is a commit that the server gives only with all others.
        Err(e) => match git.run(&["ls-remote", "-q", "--", url, "HEAD"]) {
            Ok(_) => {}
            Err(other) if other.kind() != Kind::Exit => return Err(other),
            Err(_) => return Err(unreachable(e)),
        },
    }
    if reference.len() < 4 || !reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(missing());
    }
    git.run(&["fetch", "-q", "--tags", "--", url, "+refs/heads/*:refs/remotes/origin/*"]).map_err(unreachable)?;
    match detach(&format!("{reference}^{{commit}}")) {
        Err(e) if e.kind() == Kind::Exit => Err(missing()),
        other => other.map(drop),
    }
}

/// The folder of a checkout that was asked for: no link leads there, as it could lead anywhere.
fn inner(tree: &Path, folder: &str) -> Result<PathBuf> {
    let name = folder.trim_matches('/');
    let name = if name.is_empty() { "." } else { name };
    let bad = |why: &str| Error::invalid(format!("'{folder}' of the repository {why}"));
    if name.split('/').any(|part| part == "..") {
        return Err(bad("has '..' in its path"));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(Root::open(tree)?.fd(), name, flags, Mode::empty(), inside) {
        Ok(_) => Ok(tree.join(name)),
        Err(Errno::NOENT) => Err(Error::not_found(format!("'{folder}' is not in the repository"))),
        Err(Errno::NOTDIR) => Err(bad("is not a folder")),
        Err(Errno::LOOP | Errno::XDEV) => Err(bad("is or lies behind a symbolic link")),
        Err(e) => Err(e).os(|| format!("open '{folder}' of the repository")),
    }
}

/// Removes everything called `.git`, in submodules too. Nobody else works on the tree.
fn remove_git(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        match (entry.file_name() == ".git", is_folder) {
            (true, true) => remove_tree(&entry.path())?,
            (true, false) => fs::remove_file(entry.path())?,
            (false, true) => remove_git(&entry.path())?,
            (false, false) => {}
        }
    }
    Ok(())
}

struct Git<'a> {
    engine: &'a Engine,
    tree: &'a Path,
}

impl Git<'_> {
    /// Runs git in the tree; what it prints.
    ///
    /// # Errors
    /// `unsupported` without git, `exit`, `interrupted`.
    fn run(&self, words: &[&str]) -> Result<String> {
        let mut argv = vec!["git".to_string()];
        for setting in SETTINGS {
            argv.extend(["-c".into(), setting.to_string()]);
        }
        argv.extend(words.iter().map(|word| word.to_string()));
        let env = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
            ("LC_ALL", "C"),
        ];
        let options = RunOptions {
            argv,
            env: env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            unset: UNSET.iter().map(|name| name.to_string()).collect(),
            cwd: Some(self.tree.to_path_buf()),
            capture: true,
            check: true,
            ..RunOptions::default()
        };
        match run(&options, self.engine.cancel()) {
            Ok(result) => Ok(String::from_utf8_lossy(&result.stdout).into_owned()),
            Err(e) if e.kind() == Kind::NotFound => {
                Err(Error::new(Kind::Unsupported, "git repositories need the program git, which is not installed"))
            }
            Err(e) if e.kind() == Kind::Exit => Err(said(&e)),
            Err(e) => Err(e),
        }
    }

    /// The same for what should not fail.
    fn must(&self, words: &[&str]) -> Result<String> {
        self.run(words).map_err(|e| match e.kind() {
            Kind::Exit => Error::new(Kind::Integrity, format!("git {} failed", words[0])).caused_by(e),
            _ => e,
        })
    }
}

/// What git said it failed at: neither the words it was called with nor its advice.
fn said(error: &Error) -> Error {
    let output = error.exit().map_or("", |exit| exit.stderr.as_str());
    let advice = |line: &&str| line.is_empty() || line.starts_with("warning: ") || line.starts_with("hint: ");
    let line = output.lines().map(str::trim).find(|line| !advice(line)).unwrap_or("git failed and said nothing");
    let plain = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: "));
    Error::new(Kind::Exit, plain.unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::super::super::error::ExitDetail;
    use super::*;

    #[test]
    fn causes_are_what_git_failed_at() {
        let of = |stderr: &str| {
            let exit = ExitDetail { code: 128, stderr: stderr.into() };
            said(&Error::new(Kind::Exit, "command failed").with_exit(exit)).message().to_string()
        };
        assert_eq!(
            of("warning: x\nfatal: repository 'r' not found\n\nPlease make sure\nit exists.\n"),
            "repository 'r' not found"
        );
        assert_eq!(of("ssh: no route\nfatal: Could not read from remote.\n"), "ssh: no route");
        assert_eq!(of("odd\n"), "odd");
        assert_eq!(of(""), "git failed and said nothing");
    }

    #[test]
    fn addresses_of_repositories() {
        let parts = |name: &str| Remote::parse(name).map(|r| (r.url, r.reference, r.folder));
        let some = |url: &str, reference: &str, folder: &str| {
            let given = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
            Some((url.to_string(), given(reference), given(folder)))
        };
        assert_eq!(parts("https://h/r.git#v1:sub/dir"), some("https://h/r.git", "v1", "sub/dir"));
        assert_eq!(parts("https://h/r.git#:sub"), some("https://h/r.git", "", "sub"));
        assert_eq!(parts("git@h:r#main"), some("git@h:r", "main", ""));
        assert_eq!(parts("ssh://h/r"), some("ssh://h/r", "", ""));
        assert_eq!(parts("file:///srv/r"), some("file:///srv/r", "", ""));
        for other in ["https://h/r.tar.gz", "folder", "folder.git", "ext::sh -c x", "-git@h", "/a/b.git"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }

    #[test]
    fn references_cannot_be_anything_else() {
        for bad in ["--upload-pack=x", "-x", "+a", "a..b", "a b", "a:b", "a^", "a\n", "/a"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        for good in ["HEAD", "main", "refs/heads/x", "v1.2.3", "0123abc", "feature/x@y"] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
    }
}
