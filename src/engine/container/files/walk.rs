//! Walking a tree that somebody else may be changing: each thing is a descriptor that was opened without following a
//! link (`O_PATH`), and everything about it is asked of that descriptor.
//!
//! Sockets are left out. What vanishes between the listing and the look at it is left out too.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;

use super::super::super::cancel::Cancel;
use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::layer::entry::shown;
use super::super::super::layer::inspect::{Xattrs, reopen, xattrs};
use super::super::super::layer::tree::{MAX_DEPTH, is_folder, join};

/// One thing of a tree.
pub(super) struct Item<'a> {
    /// What the visitor calls it.
    pub path: &'a [u8],
    /// An O_PATH descriptor.
    pub handle: &'a OwnedFd,
    pub stat: &'a Stat,
    /// The first name of a file that was met before.
    pub first: Option<&'a [u8]>,
    /// Another file system is mounted on it, which the walk does not enter.
    pub mounted: bool,
}

impl Item<'_> {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub fn mtime(&self) -> (i64, u32) {
        (self.stat.st_mtime, self.stat.st_mtime_nsec as u32)
    }

    /// Opens a regular file for reading.
    pub fn open(&self) -> Result<File> {
        reopen(self.handle).os(|| "open")
    }

    /// What a symbolic link says.
    pub fn link(&self) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.handle, "", Vec::new());
        target.map(|target| target.into_bytes()).os(|| "read link")
    }

    pub fn xattrs(&self) -> Result<Xattrs> {
        xattrs(self.handle, self.path)
    }
}

/// What is done with the things of a tree.
pub(super) trait Visitor {
    /// A folder, before what is in it.
    fn folder(&mut self, item: &Item) -> Result<()>;
    /// The same, after.
    fn leave(&mut self, item: &Item) -> Result<()>;
    /// Anything else.
    fn thing(&mut self, item: &Item) -> Result<()>;
}

/// A walk through one tree.
pub(super) struct Walk<'a> {
    cancel: &'a Cancel,
    one_file_system: bool,
    at_root: bool,
    links: HashMap<(u64, u64), Vec<u8>>,
    avoid: Option<(u64, u64)>,
}

/// Mount points of a root that show the kernel and its devices, not files.
const KERNELS: [&[u8]; 3] = [b"dev", b"proc", b"sys"];

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PLAIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

impl<'a> Walk<'a> {
    pub fn new(cancel: &'a Cancel) -> Walk<'a> {
        Walk { cancel, one_file_system: false, at_root: false, links: HashMap::new(), avoid: None }
    }

    /// Mount points are visited, but not what is mounted there.
    pub fn on_one_file_system(mut self) -> Self {
        self.one_file_system = true;
        self
    }

    /// The walk starts at a root: what is mounted there by every engine ([`KERNELS`]) is not what was asked for.
    pub fn starting_at_root(mut self, root: bool) -> Self {
        self.at_root = root;
        self
    }

    /// Refuses to enter this folder: it is where the copy goes.
    pub fn avoiding(mut self, folder: BorrowedFd<'_>) -> Result<Self> {
        let stat = fstat(folder).os(|| "stat the target")?;
        self.avoid = Some((stat.st_dev, stat.st_ino));
        Ok(self)
    }

    /// Visits what `handle` stands for and, if that is a folder, all that is in it.
    pub fn visit(&mut self, handle: &OwnedFd, path: &[u8], visitor: &mut dyn Visitor) -> Result<()> {
        self.item(handle, path, false, 0, visitor)
    }

    /// Visits what is in a folder, the folder itself not.
    pub fn contents(&mut self, handle: &OwnedFd, path: &[u8], visitor: &mut dyn Visitor) -> Result<()> {
        self.check(&fstat(handle).os(|| format!("stat '{}'", shown(path)))?, path)?;
        self.inside(handle, path, 0, visitor)
    }

    fn check(&self, stat: &Stat, path: &[u8]) -> Result<()> {
        if self.avoid == Some((stat.st_dev, stat.st_ino)) {
            return Err(Error::invalid(format!("cannot copy a folder into itself: '{}'", shown(path))));
        }
        Ok(())
    }

    fn item(
        &mut self,
        handle: &OwnedFd,
        path: &[u8],
        mounted: bool,
        depth: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let stat = &fstat(handle).os(|| format!("stat '{}'", shown(path)))?;
        if is_folder(stat) {
            self.check(stat, path)?;
            let item = Item { path, handle, stat, first: None, mounted };
            visitor.folder(&item)?;
            if !mounted {
                self.inside(handle, path, depth, visitor)?;
            }
            return visitor.leave(&item);
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
            return Ok(());
        }
        let mut first = None;
        if stat.st_nlink > 1 && !mounted {
            let key = (stat.st_dev, stat.st_ino);
            first = self.links.get(&key).cloned();
            if first.is_none() {
                self.links.insert(key, path.to_vec());
            }
        }
        visitor.thing(&Item { path, handle, stat, first: first.as_deref(), mounted })
    }

    fn inside(&mut self, handle: &OwnedFd, path: &[u8], depth: usize, visitor: &mut dyn Visitor) -> Result<()> {
        if depth >= MAX_DEPTH {
            let message = format!("'{}' lies more than {MAX_DEPTH} folders deep", shown(path));
            return Err(Error::new(Kind::Unsupported, message));
        }
        for name in names(handle, path)? {
            self.cancel.check()?;
            let inner = join(path, &name);
            let stay = self.one_file_system || (self.at_root && depth == 0 && KERNELS.contains(&&name[..]));
            let Some((child, mounted)) = child(handle, &name, &inner, stay)? else { continue };
            self.item(&child, &inner, mounted, depth + 1, visitor)?;
        }
        Ok(())
    }
}

/// A thing in a folder, and whether it is another file system's that is not to be entered.
fn child(folder: &OwnedFd, name: &[u8], path: &[u8], stay: bool) -> Result<Option<(OwnedFd, bool)>> {
    let open = |more| openat2(folder, name, HANDLE, Mode::empty(), PLAIN | more);
    let (found, mounted) = match open(if stay { ResolveFlags::NO_XDEV } else { ResolveFlags::empty() }) {
        Err(Errno::XDEV) => (open(ResolveFlags::empty()), true),
        other => (other, false),
    };
    match found {
        Ok(child) => Ok(Some((child, mounted))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).os(|| format!("open '{}'", shown(path))),
    }
}

/// The names in a folder, sorted.
pub(super) fn names(folder: &impl AsFd, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let what = || format!("list '{}'", shown(path));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat2(folder, ".", flags, Mode::empty(), PLAIN).os(what)?;
    let mut names = Vec::new();
    for entry in Dir::new(fd).os(what)? {
        let entry = entry.os(what)?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    names.sort_unstable();
    Ok(names)
}
