//! Writing a tar stream: entries become ustar headers, and PAX records where ustar has no room.
//!
//! Ids are numbers only, times whole seconds: the same entries give the same bytes. Files with large holes can be
//! written as GNU's sparse format 1.0, which GNU tar, bsdtar and Go's reader know.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Storing Sparse Files".

use std::fs::File;
use std::io::Write;

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;
use tar::Header;

use super::super::cancel::Cancel;
use super::super::error::{Error, OsContext, Result};
use super::entry::shown;
use super::inspect::{Xattrs, stretches};
use super::pax;
use super::sparse::Segment;

const BUFFER: usize = 256 << 10;

/// What one entry's headers say.
#[derive(Clone)]
pub(crate) struct Head<'a> {
    pub path: &'a [u8],
    /// The entry type: `b'0'` to `b'6'`.
    pub kind: u8,
    pub link: &'a [u8],
    /// Bytes stored.
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub device: u64,
    pub xattrs: Xattrs,
    /// The size of a sparse file, holes included.
    pub sparse: Option<u64>,
}

impl Default for Head<'_> {
    /// An empty file of root's without permissions and time.
    fn default() -> Self {
        Head {
            path: b"",
            kind: b'0',
            link: b"",
            size: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            device: 0,
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

impl<'a> Head<'a> {
    /// Owner, permissions and time of a file; an empty one so far.
    pub fn of(stat: &Stat, path: &'a [u8]) -> Head<'a> {
        let (mode, uid, gid) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
        Head { path, mode, uid, gid, mtime: stat.st_mtime, ..Head::default() }
    }
}

/// A tar stream being written.
pub(crate) struct TarWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    pub fn new(out: W) -> TarWriter<W> {
        TarWriter { out, buffer: vec![0; BUFFER] }
    }

    /// An entry's headers; its data and [`TarWriter::pad`] come next.
    pub fn head(&mut self, head: &Head) -> Result<()> {
        let (header, records) = encode(head)?;
        if !records.is_empty() {
            let mut extension = Header::new_ustar();
            put_text(&mut extension.as_old_mut().name, &[b"PaxHeaders.0/", base_name(head.path)].concat());
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

    /// At most `most` bytes from the file's position on, as data of the entry; says how many there were.
    pub fn content(&mut self, file: &File, path: &[u8], most: u64, cancel: &Cancel) -> Result<u64> {
        let mut done = 0;
        while done < most {
            cancel.check()?;
            let want = self.buffer.len().min(usize::try_from(most - done).unwrap_or(usize::MAX));
            let count = match rustix::io::read(file, &mut self.buffer[..want]) {
                Err(Errno::INTR) => continue,
                other => other.os(|| format!("read {}", shown(path)))?,
            };
            if count == 0 {
                break;
            }
            self.out.write_all(&self.buffer[..count]).os(|| "write tar stream")?;
            done += count as u64;
        }
        Ok(done)
    }

    /// A whole regular file: `head` says what it is called and how it looks. A file of less than a buffer may have
    /// become shorter, as those the kernel makes up do; of a longer one the size stands before the data.
    pub fn file(&mut self, head: Head, file: &File, size: u64, cancel: &Cancel) -> Result<()> {
        if size <= BUFFER as u64 {
            let path = head.path;
            let mut have = 0;
            while have < size as usize {
                match rustix::io::read(file, &mut self.buffer[have..size as usize]) {
                    Err(Errno::INTR) => {}
                    Ok(0) => break,
                    other => have += other.os(|| format!("read {}", shown(path)))?,
                }
            }
            self.head(&Head { size: have as u64, ..head })?;
            self.out.write_all(&self.buffer[..have]).os(|| "write tar stream")?;
            return self.pad(have as u64);
        }
        let map = stretches(file, size).os(|| format!("find the holes of {}", shown(head.path)))?;
        let stored: u64 = map.iter().map(|stretch| stretch.length).sum();
        if size - stored >= LARGE_HOLES && map.len() <= MOST_STRETCHES {
            return self.sparse(head, file, size, &map, cancel);
        }
        let path = head.path;
        self.head(&Head { size, ..head })?;
        self.whole(file, path, size, cancel)?;
        self.pad(size)
    }

    fn sparse(&mut self, head: Head, file: &File, size: u64, map: &[Segment], cancel: &Cancel) -> Result<()> {
        let mut list = format!("{}\n", map.len() + 1);
        // The end of the file, as GNU tar marks it.
        for stretch in map.iter().chain([&Segment { offset: size, length: 0 }]) {
            list.push_str(&format!("{}\n{}\n", stretch.offset, stretch.length));
        }
        let mut list = list.into_bytes();
        list.resize(list.len().next_multiple_of(512), 0);
        let stored = list.len() as u64 + map.iter().map(|stretch| stretch.length).sum::<u64>();
        let path = head.path;
        self.head(&Head { size: stored, sparse: Some(size), ..head })?;
        self.write(&list)?;
        for stretch in map {
            rustix::fs::seek(file, SeekFrom::Start(stretch.offset)).os(|| format!("read {}", shown(path)))?;
            self.whole(file, path, stretch.length, cancel)?;
        }
        self.pad(stored)
    }

    fn whole(&mut self, file: &File, path: &[u8], size: u64, cancel: &Cancel) -> Result<()> {
        if self.content(file, path, size, cancel)? < size {
            return Err(Error::integrity(format!("'{}' became shorter while it was read", shown(path))));
        }
        Ok(())
    }

    /// Fills up to whole blocks after `size` bytes of data.
    pub fn pad(&mut self, size: u64) -> Result<()> {
        let rest = size.wrapping_neg() % 512;
        self.write(&[0; 512][..rest as usize])
    }

    /// The end of the stream.
    pub fn finish(&mut self) -> Result<()> {
        self.write(&[0; 1024])?;
        self.out.flush().os(|| "write tar stream")
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).os(|| "write tar stream")
    }
}

/// Holes of fewer bytes are written out: not every reader knows of sparse files.
const LARGE_HOLES: u64 = 1 << 20;
/// A file of more stretches is written out.
const MOST_STRETCHES: usize = 1 << 16;

fn base_name(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
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
    if head.sparse.is_some() {
        // Who does not know of sparse files finds the map and the data under this name.
        let stand_in = [b"GNUSparseFile.0/", base_name(head.path)].concat();
        put_text(&mut old.name, &stand_in);
    } else if !put_text(&mut old.name, head.path) {
        pax::push(&mut records, b"path", head.path);
    }
    if !put_text(&mut old.linkname, head.link) {
        pax::push(&mut records, b"linkpath", head.link);
    }
    for (name, value) in &head.xattrs {
        pax::push(&mut records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    if let Some(size) = head.sparse {
        pax::push(&mut records, b"GNU.sparse.major", b"1");
        pax::push(&mut records, b"GNU.sparse.minor", b"0");
        pax::push(&mut records, b"GNU.sparse.name", head.path);
        pax::push(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
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
