//! What a container may not see or change of its own file systems: masked and read-only paths.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, OFlags, ResolveFlags, fstat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::super::super::error::{Error, OsContext, Result};
use super::super::super::sys;
use super::filesystem::make;
use super::options::Options;
use super::{INSIDE, Root, file_type, join, lookup};

impl Root {
    /// Hides `masked` paths (files read as empty, folders are empty and read-only) and makes `read_only` ones so.
    ///
    /// # Errors
    /// `os`; `integrity` when the host's `/dev/null` is not what it should be.
    pub fn protect(&self, masked: &[String], read_only: &[String]) -> Result<()> {
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mut empty = None;
        for path in masked {
            let Some(place) = self.find(path)? else { continue };
            let tree = if file_type(&place)? == FileType::Directory {
                // Only what is mounted somewhere can be cloned (a detached tree not before Linux 6.15).
                match &empty {
                    Some(empty) => {
                        open_tree(empty, "", clone | OpenTreeFlags::AT_EMPTY_PATH).os(|| format!("mask {path}"))?
                    }
                    None => {
                        let options = Options::parse(&["ro", "nosuid", "nodev", "noexec"].map(String::from))?;
                        let tree = make("tmpfs", Path::new("tmpfs"), &options)?;
                        join(&tree, &place).os(|| format!("mask {path}"))?;
                        empty = Some(tree);
                        continue;
                    }
                }
            } else {
                null(clone)?
            };
            join(&tree, &place).os(|| format!("mask {path}"))?;
        }
        for path in read_only {
            let Some(place) = self.find(path)? else { continue };
            let flags = clone | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
            let tree = open_tree(&place, "", flags).os(|| format!("protect {path}"))?;
            sys::mount::set_attributes(&tree, true, libc::MOUNT_ATTR_RDONLY, 0, 0).os(|| format!("protect {path}"))?;
            join(&tree, &place).os(|| format!("protect {path}"))?;
        }
        Ok(())
    }

    /// A path to protect: below one of our own mounts from its descriptor and without links, else inside the root.
    fn find(&self, path: &str) -> Result<Option<OwnedFd>> {
        let path = Path::new(path);
        let own = self.own.iter().rev().find_map(|(at, fd)| path.strip_prefix(at).ok().map(|rest| (fd, rest)));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = match own {
            Some((fd, rest)) if rest.as_os_str().is_empty() => fd.try_clone().map_err(|_| Errno::MFILE),
            Some((fd, rest)) => lookup(fd, rest, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS),
            None => lookup(&self.fd, path, flags, INSIDE),
        };
        match found {
            Ok(fd) => Ok(Some(fd)),
            // ACCES: below a folder that a user namespace's root may not enter, nobody in it can look.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
            Err(e) => Err(e).os(|| format!("protect {}", path.display())),
        }
    }

    /// Puts a terminal's slave on `/dev/console`.
    ///
    /// # Errors
    /// `os`.
    pub fn console(&self, slave: &OwnedFd) -> Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(slave.as_fd(), "", flags).os(|| "the terminal")?;
        self.attach(&tree, Path::new("/dev/console"), false, true)
    }
}

/// The host's `/dev/null`, if that is what it is.
fn null(clone: OpenTreeFlags) -> Result<OwnedFd> {
    let tree = open_tree(CWD, "/dev/null", clone).os(|| "/dev/null")?;
    let stat = fstat(&tree).os(|| "/dev/null")?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(tree) } else { Err(Error::integrity("/dev/null of this host is not the null device")) }
}
