//! Reading a tar stream: header blocks, long names, PAX records and sparse maps become [`Entry`] values.
//!
//! ```text
//! [x: pax records][L: long name][K: long link] header, data padded to 512 bytes    each entry
//! 512 zero bytes, twice                                                             the end
//! ```
//!
//! It owns the format's traps and reads them as the Go tar reader does, because Docker and containerd made the
//! field's layers with that one: the size of a PAX record beats the header's for the entry it describes, never for
//! another extension header between (CVE-2025-62518); links, folders and devices have no data whatever their size
//! says; global headers change nothing (those that would move the data are refused). Memory is bounded: an extension
//! header has at most 1 MiB. It refuses unknown entry types, wrong checksums and numbers out of range.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Tar Internals".

use std::io::{BufRead, BufReader, ErrorKind, Read};

use tar::Header;

use super::super::Limits;
use super::super::error::{Error, Result, from_io};
use super::pax;
use super::sparse::{self, Segment, SparseRecords};

pub(super) const BLOCK: u64 = 512;
const BUFFER: usize = 256 << 10;
/// Bytes of one extension header; what the Go tar reader allows.
const EXTENSION_BYTES: u64 = 1 << 20;
/// Extension headers before one entry. Writers use at most three.
const EXTENSION_RUN: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Fifo,
    Dir,
}

/// One entry, all its headers merged.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub kind: EntryKind,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    /// Bytes of the file, holes included.
    pub size: u64,
    /// Where the stored data goes, for a sparse file.
    pub sparse: Option<Vec<Segment>>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A name as messages show it: without control characters, of bounded length.
pub(super) fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().flat_map(char::escape_debug).take(200).collect();
    if text.chars().count() == 200 { text + "..." } else { text }
}

/// What extension headers say of the next entry.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: SparseRecords,
}

/// A tar stream being read.
pub(super) struct Archive<R> {
    reader: BufReader<R>,
    limits: Limits,
    /// Bytes taken from the stream.
    passed: u64,
    entries: u64,
    /// Stored data of the current entry that was not taken yet, and the padding after it.
    data: u64,
    padding: u64,
    current: String,
}

impl<R: Read> Archive<R> {
    pub fn new(reader: R, limits: Limits) -> Archive<R> {
        Archive {
            reader: BufReader::with_capacity(BUFFER, reader),
            limits,
            passed: 0,
            entries: 0,
            data: 0,
            padding: 0,
            current: String::new(),
        }
    }

    /// The next entry; what is left of the one before is skipped.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        for _ in 0..EXTENSION_RUN {
            self.skip()?;
            let Some(block) = self.header()? else { return Ok(None) };
            let header = Header::from_byte_slice(&block);
            let size = size_of(header)?;
            match header.entry_type().as_byte() {
                b'x' => {
                    let block = self.extension(size)?;
                    // Of two in a row the later one counts alone.
                    let long = (extensions.long_path.take(), extensions.long_link.take());
                    extensions = Extensions::default();
                    (extensions.long_path, extensions.long_link) = long;
                    extensions.read(&block)?;
                }
                b'g' => check_global(&self.extension(size)?)?,
                b'L' => extensions.long_path = Some(until_nul(self.extension(size)?)),
                b'K' => extensions.long_link = Some(until_nul(self.extension(size)?)),
                _ => return self.entry(header, size, extensions).map(Some),
            }
        }
        Err(Error::integrity(format!("layer has more than {EXTENSION_RUN} extension headers in a row")))
    }

    fn entry(&mut self, header: &Header, size: u64, extensions: Extensions) -> Result<Entry> {
        self.entries += 1;
        if self.entries > self.limits.layer_entries {
            return Err(Error::integrity(format!("layer has more than {} entries", self.limits.layer_entries)));
        }
        let mut entry = merge(header, &extensions)?;
        self.current = shown(&entry.name);
        let stored = if is_file_type(header) { extensions.size.unwrap_or(size) } else { 0 };
        self.data = stored;
        self.padding = padding(stored);
        entry.size = stored;
        if entry.kind == EntryKind::File {
            self.sparse(header, &extensions.sparse, &mut entry).map_err(|e| self.in_entry(e))?;
        }
        // Holes take no room here, but whoever packs or copies the tree writes them out.
        if entry.size > self.limits.layer_bytes {
            return Err(self.too_big());
        }
        Ok(entry)
    }

    /// Fills in map and size of a sparse file, whichever of the four ways they are written.
    fn sparse(&mut self, header: &Header, records: &SparseRecords, entry: &mut Entry) -> Result<()> {
        let found = if header.entry_type().as_byte() == b'S' {
            Some(sparse::gnu(header, || self.block())?)
        } else if records.in_data() {
            Some((sparse::leading(|| self.data_block())?, records.real_size()?))
        } else if records.present() {
            Some((records.map()?, records.real_size()?))
        } else {
            None
        };
        if let Some((map, size)) = found {
            sparse::check(&map, self.data, size)?;
            (entry.sparse, entry.size) = (Some(map), size);
        }
        Ok(())
    }

    /// The next piece of the current entry's stored data; empty at its end. [`Archive::consume`] takes it.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.data).unwrap_or(usize::MAX);
        let chunk = self.fill()?;
        let count = chunk.len().min(left);
        // Asked again: the buffer's borrow cannot leave a branch that also fails.
        if count == 0 { Err(self.cut_off()) } else { Ok(&self.reader.buffer()[..count]) }
    }

    /// Takes `count` bytes of what [`Archive::data`] gave.
    pub fn consume(&mut self, count: usize) -> Result<()> {
        self.data -= count as u64;
        self.take(count)
    }

    /// Reads what follows the end marker, so that a reader that checks a digest sees the whole stream.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(());
            }
            self.take(count)?;
        }
    }

    fn fill(&mut self) -> Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => return Ok(self.reader.buffer()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(from_io(e, "read layer")),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<()> {
        self.reader.consume(count);
        self.passed += count as u64;
        if self.passed > self.limits.layer_bytes { Err(self.too_big()) } else { Ok(()) }
    }

    fn too_big(&self) -> Error {
        Error::integrity(format!("layer unpacks to more than {} bytes", self.limits.layer_bytes))
            .with_hint("if the image is to be trusted, raise max_layer_bytes")
    }

    fn cut_off(&self) -> Error {
        match self.current.as_str() {
            "" => Error::integrity("layer archive is cut off in its first header"),
            name => Error::integrity(format!("layer archive is cut off after the header of '{name}'")),
        }
    }

    fn in_entry(&self, error: Error) -> Error {
        Error::new(error.kind(), format!("layer entry '{}' {}", self.current, error.message()))
    }

    fn skip(&mut self) -> Result<()> {
        let mut left = self.data + self.padding;
        while left > 0 {
            let count = self.fill()?.len();
            if count == 0 {
                return Err(self.cut_off());
            }
            let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.take(count)?;
            left -= count as u64;
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    /// One block, or nothing at the end of the stream.
    fn block_or_end(&mut self) -> Result<Option<[u8; BLOCK as usize]>> {
        let mut block = [0u8; BLOCK as usize];
        let mut have = 0;
        while have < block.len() {
            let chunk = self.fill()?;
            let count = chunk.len().min(block.len() - have);
            block[have..have + count].copy_from_slice(&chunk[..count]);
            self.take(count)?;
            have += count;
            if count == 0 {
                return if have == 0 { Ok(None) } else { Err(self.cut_off()) };
            }
        }
        Ok(Some(block))
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize]> {
        self.block_or_end()?.ok_or_else(|| self.cut_off())
    }

    /// One block of the current entry's data.
    fn data_block(&mut self) -> Result<[u8; BLOCK as usize]> {
        if self.data < BLOCK {
            return Err(Error::integrity("has a sparse map longer than its data"));
        }
        self.data -= BLOCK;
        self.block()
    }

    /// The next header block with its checksum verified; nothing at the end marker or the end of the stream.
    fn header(&mut self) -> Result<Option<[u8; BLOCK as usize]>> {
        let Some(block) = self.block_or_end()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return match self.block_or_end()? {
                Some(second) if second.iter().any(|byte| *byte != 0) => {
                    Err(Error::integrity("layer archive has an entry after a block of zeros"))
                }
                _ => Ok(None),
            };
        }
        let field = 148..156;
        let outside = |at: &usize| !field.contains(at);
        let unsigned: i64 = (0..block.len()).filter(outside).map(|at| i64::from(block[at])).sum::<i64>() + 8 * 32;
        // Some old writers added the bytes up as signed ones.
        let signed: i64 = (0..block.len()).filter(outside).map(|at| i64::from(block[at] as i8)).sum::<i64>() + 8 * 32;
        match number(&block[field.clone()]) {
            Some(sum) if sum == unsigned || sum == signed => Ok(Some(block)),
            _ if self.current.is_empty() => Err(Error::integrity("layer is not a tar archive")),
            _ => Err(Error::integrity(format!("layer archive has a damaged header after '{}'", self.current))),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTENSION_BYTES {
            return Err(Error::integrity(format!(
                "layer has an extension header of {size} bytes, more than {EXTENSION_BYTES}"
            )));
        }
        (self.data, self.padding) = (size, padding(size));
        let mut content = Vec::new();
        loop {
            let chunk = self.data()?;
            let count = chunk.len();
            if count == 0 {
                return Ok(content);
            }
            content.extend_from_slice(chunk);
            self.consume(count)?;
        }
    }
}

impl Extensions {
    fn read(&mut self, block: &[u8]) -> Result<()> {
        for (key, value) in pax::parse(block)? {
            let wrong = || Error::integrity(format!("layer has a malformed pax record '{}'", shown(key)));
            // An empty value takes back what a global header said.
            if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
                continue;
            }
            match key {
                b"path" => self.path = Some(without_nul(value).ok_or_else(wrong)?),
                b"linkpath" => self.link = Some(without_nul(value).ok_or_else(wrong)?),
                b"size" => self.size = Some(content_size(pax::decimal(value)).ok_or_else(wrong)?),
                b"uid" => self.uid = Some(pax::decimal(value).ok_or_else(wrong)?),
                b"gid" => self.gid = Some(pax::decimal(value).ok_or_else(wrong)?),
                b"mtime" => self.mtime = Some(pax::time(value).ok_or_else(wrong)?),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    } else if key.starts_with(b"GNU.sparse.") {
                        self.sparse.read(key, value).ok_or_else(wrong)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Global records are read and dropped, like Docker and containerd do; one that would change where data starts or
/// ends, or whose it is, would make readers disagree about the layer and is refused.
fn check_global(block: &[u8]) -> Result<()> {
    for (key, _) in pax::parse(block)? {
        if matches!(key, b"size" | b"path" | b"linkpath") || key.starts_with(b"GNU.sparse.") {
            return Err(Error::integrity(format!("layer has '{}' in a global pax header", shown(key))));
        }
    }
    Ok(())
}

/// Header and extension headers as one; the sizes are filled in by the caller.
fn merge(header: &Header, extensions: &Extensions) -> Result<Entry> {
    let name = match (&extensions.long_path, &extensions.path, extensions.sparse.name()) {
        (Some(name), _, _) => name.clone(),
        (None, _, Some(name)) => without_nul(name).ok_or_else(|| Error::integrity("layer has a malformed name"))?,
        (None, Some(name), None) => name.clone(),
        (None, None, None) => header.path_bytes().into_owned(),
    };
    let link = match (&extensions.long_link, &extensions.link) {
        (Some(link), _) | (None, Some(link)) => link.clone(),
        (None, None) => header.link_name_bytes().map_or_else(Vec::new, |link| link.into_owned()),
    };
    let old = header.as_old();
    let field = |what: &str, bytes: &[u8]| {
        number(bytes).ok_or_else(|| Error::integrity(format!("layer entry '{}' has a malformed {what}", shown(&name))))
    };
    let id = |what: &str, pax: Option<u64>, bytes: &[u8]| {
        let value = match pax {
            Some(value) => value,
            None => u64::try_from(field(what, bytes)?).unwrap_or(u64::MAX),
        };
        // The highest number means "leave it as it is" to chown(2).
        u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
            Error::integrity(format!("layer entry '{}' has {what} {value}, which is out of range", shown(&name)))
        })
    };
    let device = |bytes: Option<&[u8; 8]>| {
        let value = bytes.map_or(Ok(0), |bytes| field("device number", bytes))?;
        u32::try_from(value)
            .map_err(|_| Error::integrity(format!("layer entry '{}' has device number {value}", shown(&name))))
    };
    let kind = kind_of(header, &name)?;
    Ok(Entry {
        kind,
        link,
        mode: field("mode", &old.mode)? as u32 & 0o7777,
        uid: id("uid", extensions.uid, &old.uid)?,
        gid: id("gid", extensions.gid, &old.gid)?,
        mtime: match extensions.mtime {
            Some(time) => time,
            None => (field("mtime", &old.mtime)?, 0),
        },
        device: match kind {
            EntryKind::Char | EntryKind::Block => {
                let (ustar, gnu) = (header.as_ustar(), header.as_gnu());
                let major = ustar.map(|h| &h.dev_major).or(gnu.map(|h| &h.dev_major));
                let minor = ustar.map(|h| &h.dev_minor).or(gnu.map(|h| &h.dev_minor));
                (device(major)?, device(minor)?)
            }
            _ => (0, 0),
        },
        size: 0,
        sparse: None,
        xattrs: extensions.xattrs.clone(),
        name,
    })
}

fn is_file_type(header: &Header) -> bool {
    matches!(header.entry_type().as_byte(), 0 | b'0' | b'7' | b'S')
}

fn kind_of(header: &Header, name: &[u8]) -> Result<EntryKind> {
    Ok(match header.entry_type().as_byte() {
        // Before POSIX a folder was a file whose name ends so.
        0 | b'0' if name.ends_with(b"/") => EntryKind::Dir,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::Char,
        b'4' => EntryKind::Block,
        b'5' => EntryKind::Dir,
        b'6' => EntryKind::Fifo,
        other => {
            let (name, other) = (shown(name), other.escape_ascii());
            return Err(Error::integrity(format!("layer entry '{name}' has the unknown type '{other}'")));
        }
    })
}

fn size_of(header: &Header) -> Result<u64> {
    content_size(number(&header.as_old().size).and_then(|size| u64::try_from(size).ok()))
        .ok_or_else(|| Error::integrity(format!("layer entry '{}' has a malformed size", shown(&header.path_bytes()))))
}

/// A size that can be added to without overflow.
fn content_size(size: Option<u64>) -> Option<u64> {
    size.filter(|size| *size <= i64::MAX as u64)
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

fn without_nul(text: &[u8]) -> Option<Vec<u8>> {
    (!text.contains(&0)).then(|| text.to_vec())
}

/// A number field: octal digits among blanks and NULs, or, marked by the top bit, big-endian two's complement.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        // The marker is the bit above the sign.
        let negative = field[0] & 0x40 != 0;
        let first = if negative { i64::from(field[0] | 0x80) - 256 } else { i64::from(field[0] & 0x7f) };
        return field[1..].iter().try_fold(first, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)));
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    field[start..end].iter().try_fold(0i64, |sum, byte| match byte {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"", Some(0)),
        ] {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(shown(b"a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        assert!(shown(&[b'x'; 5000]).ends_with("x..."));
    }
}
