//! What a writer of layers and streams asks of a file: its content by the very descriptor that was looked at, its
//! attributes, and where it has data.
//!
//! Source: open(2), "O_PATH"; xattr(7); lseek(2).

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::super::error::{Error, Kind, OsContext, Result};
use super::entry::shown;
use super::sparse::Segment;
use super::{keeps_xattr, overlay_xattr_prefix};

/// Extended attributes: names and values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Where a file of `size` bytes has data. A file system that does not know says: everywhere.
pub(crate) fn stretches(file: &File, size: u64) -> rustix::io::Result<Vec<Segment>> {
    let mut list = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::SPIPE) if at == 0 => {
                return Ok(vec![Segment { offset: 0, length: size }]);
            }
            Err(e) => return Err(e),
        };
        if start >= size {
            break;
        }
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        list.push(Segment { offset: start, length: end - start });
        at = end;
    }
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(list)
}

/// Opens for reading the very file that an O_PATH descriptor stands for: no name is looked up again.
pub(crate) fn reopen(handle: &OwnedFd) -> rustix::io::Result<File> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()).map(File::from)
}

/// Whether a folder hides what lower layers have in its place.
pub(crate) fn is_opaque(fd: &OwnedFd) -> rustix::io::Result<bool> {
    let mut value = [0u8; 2];
    let entry = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match rustix::fs::getxattr(entry, format!("{}opaque", overlay_xattr_prefix()), &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The attributes that belong to what an open or O_PATH descriptor stands for, sorted.
pub(crate) fn xattrs(fd: &OwnedFd, path: &[u8]) -> Result<Xattrs> {
    // No call takes an O_PATH descriptor; its entry below /proc leads to the same, be it a symbolic link.
    let entry = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
    read_xattrs(
        path,
        |buffer| rustix::fs::listxattr(&entry[..], buffer),
        |name, value| rustix::fs::getxattr(&entry[..], name, value),
    )
}

/// The same for `name` in the folder `parent`; a link is not followed.
pub(super) fn xattrs_of(parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Xattrs> {
    // Before kernel 6.13 no call takes descriptor and name; the descriptor's entry below /proc stands for it.
    let named = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
    read_xattrs(
        path,
        |buffer| rustix::fs::llistxattr(&named[..], buffer),
        |name, value| rustix::fs::lgetxattr(&named[..], name, value),
    )
}

fn read_xattrs(
    path: &[u8],
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> Result<Xattrs> {
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
            let count = get(name, &mut value).os(what)?;
            value.truncate(count);
            found.push((name.to_vec(), value));
        }
    }
    found.sort_unstable();
    Ok(found)
}
