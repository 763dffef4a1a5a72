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

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::Header;

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::entry::shown;
use super::tree::{MAX_DEPTH, is_folder, is_whiteout, join};
use super::{keeps_xattr, overlay_xattr_prefix, pax};

pub use super::compress::{Compression, PackedLayer, pack_to_blob};

const BUFFER: usize = 256 << 10;

/// How to pack.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackOptions {
    /// Later times are set to this one, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub clamp_mtime: Option<i64>,
    /// Threads that compress; 0 is one a processor. The result does not depend on it.
    pub threads: usize,
}

/// Writes the tree of one layer (overlayfs form) as a tar stream (OCI form). The tree must not change meanwhile.
///
/// # Errors
/// `unsupported` for what a layer cannot hold, `interrupted`, `os` from reading or from `out`.
pub fn pack(tree: &Path, out: impl Write, options: &PackOptions, cancel: &Cancel) -> Result<()> {
    let root = rustix::fs::openat(CWD, tree, FOLDER, Mode::empty()).os(|| format!("open {}", tree.display()))?;
    let mut packer = Packer { out, options: *options, cancel, links: HashMap::new(), buffer: vec![0; BUFFER] };
    if is_opaque(&root)? {
        packer.opaque(b"")?;
    }
    packer.folder(&root, b"", 0)?;
    packer.write(&[0; 1024])
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
// Non-blocking, in case the file was swapped for a pipe.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

struct Packer<'a, W> {
    out: W,
    options: PackOptions,
    cancel: &'a Cancel,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

/// What one entry's headers say.
struct Head<'a> {
    path: &'a [u8],
    kind: u8,
    link: &'a [u8],
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    device: u64,
    xattrs: Xattrs,
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
            self.entry(fd, &name, join(path, &name), depth)?;
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
            let xattrs = xattrs(&fd, None, &path)?;
            self.head(&Head { kind: b'5', xattrs, ..self.describe(&stat, &[&path[..], b"/"].concat()) })?;
            if is_opaque(&fd)? {
                self.opaque(&path)?;
            }
            return self.folder(&fd, &path, depth + 1);
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key).cloned() {
                return self.head(&Head { kind: b'1', link: &first, ..self.describe(&stat, &path) });
            }
            self.links.insert(key, path.clone());
        }
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return self.file(parent, name, &path, &stat),
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(parent, name, Vec::new()).os(|| format!("read {}", what()))?;
                let head = self.describe(&stat, &path);
                let xattrs = xattrs(parent, Some(name), &path)?;
                return self.head(&Head { kind: b'2', link: link.as_bytes(), xattrs, ..head });
            }
            FileType::CharacterDevice => b'3',
            FileType::BlockDevice => b'4',
            FileType::Fifo => b'6',
            _ => return Ok(()),
        };
        let xattrs = xattrs(parent, Some(name), &path)?;
        self.head(&Head { kind, device: stat.st_rdev, xattrs, ..self.describe(&stat, &path) })
    }

    fn file(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<()> {
        let fd = rustix::fs::openat(parent, name, FILE, Mode::empty()).os(|| format!("open {}", shown(path)))?;
        let size = stat.st_size as u64;
        let xattrs = xattrs(&fd, None, path)?;
        self.head(&Head { kind: b'0', size, xattrs, ..self.describe(stat, path) })?;
        let mut left = size;
        while left > 0 {
            self.cancel.check()?;
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match rustix::io::read(&fd, &mut self.buffer[..want]) {
                Err(Errno::INTR) => continue,
                other => other.os(|| format!("read {}", shown(path)))?,
            };
            if count == 0 {
                return Err(Error::integrity(format!("'{}' became shorter while it was packed", shown(path))));
            }
            self.out.write_all(&self.buffer[..count]).os(|| "write layer")?;
            left -= count as u64;
        }
        self.pad(size)
    }

    fn describe<'b>(&self, stat: &Stat, path: &'b [u8]) -> Head<'b> {
        let mtime = self.options.clamp_mtime.map_or(stat.st_mtime, |clamp| clamp.min(stat.st_mtime));
        Head {
            path,
            kind: b'0',
            link: b"",
            size: 0,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime,
            device: 0,
            xattrs: Vec::new(),
        }
    }

    fn opaque(&mut self, path: &[u8]) -> Result<()> {
        self.marker(&join(path, b".wh..wh..opq"))
    }

    /// An empty file that means something. Its time would be that of the build, so it has none.
    fn marker(&mut self, path: &[u8]) -> Result<()> {
        let (xattrs, device) = (Vec::new(), 0);
        self.head(&Head { path, kind: b'0', link: b"", size: 0, mode: 0, uid: 0, gid: 0, mtime: 0, device, xattrs })
    }

    fn head(&mut self, head: &Head) -> Result<()> {
        let (header, records) = encode(head)?;
        if !records.is_empty() {
            let base = head.path.strip_suffix(b"/").unwrap_or(head.path).rsplit(|byte| *byte == b'/').next();
            let mut extension = Header::new_ustar();
            put_text(&mut extension.as_old_mut().name, &[b"PaxHeaders.0/", base.unwrap_or_default()].concat());
            extension.set_entry_type(tar::EntryType::XHeader);
            extension.set_mode(0o644);
            extension.set_size(records.len() as u64);
            extension.set_uid(0);
            extension.set_gid(0);
            extension.set_mtime(0);
            extension.set_cksum();
            self.write(extension.as_bytes())?;
            self.write(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.write(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = size.wrapping_neg() % 512;
        self.write(&[0; 512][..rest as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).os(|| "write layer")
    }
}

/// The ustar header, and PAX records for what has no room in it.
fn encode(head: &Head) -> Result<(Header, Vec<u8>)> {
    // Seven and eleven octal digits.
    const ID: u64 = 0o777_7777;
    const LONG: u64 = 0o777_7777_7777;
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    let mut room = |key: &str, value: u64, most: u64| {
        if value <= most {
            return value;
        }
        pax::push(&mut records, key.as_bytes(), value.to_string().as_bytes());
        0
    };
    header.set_size(room("size", head.size, LONG));
    header.set_uid(room("uid", u64::from(head.uid), ID));
    header.set_gid(room("gid", u64::from(head.gid), ID));
    match u64::try_from(head.mtime) {
        Ok(mtime) => header.set_mtime(room("mtime", mtime, LONG)),
        Err(_) => {
            header.set_mtime(0);
            pax::push(&mut records, b"mtime", head.mtime.to_string().as_bytes());
        }
    }
    header.set_mode(head.mode);
    header.set_entry_type(tar::EntryType::new(head.kind));
    let device = || format!("device number of {}", shown(head.path));
    header.set_device_major(rustix::fs::major(head.device)).os(device)?;
    header.set_device_minor(rustix::fs::minor(head.device)).os(device)?;
    let old = header.as_old_mut();
    if !put_text(&mut old.name, head.path) {
        pax::push(&mut records, b"path", head.path);
    }
    if !put_text(&mut old.linkname, head.link) {
        pax::push(&mut records, b"linkpath", head.link);
    }
    for (name, value) in &head.xattrs {
        pax::push(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    header.set_cksum();
    Ok((header, records))
}

/// Fills a text field; false when the text was cut.
fn put_text(field: &mut [u8; 100], text: &[u8]) -> bool {
    let count = text.len().min(field.len());
    field[..count].copy_from_slice(&text[..count]);
    count == text.len()
}

fn is_opaque(fd: &OwnedFd) -> Result<bool> {
    let mut value = [0u8; 2];
    match rustix::fs::fgetxattr(fd, format!("{}opaque", overlay_xattr_prefix()), &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(e).os(|| "read the opaque attribute of a folder"),
    }
}

/// The attributes that belong to a layer, sorted: those of the open `fd`, or of `name` in the folder `fd`, where a link
/// is not followed.
fn xattrs(fd: &OwnedFd, name: Option<&[u8]>, path: &[u8]) -> Result<Xattrs> {
    // Before kernel 6.13 no call takes descriptor and name; the descriptor's entry below /proc stands for it.
    let named = name.map(|name| [format!("/proc/self/fd/{}/", fd.as_raw_fd()).as_bytes(), name].concat());
    let list = |buffer: &mut [u8]| match &named {
        Some(named) => rustix::fs::llistxattr(&named[..], buffer),
        None => rustix::fs::flistxattr(fd, buffer),
    };
    let what = || format!("read attributes of {}", shown(path));
    // The kernel's own bounds: XATTR_LIST_MAX and XATTR_SIZE_MAX.
    let mut small = [0u8; 1024];
    let mut large = Vec::new();
    let names = match list(&mut small) {
        Ok(count) => &small[..count],
        Err(Errno::OPNOTSUPP) => &[],
        Err(Errno::RANGE) => {
            large.resize(64 << 10, 0);
            let count = list(&mut large).os(what)?;
            &large[..count]
        }
        Err(e) => return Err(e).os(what),
    };
    let mut found = Xattrs::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let reference = name.strip_prefix(overlay_xattr_prefix().as_bytes());
        if matches!(reference, Some(b"redirect" | b"metacopy")) {
            let message = format!("'{}' refers to another layer and cannot be packed", shown(path));
            return Err(Error::new(Kind::Unsupported, message));
        }
        if keeps_xattr(name) {
            let mut value = vec![0; 64 << 10];
            let count = match &named {
                Some(named) => rustix::fs::lgetxattr(&named[..], name, &mut value),
                None => rustix::fs::fgetxattr(fd, name, &mut value),
            };
            value.truncate(count.os(what)?);
            found.push((name.to_vec(), value));
        }
    }
    found.sort_unstable();
    Ok(found)
}
