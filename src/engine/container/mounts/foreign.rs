//! Mounts of another container. A path below `/proc/PID/root` can be opened, but the kernel clones no mount of another
//! mount namespace (open_tree(2): EINVAL), so a helper process goes there and hands the clone over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::super::sys;
use super::super::super::sys::process::Side;
use super::super::birth::{pair, reap};
use super::super::wire::Failure;

/// The process and the path in its root that `source` means, if it is such a path.
pub(super) fn split(source: &Path) -> Option<(i32, PathBuf)> {
    let rest = source.strip_prefix("/proc").ok()?;
    let mut names = rest.iter();
    let pid = names.next()?.to_str()?.parse().ok()?;
    (names.next()? == "root").then(|| (pid, Path::new("/").join(names.as_path())))
}

/// Clones a mount that process `pid` has at `path`. The caller is single-threaded.
///
/// # Errors
/// `not_found`, `permission`, `os`.
pub(super) fn clone(pid: i32, path: &Path, flags: OpenTreeFlags) -> Result<OwnedFd> {
    let (ours, theirs) = pair()?;
    let helper = match sys::process::fork_into(0).map_err(|e| from_io(e, "fork"))? {
        Side::Parent(_, pidfd) => pidfd,
        Side::Child => {
            drop(ours);
            let (bytes, tree) = match visit(pid, path, flags) {
                Ok(tree) => (b"null".to_vec(), Some(tree)),
                Err(error) => (serde_json::to_vec(&Some(Failure::from(&error))).unwrap_or_default(), None),
            };
            let fds: Vec<_> = tree.iter().map(AsFd::as_fd).collect();
            // Without its message the parent knows that this process failed.
            let _ = sys::fd::send(&theirs, &bytes, &fds);
            sys::process::exit_now(0)
        }
    };
    drop(theirs);
    let answer = sys::fd::receive(&ours, 64 << 10);
    reap(&helper);
    let (bytes, fds) = answer.map_err(|e| from_io(e, "hear from the process that fetches a mount"))?;
    match (serde_json::from_slice::<Option<Failure>>(&bytes), fds.into_iter().next()) {
        (Ok(None), Some(tree)) => Ok(tree),
        (Ok(Some(failure)), _) => Err(failure.into()),
        _ => Err(Error::new(Kind::Internal, "the process that fetches a mount died")),
    }
}

/// In the helper: the root it has there is the other container's.
fn visit(pid: i32, path: &Path, flags: OpenTreeFlags) -> Result<OwnedFd> {
    let name = format!("/proc/{pid}/ns/mnt");
    let space =
        rustix::fs::open(&name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).os(|| format!("open {name}"))?;
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Mount)).os(|| format!("join {name}"))?;
    open_tree(CWD, path, flags).os(|| format!("mount source {} of process {pid}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_other_processes() {
        let part = |text: &str| split(Path::new(text));
        assert_eq!(part("/proc/12/root/dev/shm"), Some((12, "/dev/shm".into())));
        assert_eq!(part("/proc/12/root"), Some((12, "/".into())));
        for other in ["/proc/self/root/dev", "/proc/12/cwd", "/proc/12", "/dev/shm", "proc/1/root"] {
            assert_eq!(part(other), None, "{other}");
        }
    }
}
