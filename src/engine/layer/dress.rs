//! Owner, permissions, attributes and times of what was made.
//!
//! Source: chown(2), chmod(2), xattr(7), utimensat(2).

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::super::error::{Error, OsContext, Result};
use super::keeps_xattr;
use super::tree::Place;

/// Owner, permissions and attributes of an entry.
pub(crate) struct Meta<'a> {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Meta<'a> {
    /// That of something that exists.
    pub(crate) fn like(meta: &fs::Metadata, xattrs: &'a [(Vec<u8>, Vec<u8>)]) -> Meta<'a> {
        let nanos = u32::try_from(meta.mtime_nsec()).unwrap_or(0);
        Meta { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), mtime: (meta.mtime(), nanos), xattrs }
    }
}

pub(super) fn timespec((seconds, nanos): (i64, u32)) -> Timespec {
    Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) as _ }
}

pub(super) fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: mtime }
}

/// Owner, then mode (chown(2) clears setuid), then attributes (chown(2) clears capabilities).
pub(super) fn dress_open(fd: &OwnedFd, meta: &Meta) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    rustix::fs::fchown(fd, Some(uid), Some(gid)).os(|| "set owner")?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode)).os(|| "set mode")?;
    set_xattrs(meta, |name, value| rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()))
}

/// Owner, mode, attributes and time of a file that was just written.
pub(crate) fn dress_file(fd: &OwnedFd, meta: &Meta) -> Result<()> {
    dress_open(fd, meta)?;
    rustix::fs::futimens(fd, &times(timespec(meta.mtime))).os(|| "set time")
}

/// The same for what cannot be opened: links, devices, pipes.
pub(crate) fn dress_node(place: &Place, meta: &Meta, is_link: bool) -> Result<()> {
    let (folder, name) = (&*place.folder, &place.name[..]);
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).os(|| "set owner")?;
    if !is_link {
        // Before kernel 6.6 there is no chmod that does not follow. The descriptor is that of the node, whatever the
        // name has become meanwhile, and is refused if that is a link.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(folder, name, flags, Mode::empty()).os(|| "set mode")?;
        let found = rustix::fs::fstat(&node).os(|| "set mode")?;
        if matches!(FileType::from_raw_mode(found.st_mode), FileType::Symlink | FileType::RegularFile) {
            return Err(Error::integrity("was replaced while it was made"));
        }
        let entry = format!("/proc/self/fd/{}", node.as_raw_fd());
        rustix::fs::chmodat(CWD, entry, Mode::from_raw_mode(meta.mode), AtFlags::empty()).os(|| "set mode")?;
    }
    if !meta.xattrs.is_empty() {
        // Before kernel 6.13 attributes cannot be set relative to a descriptor; its entry below /proc stands for it.
        let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        set_xattrs(meta, |name, value| rustix::fs::lsetxattr(&path[..], name, value, XattrFlags::empty()))?;
    }
    let times = times(timespec(meta.mtime));
    rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW).os(|| "set time")
}

/// The same for anything in a tree that nobody else can change.
pub(crate) fn dress_path(path: &Path, meta: &Meta, is_link: bool) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).os(|| "set owner")?;
    if !is_link {
        rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(meta.mode), AtFlags::empty()).os(|| "set mode")?;
    }
    set_xattrs(meta, |name, value| rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()))?;
    let times = times(timespec(meta.mtime));
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).os(|| "set time")
}

fn set_xattrs(meta: &Meta, set: impl Fn(&[u8], &[u8]) -> rustix::io::Result<()>) -> Result<()> {
    for (name, value) in meta.xattrs.iter().filter(|(name, _)| keeps_xattr(name)) {
        match set(name, value) {
            Ok(()) => {}
            // Attributes a file system or namespace has no place for are lost, as with every other unpacker; not so a
            // capability, without which the program in the file would not work.
            Err(Errno::OPNOTSUPP | Errno::PERM) if name != b"security.capability" => {}
            Err(e) => return Err(e).os(|| format!("set the attribute {}", super::entry::shown(name))),
        }
    }
    Ok(())
}
