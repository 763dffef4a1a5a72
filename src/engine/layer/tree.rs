//! The folder a layer is unpacked into: every change to it goes through here.
//!
//! A name from an archive is turned into a real path, relative to the root and free of symbolic links, by
//! [`Tree::enter`]. Folders are opened with `openat2` forbidding links and ways out (kernel 5.6), and everything else
//! is done with one component relative to such a descriptor, never following a last link; so a mistake in the
//! resolution could at worst misplace a file inside the root.
//!
//! Few folders are open at a time. One that was changed gets its time back when it is closed, so that memory does not
//! grow with the number of folders.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, XattrFlags};
use rustix::io::Errno;

use super::super::error::{Error, OsContext, Result};
use super::super::inroot::resolve_links;
use super::dress::{Meta, dress_open, times, timespec};
use super::overlay_xattr_prefix;

/// Folders a path may go through. Removing a tree opens one descriptor a level, and processes commonly may have 1,024.
pub(crate) const MAX_DEPTH: usize = 256;
/// Bytes of a path: the kernel's PATH_MAX.
const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;
/// What [`components`] says of a name that climbs.
pub(crate) const CLIMBS: &str = "climbs out of the root file system";
const TOO_DEEP: &str = "lies more than 256 folders deep";
const OPEN_FOLDERS: usize = 16;

struct Open {
    path: Vec<u8>,
    fd: Rc<OwnedFd>,
    mtime: Timespec,
    changed: bool,
    used: u64,
}

/// A folder being filled.
pub(crate) struct Tree {
    root: OwnedFd,
    // A layer's folders keep their times whatever is put into them. Elsewhere the kernel's rule holds.
    keep_times: bool,
    // Whether links on the way are followed, inside the root.
    follow: bool,
    open: Vec<Open>,
    clock: u64,
}

/// A place for an entry: an open folder and a name in it. `path` is the real path, for bookkeeping only.
pub(crate) struct Place {
    pub folder: Rc<OwnedFd>,
    pub name: Vec<u8>,
    pub path: Vec<u8>,
}

/// What a name means: its components, without empty ones, `.` and `..`. Says how a refused name offends.
pub(crate) fn components(name: &[u8]) -> std::result::Result<Vec<&[u8]>, &'static str> {
    if name.len() > MAX_PATH {
        return Err("has a path longer than 4096 bytes");
    }
    let mut parts = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or(CLIMBS)?;
            }
            _ if part.len() > MAX_NAME => return Err("has a name longer than 255 bytes"),
            _ => parts.push(part),
        }
    }
    if parts.len() > MAX_DEPTH { Err(TOO_DEEP) } else { Ok(parts) }
}

pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(crate) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Tree {
    pub fn open(root: &Path) -> Result<Tree> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty()).os(|| format!("open {}", root.display()))?;
        Ok(Tree { root, keep_times: true, follow: true, open: Vec::new(), clock: 0 })
    }

    /// A tree that others may be changing, below a descriptor. A folder's time is what was last asked for, or what the
    /// kernel makes of it. Without `follow` a link on the way is an error.
    pub fn at(root: OwnedFd, follow: bool) -> Tree {
        Tree { root, keep_times: false, follow, open: Vec::new(), clock: 0 }
    }

    /// The folder at a real path, and its place in the list of open ones.
    fn folder(&mut self, path: &[u8]) -> rustix::io::Result<usize> {
        self.clock += 1;
        if let Some(at) = self.open.iter().position(|open| open.path == path) {
            self.open[at].used = self.clock;
            return Ok(at);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if path.is_empty() { &b"."[..] } else { path };
        let fd = rustix::fs::openat2(&self.root, name, flags, Mode::empty(), resolve)?;
        let stat = rustix::fs::fstat(&fd)?;
        let mtime = Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ };
        if self.open.len() >= OPEN_FOLDERS {
            let oldest = (0..self.open.len()).min_by_key(|at| self.open[*at].used).unwrap_or(0);
            self.close(oldest)?;
        }
        let (path, fd, used) = (path.to_vec(), Rc::new(fd), self.clock);
        self.open.push(Open { path, fd, mtime, changed: false, used });
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, at: usize) -> rustix::io::Result<()> {
        let open = self.open.swap_remove(at);
        if open.changed { rustix::fs::futimens(&open.fd, &times(open.mtime)) } else { Ok(()) }
    }

    /// Forgets a folder that is about to be removed, and all in it.
    fn forget(&mut self, path: &[u8]) {
        self.open.retain(|open| {
            open.path.strip_prefix(path).is_none_or(|rest| !(rest.is_empty() || rest.starts_with(b"/")))
        });
    }

    /// Gives all folders their times.
    pub fn finish(mut self) -> Result<()> {
        while !self.open.is_empty() {
            self.close(0).os(|| "set the time of a folder")?;
        }
        Ok(())
    }

    /// The real path of the folder that `parts` lead to, made where it is missing. Links on the way are followed as a
    /// process whose root is the tree would follow them.
    pub fn enter_folder(&mut self, parts: &[&[u8]], mtime: (i64, u32)) -> Result<Vec<u8>> {
        let path = parts.join(&b'/');
        match self.folder(&path) {
            Ok(_) => Ok(path),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) if self.follow => {
                let path = self.resolve(parts)?;
                self.make(&path, mtime)?;
                Ok(path)
            }
            Err(e) => Err(e).os(|| "open its folder"),
        }
    }

    /// The place that `parts` (not empty) name, in a folder entered as [`Tree::enter_folder`] does and about to be
    /// changed. The last component is not followed.
    pub fn enter(&mut self, parts: &[&[u8]], mtime: (i64, u32)) -> Result<Place> {
        let (name, parents) = parts.split_last().ok_or_else(|| Error::integrity("names the root itself"))?;
        let path = self.enter_folder(parents, mtime)?;
        let at = self.folder(&path).os(|| "open its folder")?;
        self.open[at].changed = self.keep_times;
        let folder = self.open[at].fd.clone();
        Ok(Place { folder, name: name.to_vec(), path: join(&path, name) })
    }

    /// Like [`Tree::enter`], but makes and changes nothing.
    pub fn find(&mut self, parts: &[&[u8]]) -> Result<Option<Place>> {
        let Some((name, parents)) = parts.split_last() else { return Ok(None) };
        let path = self.resolve(parents)?;
        match self.folder(&path) {
            Ok(at) => {
                let folder = self.open[at].fd.clone();
                Ok(Some(Place { folder, name: name.to_vec(), path: join(&path, name) }))
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e).os(|| "open its folder"),
        }
    }

    /// The path without symbolic links that `parts` lead to. What does not exist is taken as it is written.
    fn resolve(&mut self, parts: &[&[u8]]) -> Result<Vec<u8>> {
        let readlink = |folder: &[Vec<u8>], name: &[u8]| match self.folder(&folder.join(&b'/')) {
            Ok(at) => match rustix::fs::readlinkat(&self.open[at].fd, name, Vec::new()) {
                Ok(target) => Ok(Some(target.into_bytes())),
                Err(Errno::INVAL | Errno::NOENT) => Ok(None),
                Err(e) => Err(e),
            },
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(e),
        };
        let real = resolve_links(&parts.join(&b'/'), readlink).os(|| "read a symbolic link on its way")?;
        let real = real.ok_or_else(|| Error::integrity("lies behind more than 40 symbolic links"))?;
        if real.len() >= MAX_DEPTH { Err(Error::integrity(TOO_DEEP)) } else { Ok(real.join(&b'/')) }
    }

    /// Makes the missing folders of a real path: root's, mode 0755, with the time of the entry that needs them.
    fn make(&mut self, path: &[u8], mtime: (i64, u32)) -> Result<()> {
        let mut done = Vec::new();
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let next = join(&done, part);
            match self.folder(&next) {
                Ok(_) => {}
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    let parent = self.folder(&done).os(|| "open its folder")?;
                    self.open[parent].changed = self.keep_times;
                    let folder = self.open[parent].fd.clone();
                    let place = Place { folder, name: part.to_vec(), path: next.clone() };
                    let opaque = match stat(&place)? {
                        None => false,
                        Some(found) if is_whiteout(&found) => {
                            unlink(&place)?;
                            true
                        }
                        Some(_) => {
                            let next = super::entry::shown(&next);
                            return Err(Error::integrity(format!("lies below '{next}', which is not a folder")));
                        }
                    };
                    self.make_folder(&place, opaque, &Meta { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: &[] })?;
                }
                Err(e) => return Err(e).os(|| "open its folder"),
            }
            done = next;
        }
        Ok(())
    }

    fn make_folder(&mut self, place: &Place, opaque: bool, meta: &Meta) -> Result<()> {
        rustix::fs::mkdirat(&*place.folder, &place.name[..], Mode::from_raw_mode(0o700)).os(|| "make folder")?;
        self.dress_folder(&place.path, meta)?;
        if opaque { self.set_opaque(&place.path) } else { Ok(()) }
    }

    /// Gives a folder its owner, mode and attributes at once, its time when it is closed.
    pub fn dress_folder(&mut self, path: &[u8], meta: &Meta) -> Result<()> {
        let at = self.folder(path).os(|| "open folder")?;
        let open = &mut self.open[at];
        (open.mtime, open.changed) = (timespec(meta.mtime), self.keep_times);
        dress_open(&open.fd, meta)
    }

    /// The folder at a real path.
    pub fn descriptor(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        let at = self.folder(path).os(|| "open folder")?;
        Ok(self.open[at].fd.clone())
    }

    /// Gives a folder its time now: to be called when all is in it.
    pub fn set_time(&mut self, path: &[u8], mtime: (i64, u32)) -> Result<()> {
        let at = self.folder(path).os(|| "open folder")?;
        rustix::fs::futimens(&self.open[at].fd, &times(timespec(mtime))).os(|| "set the time of a folder")
    }

    /// Makes a folder hide what lower layers have in its place.
    pub fn set_opaque(&mut self, path: &[u8]) -> Result<()> {
        let at = self.folder(path).os(|| "open folder")?;
        let name = format!("{}opaque", overlay_xattr_prefix());
        rustix::fs::fsetxattr(&self.open[at].fd, name, b"y", XattrFlags::empty()).os(|| "make the folder opaque")
    }

    /// A folder: made, merged with one that is there, or put in the place of something else.
    pub fn folder_entry(&mut self, place: &Place, meta: &Meta) -> Result<()> {
        match stat(place)? {
            Some(found) if is_folder(&found) => self.dress_folder(&place.path, meta),
            Some(found) => {
                unlink(place)?;
                self.make_folder(place, is_whiteout(&found), meta)
            }
            None => self.make_folder(place, false, meta),
        }
    }

    /// Removes what is at a place, a folder with all that is in it.
    pub fn clear(&mut self, place: &Place) -> Result<()> {
        match stat(place)? {
            Some(found) if is_folder(&found) => {
                self.forget(&place.path);
                remove_tree(&place.folder, &place.name).os(|| "remove what it replaces")
            }
            Some(_) => unlink(place),
            None => Ok(()),
        }
    }

    /// Makes something that is not a folder with `make`, removing what is in its place.
    pub fn put<T>(&mut self, place: &Place, mut make: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(place)?;
                make().os(|| "create")
            }
            other => other.os(|| "create"),
        }
    }
}

/// What is at a place; a last link is not followed.
pub(crate) fn stat(place: &Place) -> Result<Option<Stat>> {
    match rustix::fs::statat(&*place.folder, &place.name[..], AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).os(|| "stat"),
    }
}

fn unlink(place: &Place) -> Result<()> {
    rustix::fs::unlinkat(&*place.folder, &place.name[..], AtFlags::empty()).os(|| "remove what it replaces")
}

fn remove_tree(folder: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(&fd)? {
        let entry = entry?;
        let inner = entry.file_name().to_bytes();
        if inner == b"." || inner == b".." {
            continue;
        }
        match rustix::fs::unlinkat(&fd, inner, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(&fd, inner)?,
            other => other?,
        }
    }
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_components() {
        for (name, want) in [
            ("a/b", Ok("a/b")),
            ("./a//b/.", Ok("a/b")),
            ("/a", Ok("a")),
            ("", Ok("")),
            ("./", Ok("")),
            ("a/../b", Ok("b")),
            ("a/..", Ok("")),
            ("..", Err("climbs out of the root file system")),
            ("/../a", Err("climbs out of the root file system")),
            ("a/../../b", Err("climbs out of the root file system")),
            ("...", Ok("...")),
        ] {
            let found = components(name.as_bytes()).map(|parts| String::from_utf8(parts.join(&b'/')).unwrap());
            assert_eq!(found.as_deref(), want.as_ref().map(|want| *want), "{name}");
        }
        assert!(components(&[b'x'; 256]).is_err());
        assert!(components("a/".repeat(257).as_bytes()).is_err());
        assert!(components(&[b'/'; 5000]).is_err());
    }
}
