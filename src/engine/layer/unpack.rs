//! From a tar stream to an overlayfs lower folder, in one pass.
//!
//! Each entry lands inside the root or is refused by name. As with Docker and containerd, a folder on the way that is
//! a symbolic link is followed inside the root, `..` that stays inside is allowed, an absolute name is made
//! relative, and what is in an entry's place is replaced, never written into. What is refused: `..` that climbs,
//! hard links to what this layer does not have, a whiteout of `.` or `..`, anything below something that is not a
//! folder, and a character device 0:0, which overlayfs would take for a removal that no other engine sees.
//! overlayfs's own attributes are left out (they could point the mount at other content).
//!
//! `.wh.NAME` removes NAME of lower layers only, wherever it stands in the archive: beside a folder NAME of the same
//! layer it makes that opaque, beside anything else it says nothing new.
//!
//! Source: OCI image specification 1.1, layer.md, "Applying Changesets" and "Whiteouts".

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use super::super::Limits;
use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::archive::{Archive, LAYER};
use super::dress::{Meta, dress_file, dress_node};
use super::entry::{Entry, EntryKind, shown};
use super::tree::{self, Place, Tree};

/// How to unpack.
pub struct UnpackOptions<'a> {
    /// Bounds: `layer_bytes` counts the archive's bytes, `layer_entries` its entries.
    pub limits: Limits,
    /// Stops the work.
    pub cancel: &'a Cancel,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Unpacks a layer below `root`, an empty folder on a file system that has what the layer has (owners, devices,
/// extended attributes). Reads to the end of the stream. Nothing is made durable; see `Store::install_layer`.
///
/// # Errors
/// `integrity` for an archive that is damaged, passes a limit or leads out of the root; `permission` for a device
/// that this process may not make; `interrupted`; `os`. What was unpacked so far remains.
pub fn unpack(tar: impl Read, root: &Path, options: &UnpackOptions) -> Result<Unpacked> {
    unpack_named(tar, root, options, LAYER)
}

/// The same for an archive that messages call `noun`.
///
/// # Errors
/// As [`unpack`].
pub(crate) fn unpack_named(
    tar: impl Read,
    root: &Path,
    options: &UnpackOptions,
    noun: &'static str,
) -> Result<Unpacked> {
    let mut archive = Archive::new(tar, options.limits, noun);
    let mut tree = Tree::open(root)?;
    let mut done = Unpacked { entries: 0, bytes: 0 };
    while let Some(entry) = archive.next()? {
        options.cancel.check()?;
        done.entries += 1;
        if entry.kind == EntryKind::File {
            done.bytes += entry.size;
        }
        apply(&mut tree, &mut archive, &entry, options.cancel).map_err(|e| name_entry(&entry, noun, e))?;
    }
    archive.drain()?;
    tree.finish()?;
    Ok(done)
}

/// Puts the entry's name before the message of an error that has none yet.
fn name_entry(entry: &Entry, noun: &str, error: Error) -> Error {
    let named = error.message().strip_prefix(noun).is_some_and(|rest| rest.starts_with(' '));
    if error.kind() == Kind::Interrupted || named {
        return error;
    }
    let name = shown(&entry.name);
    let message = match error.kind() {
        Kind::Integrity => format!("{noun} entry '{name}' {}", error.message()),
        _ => format!("{noun} entry '{name}': {}", error.message()),
    };
    let named = Error::new(error.kind(), message);
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}

fn apply<R: Read>(tree: &mut Tree, archive: &mut Archive<R>, entry: &Entry, cancel: &Cancel) -> Result<()> {
    let parts = tree::components(&entry.name).map_err(Error::integrity)?;
    let meta = Meta { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs: &entry.xattrs };
    let Some((name, parents)) = parts.split_last() else {
        return match entry.kind {
            EntryKind::Dir => tree.dress_folder(b"", &meta),
            _ if entry.name.is_empty() => Err(Error::integrity("has no name")),
            _ => Err(Error::integrity("names the root but is not a folder")),
        };
    };
    if let Some(removed) = name.strip_prefix(b".wh.") {
        return whiteout(tree, parents, removed, entry);
    }
    if parents.iter().any(|parent| parent.starts_with(b".wh.")) {
        // aufs kept its own state below such names; nothing else may.
        return match parts[0].starts_with(b".wh..wh.") {
            true => Ok(()),
            false => Err(Error::integrity("lies below a whiteout")),
        };
    }
    match entry.kind {
        EntryKind::Dir => {
            let place = tree.enter(&parts, entry.mtime)?;
            tree.folder_entry(&place, &meta)
        }
        EntryKind::File => {
            let place = tree.enter(&parts, entry.mtime)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(0o600);
            let fd = tree.put(&place, || rustix::fs::openat(&*place.folder, &place.name[..], flags, mode))?;
            write(archive, entry, &fd, cancel)?;
            dress_file(&fd, &meta)
        }
        EntryKind::Symlink => {
            if entry.link.is_empty() {
                return Err(Error::integrity("is a symbolic link to nothing"));
            }
            let place = tree.enter(&parts, entry.mtime)?;
            tree.put(&place, || rustix::fs::symlinkat(&entry.link[..], &*place.folder, &place.name[..]))?;
            dress_node(&place, &meta, true)
        }
        EntryKind::HardLink => hard_link(tree, &parts, entry),
        EntryKind::Char | EntryKind::Block | EntryKind::Fifo => {
            let place = tree.enter(&parts, entry.mtime)?;
            node(tree, &place, node_type(entry.kind), entry.device)?;
            dress_node(&place, &meta, false)
        }
    }
}

/// Writes an entry's data into its file.
pub(crate) fn write<R: Read>(archive: &mut Archive<R>, entry: &Entry, fd: &OwnedFd, cancel: &Cancel) -> Result<()> {
    let place = |archive: &mut Archive<R>, offset: Option<u64>, length: u64| -> Result<()> {
        let mut done = 0u64;
        while done < length {
            let chunk = archive.data()?;
            let count = chunk.len().min(usize::try_from(length - done).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(Error::integrity("has less data than its size"));
            }
            let written = match offset {
                Some(offset) => rustix::io::pwrite(fd, &chunk[..count], offset + done),
                None => rustix::io::write(fd, &chunk[..count]),
            };
            let written = match written {
                Err(Errno::INTR) => 0,
                other => other.os(|| "write")?,
            };
            archive.consume(written)?;
            done += written as u64;
            cancel.check()?;
        }
        Ok(())
    };
    let Some(map) = &entry.sparse else { return place(archive, None, entry.size) };
    for segment in map {
        place(archive, Some(segment.offset), segment.length)?;
    }
    // The hole at the end.
    rustix::fs::ftruncate(fd, entry.size).os(|| "set size")
}

fn hard_link(tree: &mut Tree, parts: &[&[u8]], entry: &Entry) -> Result<()> {
    let link = shown(&entry.link);
    let target = match tree::components(&entry.link) {
        Ok(target) => target,
        Err(_) => return Err(Error::integrity(format!("is a hard link to '{link}', outside the root file system"))),
    };
    let missing = || Error::integrity(format!("is a hard link to '{link}', which is not in this layer"));
    // The target first: opening folders for it could close the one the link goes to.
    let target = tree.find(&target)?.ok_or_else(missing)?;
    match tree::stat(&target)? {
        None => return Err(missing()),
        Some(found) if tree::is_folder(&found) => {
            return Err(Error::integrity(format!("is a hard link to '{link}', which is a folder")));
        }
        Some(found) if tree::is_whiteout(&found) => return Err(missing()),
        Some(_) => {}
    }
    let place = tree.enter(parts, entry.mtime)?;
    if place.path == target.path {
        return Ok(());
    }
    let flags = AtFlags::empty();
    let make = || rustix::fs::linkat(&*target.folder, &target.name[..], &*place.folder, &place.name[..], flags);
    match tree.put(&place, make) {
        // What the link replaced held its target.
        Err(e) if e.kind() == Kind::NotFound => Err(missing()),
        other => other,
    }
}

/// Makes a device or pipe, bare.
pub(crate) fn node(tree: &mut Tree, place: &Place, kind: FileType, (major, minor): (u32, u32)) -> Result<()> {
    if (kind, major, minor) == (FileType::CharacterDevice, 0, 0) {
        return Err(Error::integrity("is a character device 0:0, which overlayfs takes for a removed name"));
    }
    // Linux has 12 bits for the one and 20 for the other.
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(Error::integrity(format!("has device number {major}:{minor}, which is out of range")));
    }
    let (mode, device) = (Mode::from_raw_mode(0o600), makedev(major, minor));
    let make = || rustix::fs::mknodat(&*place.folder, &place.name[..], kind, mode, device);
    tree.put(place, make).map_err(|e| match (e.kind(), kind) {
        (Kind::Permission, FileType::CharacterDevice | FileType::BlockDevice) => {
            Error::new(Kind::Permission, format!("device {major}:{minor} cannot be made here: {}", e.message()))
                .with_hint("making devices takes CAP_MKNOD in the host's user namespace")
        }
        _ => e,
    })
}

/// The file type of an entry that is a device or pipe.
pub(crate) fn node_type(kind: EntryKind) -> FileType {
    match kind {
        EntryKind::Char => FileType::CharacterDevice,
        EntryKind::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    }
}

fn whiteout(tree: &mut Tree, parents: &[&[u8]], removed: &[u8], entry: &Entry) -> Result<()> {
    if removed == b".wh..opq" {
        let folder = tree.enter_folder(parents, entry.mtime)?;
        return tree.set_opaque(&folder);
    }
    match removed {
        // Other state of aufs.
        _ if removed.starts_with(b".wh.") => return Ok(()),
        b"" | b"." | b".." => {
            return Err(Error::integrity(format!("is a whiteout of '{}'", shown(removed))));
        }
        _ => {}
    }
    let mut target = parents.to_vec();
    target.push(removed);
    let place = tree.enter(&target, entry.mtime)?;
    match tree::stat(&place)? {
        Some(found) if tree::is_folder(&found) => tree.set_opaque(&place.path),
        Some(_) => Ok(()),
        None => {
            let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
            rustix::fs::mknodat(&*place.folder, &place.name[..], kind, mode, makedev(0, 0))
                .os(|| "make an overlayfs whiteout")
        }
    }
}
