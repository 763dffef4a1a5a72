//! Taking trees away by descriptor: no name is looked up twice, no link is followed.
//!
//! Source: unlink(2), rmdir(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

/// Removes a tree; a tree that is not there is fine.
///
/// # Errors
/// The system's; what is left can be removed by another call.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            match openat(CWD, path, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(()),
                other => empty(other?)?,
            }
            gone(unlinkat(CWD, path, AtFlags::REMOVEDIR))
        }
        Err(Errno::NOTDIR) => gone(unlinkat(CWD, path, AtFlags::empty())),
        other => gone(other),
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn empty(folder: std::os::fd::OwnedFd) -> io::Result<()> {
    let mut entries = Dir::new(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let within = entries.fd()?;
        match entry.file_type() {
            FileType::Directory => remove_folder(within, name)?,
            _ => match unlinkat(within, name, AtFlags::empty()) {
                // A file system that does not tell, or a folder that came just now.
                Err(Errno::ISDIR) => remove_folder(within, name)?,
                other => gone(other)?,
            },
        }
    }
    Ok(())
}

/// Removes a folder and what is in it. Most of a container's are empty, so that is tried first.
fn remove_folder(within: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match unlinkat(within, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(Errno::NOTDIR) => return gone(unlinkat(within, name, AtFlags::empty())),
        other => return gone(other),
    }
    match openat(within, name, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => empty(other?)?,
    }
    gone(unlinkat(within.as_fd(), name, AtFlags::REMOVEDIR))
}

/// Somebody else may have been faster.
fn gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn whole_trees_go_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join("empty")).unwrap();
        fs::create_dir_all(outside.join("kept")).unwrap();
        for count in 0..2000 {
            fs::write(tree.join(format!("a/b/file-{count}")), "x").unwrap();
        }
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).unwrap();
        std::os::unix::fs::symlink("nowhere", tree.join("dangling")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(fs::symlink_metadata(&tree).is_err() && outside.join("kept").is_dir());
        remove_tree(&tree).unwrap();

        std::os::unix::fs::symlink(&outside, &tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(fs::symlink_metadata(&tree).is_err() && outside.join("kept").is_dir());
        fs::write(&tree, "a file").unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
