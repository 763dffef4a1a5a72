//! One entry of an archive: its header and its PAX records made one.
//!
//! Where both say something the record counts, as POSIX has it; a GNU long name counts more than either. Numbers out of
//! range are refused here, so that no later cast can wrap (uid 4294967296 is not root).

use tar::Header;

use super::super::error::{Error, Result};
use super::pax;
use super::sparse::{Segment, SparseRecords};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
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
pub(crate) struct Entry {
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
pub(crate) fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().flat_map(char::escape_debug).take(200).collect();
    if text.chars().count() == 200 { text + "..." } else { text }
}

/// What extension headers say of the next entry.
#[derive(Default)]
pub(super) struct Extensions {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub long_path: Option<Vec<u8>>,
    pub long_link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseRecords,
}

impl Extensions {
    /// Takes in the records of a pax header.
    pub fn read(&mut self, block: &[u8], noun: &str) -> Result<()> {
        for (key, value) in pax::parse(block, noun)? {
            let wrong = || Error::integrity(format!("{noun} has a malformed pax record '{}'", shown(key)));
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

/// The entry's name and what it links to.
fn names(header: &Header, extensions: &Extensions, noun: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let name = match (&extensions.long_path, &extensions.path, extensions.sparse.name()) {
        (Some(name), _, _) => name.clone(),
        (None, _, Some(name)) => {
            without_nul(name).ok_or_else(|| Error::integrity(format!("{noun} has a malformed name")))?
        }
        (None, Some(name), None) => name.clone(),
        (None, None, None) => header.path_bytes().into_owned(),
    };
    let link = match (&extensions.long_link, &extensions.link) {
        (Some(link), _) | (None, Some(link)) => link.clone(),
        (None, None) => header.link_name_bytes().map_or_else(Vec::new, |link| link.into_owned()),
    };
    Ok((name, link))
}

/// Header and extension headers as one; the sizes are filled in by the caller.
pub(super) fn merge(header: &Header, extensions: &Extensions, noun: &str) -> Result<Entry> {
    let (name, link) = names(header, extensions, noun)?;
    let old = header.as_old();
    let field = |what: &str, bytes: &[u8]| {
        number(bytes).ok_or_else(|| Error::integrity(format!("{noun} entry '{}' has a malformed {what}", shown(&name))))
    };
    let id = |what: &str, pax: Option<u64>, bytes: &[u8]| {
        let value = match pax {
            Some(value) => value,
            None => u64::try_from(field(what, bytes)?).unwrap_or(u64::MAX),
        };
        // The highest number means "leave it as it is" to chown(2).
        u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
            Error::integrity(format!("{noun} entry '{}' has {what} {value}, which is out of range", shown(&name)))
        })
    };
    let device = |bytes: Option<&[u8; 8]>| {
        let value = bytes.map_or(Ok(0), |bytes| field("device number", bytes))?;
        u32::try_from(value)
            .map_err(|_| Error::integrity(format!("{noun} entry '{}' has device number {value}", shown(&name))))
    };
    let kind = kind_of(header, &name, noun)?;
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

pub(super) fn is_file_type(header: &Header) -> bool {
    matches!(header.entry_type().as_byte(), 0 | b'0' | b'7' | b'S')
}

fn kind_of(header: &Header, name: &[u8], noun: &str) -> Result<EntryKind> {
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
            return Err(Error::integrity(format!("{noun} entry '{name}' has the unknown type '{other}'")));
        }
    })
}

pub(super) fn size_of(header: &Header, noun: &str) -> Result<u64> {
    content_size(number(&header.as_old().size).and_then(|size| u64::try_from(size).ok()))
        .ok_or_else(|| Error::integrity(format!("{noun} entry '{}' has a malformed size", shown(&header.path_bytes()))))
}

/// A size that can be added to without overflow.
fn content_size(size: Option<u64>) -> Option<u64> {
    size.filter(|size| *size <= i64::MAX as u64)
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
