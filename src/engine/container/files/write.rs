//! Putting things into a folder that others may be changing too.
//!
//! A regular file is written under a temporary name beside its place and renamed, so that nobody sees a part of it and
//! nothing of it stays when the copy is stopped. A folder gets its owner, mode and time when all is in it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::super::cancel::Cancel;
use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::layer::dress::{Meta, dress_file, dress_node};
use super::super::super::layer::entry::shown;
use super::super::super::layer::inspect::{Xattrs, stretches};
use super::super::super::layer::tree::{self, Place, Tree, is_folder};
use super::super::super::layer::unpack::node;
use super::super::super::store::random_id;
use super::CopyOptions;
use super::walk::{Item, Visitor};

const BUFFER: usize = 256 << 10;
/// Bytes the kernel is asked to copy at once: between two of these a copy can be stopped.
const KERNEL_PIECE: usize = 8 << 20;

/// Which side of the copy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A container's.
    Inside,
    /// The host's.
    Outside,
}

/// What receives a copy.
pub(super) struct Writer<'a> {
    pub tree: Tree,
    pub options: &'a CopyOptions,
    pub cancel: &'a Cancel,
    side: Side,
    owner: (u32, u32),
}

/// The components of a real path.
pub(super) fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect()
}

impl<'a> Writer<'a> {
    pub fn new(tree: Tree, side: Side, options: &'a CopyOptions, cancel: &'a Cancel) -> Writer<'a> {
        let owner = options.owner.unwrap_or(match side {
            Side::Inside => (0, 0),
            Side::Outside => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        });
        Writer { tree, options, cancel, side, owner }
    }

    /// Owner and attributes as the options have them.
    pub fn meta<'b>(&self, mode: u32, ids: (u32, u32), mtime: (i64, u32), xattrs: &'b Xattrs) -> Meta<'b> {
        let (uid, gid) = if self.options.archive { ids } else { self.owner };
        let xattrs: &[_] = if self.options.archive { xattrs } else { &[] };
        Meta { mode: mode & 0o7777, uid, gid, mtime, xattrs }
    }

    fn looks(&self, item: &Item) -> Result<(Xattrs, u32, (u32, u32))> {
        let xattrs = if self.options.archive { item.xattrs()? } else { Xattrs::new() };
        Ok((xattrs, item.stat.st_mode, (item.stat.st_uid, item.stat.st_gid)))
    }

    /// Checks what is at a place already against the options; true when a folder is there.
    pub fn guard(&mut self, place: &Place, folder: bool) -> Result<bool> {
        let Some(found) = tree::stat(place)? else { return Ok(false) };
        let there = is_folder(&found);
        if there == folder {
            return Ok(there);
        }
        if self.options.no_overwrite_dir_non_dir {
            return Err(Error::invalid(match folder {
                true => "a folder cannot take the place of what is not one",
                false => "what is no folder cannot take the place of one",
            }));
        }
        self.tree.clear(place)?;
        Ok(false)
    }

    /// Makes a folder unless it is there.
    pub fn make_folder(&mut self, place: &Place) -> Result<()> {
        if !self.guard(place, true)? {
            rustix::fs::mkdirat(&*place.folder, &place.name[..], Mode::from_raw_mode(0o700)).os(|| "make folder")?;
        }
        Ok(())
    }

    /// A regular file with the content that `fill` gives it.
    pub fn put_file(&mut self, place: &Place, meta: &Meta, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        self.guard(place, false)?;
        let temporary = format!(".moonshell-{}", &random_id()?[..16]);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&*place.folder, &temporary, flags, Mode::from_raw_mode(0o600)).os(|| "make a file")?;
        let done = fill(&fd).and_then(|()| dress_file(&fd, meta)).and_then(|()| {
            match rustix::fs::renameat(&*place.folder, &temporary, &*place.folder, &place.name[..]) {
                Err(Errno::BUSY) => Err(Error::new(Kind::InUse, "is a mount point and cannot be replaced")),
                other => other.os(|| "rename"),
            }
        });
        match done {
            Ok(()) => Ok(()),
            Err(e) => match rustix::fs::unlinkat(&*place.folder, &temporary, AtFlags::empty()) {
                // Somebody else may have removed it.
                Ok(()) | Err(Errno::NOENT) => Err(e),
                Err(left) => {
                    let message = format!("{} (and '{temporary}' beside it could not be removed: {left})", e.message());
                    Err(Error::new(e.kind(), message))
                }
            },
        }
    }

    /// A symbolic link.
    pub fn put_link(&mut self, place: &Place, target: &[u8], meta: &Meta) -> Result<()> {
        self.guard(place, false)?;
        self.tree.put(place, || rustix::fs::symlinkat(target, &*place.folder, &place.name[..]))?;
        dress_node(place, meta, true)
    }

    /// Another name for something in the same tree.
    pub fn put_hard_link(&mut self, place: &Place, first: &Place) -> Result<()> {
        if place.path == first.path {
            return Ok(());
        }
        self.guard(place, false)?;
        let make = || {
            let (from, to) = (&*first.folder, &*place.folder);
            rustix::fs::linkat(from, &first.name[..], to, &place.name[..], AtFlags::empty())
        };
        self.tree.put(place, make)
    }

    /// A pipe or a device.
    pub fn put_node(&mut self, place: &Place, kind: FileType, device: (u32, u32), meta: &Meta) -> Result<()> {
        if kind != FileType::Fifo {
            self.check_device()?;
        }
        self.guard(place, false)?;
        node(&mut self.tree, place, kind, device)?;
        dress_node(place, meta, false)
    }

    fn check_device(&self) -> Result<()> {
        match (self.side, self.options.archive) {
            (Side::Inside, true) => Ok(()),
            (Side::Inside, false) => Err(Error::new(Kind::Unsupported, "is a device")
                .with_hint("devices are copied only when owners are kept (-a)")),
            (Side::Outside, _) => Err(Error::new(Kind::Unsupported, "is a device")
                .with_hint("no devices are made on the host: copy to a tar stream, which can hold them")),
        }
    }

    fn apply(&mut self, item: &Item) -> Result<()> {
        let place = self.tree.enter(&parts(item.path), item.mtime())?;
        if let Some(first) = item.first {
            let first = self.tree.enter(&parts(first), item.mtime())?;
            match self.put_hard_link(&place, &first) {
                // On another mount here, or too many names: then it is a file of its own.
                Err(e) if matches!(e.errno(), Some(libc::EXDEV | libc::EMLINK)) => {}
                other => return other,
            }
        }
        let (xattrs, mode, ids) = self.looks(item)?;
        let meta = self.meta(mode, ids, item.mtime(), &xattrs);
        match item.kind() {
            FileType::RegularFile => {
                let (file, size, cancel) = (item.open()?, item.stat.st_size as u64, self.cancel);
                self.put_file(&place, &meta, |fd| copy_content(&file, fd, size, cancel))
            }
            FileType::Symlink => self.put_link(&place, &item.link()?, &meta),
            kind => {
                let device = (rustix::fs::major(item.stat.st_rdev), rustix::fs::minor(item.stat.st_rdev));
                self.put_node(&place, kind, device, &meta)
            }
        }
    }
}

/// Puts the name before what went wrong with it.
pub(super) fn named(path: &[u8], error: Error) -> Error {
    if error.kind() == Kind::Interrupted {
        return error;
    }
    let named = Error::new(error.kind(), format!("'{}': {}", shown(path), error.message()));
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}

impl Visitor for Writer<'_> {
    fn folder(&mut self, item: &Item) -> Result<()> {
        let place = self.tree.enter(&parts(item.path), item.mtime());
        place.and_then(|place| self.make_folder(&place)).map_err(|e| named(item.path, e))
    }

    fn leave(&mut self, item: &Item) -> Result<()> {
        let (xattrs, mode, ids) = self.looks(item).map_err(|e| named(item.path, e))?;
        let meta = self.meta(mode, ids, item.mtime(), &xattrs);
        let dressed = self.tree.dress_folder(item.path, &meta);
        dressed.and_then(|()| self.tree.set_time(item.path, meta.mtime)).map_err(|e| named(item.path, e))
    }

    fn thing(&mut self, item: &Item) -> Result<()> {
        self.apply(item).map_err(|e| named(item.path, e))
    }
}

/// Copies at most `size` bytes, holes as holes. A file that became shorter is copied as short as it is: so are those
/// the kernel makes up.
pub(crate) fn copy_content(from: &File, to: &OwnedFd, size: u64, cancel: &Cancel) -> Result<()> {
    let mut end = 0;
    let mut kernel = true;
    let mut buffer = Vec::new();
    for stretch in stretches(from, size).os(|| "find the holes")? {
        let mut at = stretch.offset;
        let last = stretch.offset + stretch.length;
        while at < last {
            cancel.check()?;
            let want = usize::try_from(last - at).unwrap_or(usize::MAX);
            let count = if kernel {
                match copy_in_kernel(from, to, at, want.min(KERNEL_PIECE))? {
                    Some(count) => count,
                    None => {
                        kernel = false;
                        continue;
                    }
                }
            } else {
                buffer.resize(BUFFER, 0);
                copy_through(from, to, at, want, &mut buffer)?
            };
            if count == 0 {
                break;
            }
            at += count as u64;
        }
        end = end.max(at);
        if at < last {
            return Ok(());
        }
    }
    // A hole at the end.
    if end < size { rustix::fs::ftruncate(to, size).os(|| "set size") } else { Ok(()) }
}

/// Nothing when these two files cannot be copied so.
fn copy_in_kernel(from: impl AsFd, to: impl AsFd, at: u64, want: usize) -> Result<Option<usize>> {
    let (mut start, mut target) = (at, at);
    match rustix::fs::copy_file_range(from, Some(&mut start), to, Some(&mut target), want) {
        // What the kernel makes up is shown as empty here, but not to read(2).
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(
            Errno::INTR
            | Errno::XDEV
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::TXTBSY
            | Errno::IO,
        ) => Ok(None),
        Err(e) => Err(e).os(|| "copy"),
    }
}

fn copy_through(from: &File, to: &OwnedFd, at: u64, want: usize, buffer: &mut [u8]) -> Result<usize> {
    let want = want.min(buffer.len());
    let count = loop {
        match rustix::io::pread(from, &mut buffer[..want], at) {
            Err(Errno::INTR) => {}
            other => break other.os(|| "read")?,
        }
    };
    let mut done = 0;
    while done < count {
        match rustix::io::pwrite(to, &buffer[done..count], at + done as u64) {
            Err(Errno::INTR) => {}
            other => done += other.os(|| "write")?,
        }
    }
    Ok(count)
}
