//! Tar streams: out of a container, into one, and the whole root.
//!
//! A stream from outside is read by the reader of layers, with its checks and bounds; a name that climbs out of the
//! target folder and a hard link to outside it are refused. Links that are in the container already are followed
//! inside its root, as a process in it would.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags};

use super::super::super::cancel::Cancel;
use super::super::super::error::{Error, OsContext, Result};
use super::super::super::inroot::Root;
use super::super::super::layer::archive::Archive;
use super::super::super::layer::decompress;
use super::super::super::layer::entry::{Entry, EntryKind, shown};
use super::super::super::layer::inspect::Xattrs;
use super::super::super::layer::tree::{self, Place, Tree, components, is_folder};
use super::super::super::layer::unpack::{node_type, write};
use super::super::super::layer::writer::{Head, TarWriter};
use super::place::root_source;
use super::walk::{Item, Visitor, Walk};
use super::write::{Side, Writer, named};
use super::{CopyOptions, during};

/// Unpacks a tar stream (plain, gzip or zstd) into a folder of the container whose root this is. Reads to its end.
///
/// # Errors
/// `not_found` when the folder is missing; `invalid_argument` for what is none and for a folder that would take the
/// place of something else or the other way round; `integrity` for a damaged stream and for one that leads out of the
/// folder; `unsupported`, `interrupted`, `os`. What was unpacked by then remains.
pub fn tar_in(
    root: BorrowedFd<'_>,
    reader: &mut (dyn Read + Send),
    target_dir: &str,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    let root = Root::from_fd(root, "/")?;
    let top = root.resolve(Path::new(target_dir))?;
    match root.stat(target_dir)? {
        Some(stat) if is_folder(&stat) => {}
        Some(_) => return Err(Error::invalid(format!("'{target_dir}' of the container is not a folder"))),
        None => return Err(Error::not_found(format!("no such folder in the container: '{target_dir}'"))),
    }
    let tree = Tree::at(root.fd().try_clone_to_owned().os(|| "duplicate a descriptor")?, true);
    let writer = Writer::new(tree, Side::Inside, options, cancel);
    let mut receiver = Receiver { writer, top, folders: HashMap::new() };
    let into = || format!("cannot unpack into '{target_dir}' of the container");
    let plain = decompress(reader).map_err(|e| during(e, into))?;
    let mut archive = Archive::new(plain, options.limits, "stream");
    while let Some(entry) = archive.next().map_err(|e| during(e, into))? {
        cancel.check()?;
        let done = receiver.entry(&mut archive, &entry).map_err(|e| named(&entry.name, e));
        done.map_err(|e| during(e, into))?;
    }
    archive.drain().map_err(|e| during(e, into))?;
    receiver.finish().map_err(|e| during(e, into))
}

/// What a stream is unpacked into.
struct Receiver<'a> {
    writer: Writer<'a>,
    top: Vec<Vec<u8>>,
    /// Times that folders get at the end.
    folders: HashMap<Vec<u8>, (i64, u32)>,
}

impl Receiver<'_> {
    /// A name's components from the root on.
    fn parts<'b>(&'b self, name: &'b [u8]) -> Result<Vec<&'b [u8]>> {
        let inner = components(name).map_err(|why| match why {
            tree::CLIMBS => Error::integrity("climbs out of the target folder"),
            why => Error::integrity(why),
        })?;
        Ok(self.top.iter().map(Vec::as_slice).chain(inner).collect())
    }

    fn place(&mut self, entry: &Entry) -> Result<Option<Place>> {
        let parts: Vec<Vec<u8>> = self.parts(&entry.name)?.into_iter().map(<[u8]>::to_vec).collect();
        if parts.len() == self.top.len() {
            return match entry.kind {
                // The target folder stays as it is.
                EntryKind::Dir => Ok(None),
                _ => Err(Error::integrity("names the target folder but is not a folder")),
            };
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        self.writer.tree.enter(&parts, entry.mtime).map(Some)
    }

    fn entry<R: Read>(&mut self, archive: &mut Archive<R>, entry: &Entry) -> Result<()> {
        if entry.kind == EntryKind::HardLink {
            return self.hard_link(entry);
        }
        let Some(place) = self.place(entry)? else { return Ok(()) };
        let meta = self.writer.meta(entry.mode, (entry.uid, entry.gid), entry.mtime, &entry.xattrs);
        match entry.kind {
            EntryKind::Dir => {
                self.writer.make_folder(&place)?;
                self.writer.tree.dress_folder(&place.path, &meta)?;
                self.folders.insert(place.path, meta.mtime);
                Ok(())
            }
            EntryKind::File => {
                let cancel = self.writer.cancel;
                self.writer.put_file(&place, &meta, |fd| write(archive, entry, fd, cancel))
            }
            EntryKind::Symlink if entry.link.is_empty() => Err(Error::integrity("is a symbolic link to nothing")),
            EntryKind::Symlink => self.writer.put_link(&place, &entry.link, &meta),
            kind => self.writer.put_node(&place, node_type(kind), entry.device, &meta),
        }
    }

    fn hard_link(&mut self, entry: &Entry) -> Result<()> {
        let link = shown(&entry.link);
        let parts = self.parts(&entry.link);
        let parts = parts.map_err(|_| Error::integrity(format!("is a hard link to '{link}', outside the folder")))?;
        let parts: Vec<Vec<u8>> = parts.into_iter().map(<[u8]>::to_vec).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let missing = || Error::integrity(format!("is a hard link to '{link}', which is not there"));
        // The target first: opening folders for it could close the one the link goes to.
        let first = self.writer.tree.find(&parts)?.ok_or_else(missing)?;
        match tree::stat(&first)? {
            None => return Err(missing()),
            Some(found) if is_folder(&found) => {
                return Err(Error::integrity(format!("is a hard link to '{link}', which is a folder")));
            }
            Some(_) => {}
        }
        let Some(place) = self.place(entry)? else { return Ok(()) };
        self.writer.put_hard_link(&place, &first)
    }

    fn finish(mut self) -> Result<()> {
        for (path, mtime) in &self.folders {
            self.writer.tree.set_time(path, *mtime).map_err(|e| named(path, e))?;
        }
        Ok(())
    }
}

/// Writes what is at `source` as a tar stream whose names begin with its own name (`./` for a path that ends in `/.`).
/// Of the whole root, the kernel's mounts (`/proc`, `/sys`, `/dev`) are empty folders.
///
/// # Errors
/// `not_found`, `unsupported`; `integrity` for a file that becomes shorter meanwhile; `interrupted`, `os`.
pub fn tar_out(
    root: BorrowedFd<'_>,
    source: &str,
    writer: &mut dyn Write,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    let from = root_source(&Root::from_fd(root, "/")?, source, options)?;
    let name = match &from.name {
        Some(name) if !from.contents => std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()),
        _ => b".",
    };
    let mut sender = Sender { tar: TarWriter::new(writer), cancel };
    let sent = Walk::new(cancel).starting_at_root(from.name.is_none()).visit(&from.handle, name, &mut sender);
    sent.and_then(|()| sender.tar.finish()).map_err(|e| during(e, || format!("cannot copy {}", from.label)))
}

/// Writes the whole root as a tar stream: its own file system only. A mount point that hides what lies below is an
/// empty folder, or an empty file.
///
/// # Errors
/// As [`tar_out`].
pub fn export(root: BorrowedFd<'_>, writer: &mut dyn Write, cancel: &Cancel) -> Result<()> {
    let root = Root::from_fd(root, "/")?;
    let top = root.open_with("/", OFlags::PATH | OFlags::DIRECTORY)?;
    let mut sender = Sender { tar: TarWriter::new(writer), cancel };
    let sent = Walk::new(cancel).on_one_file_system().contents(&top, b"", &mut sender);
    sent.and_then(|()| sender.tar.finish()).map_err(|e| during(e, || "cannot export the container".into()))
}

/// A tree on its way into a tar stream.
struct Sender<'a, W> {
    tar: TarWriter<W>,
    cancel: &'a Cancel,
}

impl<W: Write> Sender<'_, W> {
    fn send(&mut self, item: &Item) -> Result<()> {
        if item.mounted {
            return self.tar.head(&Head { path: item.path, mode: 0o644, ..Head::default() });
        }
        let head = Head::of(item.stat, item.path);
        if let Some(first) = item.first {
            return self.tar.head(&Head { kind: b'1', link: first, ..head });
        }
        let xattrs: Xattrs = item.xattrs()?;
        let kind = match item.kind() {
            FileType::RegularFile => {
                let file = item.open()?;
                return self.tar.file(Head { xattrs, ..head }, &file, item.stat.st_size as u64, self.cancel);
            }
            FileType::Symlink => {
                return self.tar.head(&Head { kind: b'2', link: &item.link()?, xattrs, ..head });
            }
            FileType::CharacterDevice => b'3',
            FileType::BlockDevice => b'4',
            _ => b'6',
        };
        let device = if kind == b'6' { 0 } else { item.stat.st_rdev };
        self.tar.head(&Head { kind, device, xattrs, ..head })
    }
}

impl<W: Write> Visitor for Sender<'_, W> {
    fn folder(&mut self, item: &Item) -> Result<()> {
        let path = [item.path, b"/"].concat();
        let head = match item.mounted {
            true => Head { path: &path, kind: b'5', mode: 0o755, ..Head::default() },
            false => {
                let xattrs = item.xattrs().map_err(|e| named(item.path, e))?;
                Head { kind: b'5', xattrs, ..Head::of(item.stat, &path) }
            }
        };
        self.tar.head(&head)
    }

    fn leave(&mut self, _: &Item) -> Result<()> {
        Ok(())
    }

    fn thing(&mut self, item: &Item) -> Result<()> {
        self.send(item).map_err(|e| named(item.path, e))
    }
}
