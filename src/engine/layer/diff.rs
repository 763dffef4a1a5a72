//! From an overlayfs folder to a tar stream: the same tree gives the same bytes, on any machine at any time.
//!
//! Entries are sorted by name, a folder before what is in it. Ids are numbers only, times whole seconds. Of several
//! names of one file the first holds the content, the others are hard links. A 0:0 character device becomes
//! `.wh.NAME`, an opaque folder gets a `.wh..wh..opq` in front of its content. What ustar has no room for goes into
//! PAX records. The root folder itself is no entry; sockets are left out, as tar has no form for them.
//!
//! Refused: names that begin with `.wh.`, which would come back as removals, and what overlayfs recorded as a reference
//! to another layer (`redirect`, `metacopy`): mount with both off.
//!
//! Source: OCI image specification 1.1, layer.md, "Creation" and "Representing Changes".

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::entry::shown;
use super::inspect::{is_opaque, reopen, xattrs, xattrs_of};
use super::tree::{MAX_DEPTH, is_folder, is_whiteout, join};
use super::writer::{Head, TarWriter};

pub use super::compress::{Compression, PackedLayer, pack_to_blob};

/// How to pack.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// Later times are set to this one, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub clamp_mtime: Option<i64>,
    /// Threads that compress; 0 is one a processor. The result does not depend on it.
    pub threads: usize,
    /// Paths relative to the tree that are left out, with all below them.
    pub leave_out: HashSet<Vec<u8>>,
}

/// Writes the tree of one layer (overlayfs form) as a tar stream (OCI form). The tree must not change meanwhile.
///
/// # Errors
/// `unsupported` for what a layer cannot hold, `interrupted`, `os` from reading or from `out`.
pub fn pack(tree: &Path, out: impl Write, options: &PackOptions, cancel: &Cancel) -> Result<()> {
    let root = rustix::fs::openat(CWD, tree, FOLDER, Mode::empty()).os(|| format!("open {}", tree.display()))?;
    let mut packer = Packer { out: TarWriter::new(out), options, cancel, links: HashMap::new() };
    if is_opaque(&root).os(|| "read the opaque attribute of the root")? {
        packer.opaque(b"")?;
    }
    packer.folder(&root, b"", 0)?;
    packer.out.finish()
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Packer<'a, W> {
    out: TarWriter<W>,
    options: &'a PackOptions,
    cancel: &'a Cancel,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<'_, W> {
    fn folder(&mut self, fd: &OwnedFd, path: &[u8], depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            let path = shown(path);
            return Err(Error::new(Kind::Unsupported, format!("'{path}' lies more than {MAX_DEPTH} folders deep")));
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(fd).os(|| format!("list {}", shown(path)))? {
            let entry = entry.os(|| format!("list {}", shown(path)))?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(name.to_vec()),
            }
        }
        names.sort_unstable();
        for name in names {
            self.cancel.check()?;
            let path = join(path, &name);
            if !self.options.leave_out.contains(&path) {
                self.entry(fd, &name, path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, name: &[u8], path: Vec<u8>, depth: usize) -> Result<()> {
        let what = || shown(&path);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).os(|| format!("stat {}", what()))?;
        if name.starts_with(b".wh.") {
            return Err(Error::new(
                Kind::Unsupported,
                format!("'{}' cannot be in a layer: names that begin with .wh. stand for removals", what()),
            ));
        }
        if is_whiteout(&stat) {
            let (folder, _) = path.split_at(path.len() - name.len());
            return self.marker(&[folder, b".wh.", name].concat());
        }
        if is_folder(&stat) {
            let fd = rustix::fs::openat(parent, name, FOLDER, Mode::empty()).os(|| format!("open {}", what()))?;
            let xattrs = xattrs(&fd, &path)?;
            self.out.head(&Head { kind: b'5', xattrs, ..self.describe(&stat, &[&path[..], b"/"].concat()) })?;
            if is_opaque(&fd).os(|| format!("read the opaque attribute of {}", what()))? {
                self.opaque(&path)?;
            }
            return self.folder(&fd, &path, depth + 1);
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key).cloned() {
                return self.out.head(&Head { kind: b'1', link: &first, ..self.describe(&stat, &path) });
            }
            self.links.insert(key, path.clone());
        }
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return self.file(parent, name, &path, &stat),
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(parent, name, Vec::new()).os(|| format!("read {}", what()))?;
                let head = self.describe(&stat, &path);
                let xattrs = xattrs_of(parent, name, &path)?;
                return self.out.head(&Head { kind: b'2', link: link.as_bytes(), xattrs, ..head });
            }
            FileType::CharacterDevice => b'3',
            FileType::BlockDevice => b'4',
            FileType::Fifo => b'6',
            _ => return Ok(()),
        };
        let xattrs = xattrs_of(parent, name, &path)?;
        self.out.head(&Head { kind, device: stat.st_rdev, xattrs, ..self.describe(&stat, &path) })
    }

    fn file(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<()> {
        // Whoever writes the tree meanwhile may put a device in the file's place: what is opened is what was looked at.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(parent, name, flags, Mode::empty()).os(|| format!("open {}", shown(path)))?;
        let found = rustix::fs::fstat(&handle).os(|| format!("stat {}", shown(path)))?;
        if (found.st_dev, found.st_ino, found.st_mode) != (stat.st_dev, stat.st_ino, stat.st_mode) {
            return Err(Error::integrity(format!("'{}' was replaced while it was packed", shown(path))));
        }
        let file = reopen(&handle).os(|| format!("open {}", shown(path)))?;
        let xattrs = xattrs(&handle, path)?;
        let size = stat.st_size as u64;
        self.out.head(&Head { kind: b'0', size, xattrs, ..self.describe(stat, path) })?;
        if self.out.content(&file, path, size, self.cancel)? < size {
            return Err(Error::integrity(format!("'{}' became shorter while it was packed", shown(path))));
        }
        self.out.pad(size)
    }

    fn describe<'b>(&self, stat: &Stat, path: &'b [u8]) -> Head<'b> {
        let mtime = self.options.clamp_mtime.map_or(stat.st_mtime, |clamp| clamp.min(stat.st_mtime));
        Head { mtime, ..Head::of(stat, path) }
    }

    fn opaque(&mut self, path: &[u8]) -> Result<()> {
        self.marker(&join(path, b".wh..wh..opq"))
    }

    /// An empty file that means something. Its time would be that of the build, so it has none.
    fn marker(&mut self, path: &[u8]) -> Result<()> {
        self.out.head(&Head { path, ..Head::default() })
    }
}
