//! The four ways tar writes a sparse file: GNU's own entry type and PAX records of versions 0.0, 0.1 and 1.0.
//!
//! Source: GNU tar manual, "Storing Sparse Files".

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::super::error::{Error, Result};
use super::archive::BLOCK;
use super::entry::number;
use super::pax;

/// Segments of one file; bounds the memory a map may take.
const MAX_SEGMENTS: usize = 1 << 20;

/// A stretch of data; between stretches are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub offset: u64,
    pub length: u64,
}

/// The `GNU.sparse.*` records of one entry.
#[derive(Default)]
pub(super) struct SparseRecords {
    major: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
    offset: Option<u64>,
    map: Vec<Segment>,
    blocks: Option<u64>,
}

impl SparseRecords {
    /// Takes in one record; nothing when it is malformed.
    pub fn read(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key.strip_prefix(b"GNU.sparse.")? {
            b"major" => self.major = Some(pax::decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(pax::decimal(value)?),
            b"numblocks" => self.blocks = Some(pax::decimal(value)?),
            b"offset" if self.offset.is_some() => return None,
            b"offset" => self.offset = Some(pax::decimal(value)?),
            b"numbytes" => {
                let segment = Segment { offset: self.offset.take()?, length: pax::decimal(value)? };
                self.map.push(segment);
            }
            b"map" => {
                let numbers: Option<Vec<u64>> = value.split(|byte| *byte == b',').map(pax::decimal).collect();
                self.map = pairs(&numbers?)?;
            }
            _ => {}
        }
        Some(())
    }

    /// The file's name; version 0.1 and 1.0 put a made-up one into `path`.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// True when the records describe a sparse file.
    pub fn present(&self) -> bool {
        self.major.is_some() || self.size.is_some() || self.blocks.is_some()
    }

    /// True for version 1.0, whose map stands before the data.
    pub fn in_data(&self) -> bool {
        self.major == Some(1)
    }

    /// The map of versions 0.0 and 0.1.
    pub fn map(&self) -> Result<Vec<Segment>> {
        if self.major.is_some_and(|major| major > 1) {
            return Err(Error::integrity("has a sparse map of an unknown version"));
        }
        Ok(self.map.clone())
    }

    /// The file's size, holes included.
    pub fn real_size(&self) -> Result<u64> {
        self.size.ok_or_else(|| Error::integrity("has a sparse map but no size"))
    }
}

fn pairs(numbers: &[u64]) -> Option<Vec<Segment>> {
    let chunks = numbers.chunks_exact(2);
    if !chunks.remainder().is_empty() {
        return None;
    }
    Some(chunks.map(|pair| Segment { offset: pair[0], length: pair[1] }).collect())
}

/// The map in a header of type `S` and the blocks after it, and the file's size.
pub(super) fn gnu(
    header: &Header,
    mut next_block: impl FnMut() -> Result<[u8; BLOCK as usize]>,
) -> Result<(Vec<Segment>, u64)> {
    let gnu = header.as_gnu().ok_or_else(|| Error::integrity("is sparse but has no GNU header"))?;
    let size = unsigned(&gnu.realsize)?;
    let mut map = Vec::new();
    append(&mut map, &gnu.sparse)?;
    let mut more = gnu.is_extended();
    while more {
        let mut block = GnuExtSparseHeader::new();
        *block.as_mut_bytes() = next_block()?;
        append(&mut map, block.sparse())?;
        more = block.is_extended();
    }
    Ok((map, size))
}

fn append(map: &mut Vec<Segment>, fields: &[GnuSparseHeader]) -> Result<()> {
    for field in fields.iter().filter(|field| !field.is_empty()) {
        map.push(Segment { offset: unsigned(&field.offset)?, length: unsigned(&field.numbytes)? });
    }
    if map.len() > MAX_SEGMENTS { Err(too_many()) } else { Ok(()) }
}

fn unsigned(field: &[u8]) -> Result<u64> {
    number(field)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| Error::integrity("has a malformed sparse map"))
}

/// The map at the start of the data (version 1.0): decimal numbers, a line each, filled up to whole blocks.
pub(super) fn leading(mut next_block: impl FnMut() -> Result<[u8; BLOCK as usize]>) -> Result<Vec<Segment>> {
    let malformed = || Error::integrity("has a malformed sparse map");
    let mut numbers: Vec<u64> = Vec::new();
    let mut line = Vec::new();
    loop {
        for byte in next_block()? {
            match byte {
                b'\n' => {
                    numbers.push(pax::decimal(&line).ok_or_else(malformed)?);
                    line.clear();
                }
                _ if line.len() < 20 => line.push(byte),
                _ => return Err(malformed()),
            }
            let Some(count) = numbers.first() else { continue };
            if *count > MAX_SEGMENTS as u64 {
                return Err(too_many());
            }
            if numbers.len() as u64 == 1 + 2 * count {
                return pairs(&numbers[1..]).ok_or_else(malformed);
            }
        }
    }
}

fn too_many() -> Error {
    Error::integrity(format!("has a sparse map of more than {MAX_SEGMENTS} parts"))
}

/// Refuses a map whose parts overlap, run backwards, pass the file's end or do not add up to the stored data.
pub(super) fn check(map: &[Segment], stored: u64, size: u64) -> Result<()> {
    let mut end = 0u64;
    let mut sum = 0u64;
    for segment in map {
        let next = segment.offset.checked_add(segment.length);
        match next {
            Some(next) if segment.offset >= end && next <= size => end = next,
            _ => return Err(Error::integrity("has a sparse map that does not fit its size")),
        }
        sum += segment.length;
    }
    if sum != stored {
        return Err(Error::integrity(format!("has a sparse map of {sum} bytes for {stored} bytes of data")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(list: &[(u64, u64)]) -> Vec<Segment> {
        list.iter().map(|(offset, length)| Segment { offset: *offset, length: *length }).collect()
    }

    #[test]
    fn maps_must_fit() {
        for (map, stored, size, good) in [
            (&[(0, 5), (10, 5)][..], 10, 20, true),
            (&[(20, 0)], 0, 20, true),
            (&[], 0, 20, true),
            (&[(0, 5), (4, 5)], 10, 20, false),
            (&[(10, 5), (0, 5)], 10, 20, false),
            (&[(18, 5)], 5, 20, false),
            (&[(u64::MAX, 5)], 5, 20, false),
            (&[(0, 5)], 6, 20, false),
        ] {
            assert_eq!(check(&segments(map), stored, size).is_ok(), good, "{map:?}");
        }
    }

    #[test]
    fn a_map_before_the_data_may_span_blocks() {
        let mut text = b"200\n".to_vec();
        for at in 0..200u64 {
            text.extend(format!("{}\n1\n", at * 1000).bytes());
        }
        text.resize(text.len().next_multiple_of(512), 0);
        let mut blocks = text.chunks_exact(512).map(|chunk| <[u8; 512]>::try_from(chunk).unwrap());
        let map = leading(|| Ok(blocks.next().unwrap())).unwrap();
        assert_eq!((map.len(), map[199]), (200, Segment { offset: 199_000, length: 1 }));
        assert!(blocks.next().is_none());
        for bad in ["x\n", "99999999999\n", "123456789012345678901234567890"] {
            let mut block = [0u8; 512];
            block[..bad.len()].copy_from_slice(bad.as_bytes());
            assert!(leading(|| Ok(block)).is_err(), "{bad}");
        }
    }

    #[test]
    fn records_of_versions_0_0_and_0_1() {
        let read = |records: &[(&str, &str)]| {
            let mut found = SparseRecords::default();
            for (key, value) in records {
                found.read(format!("GNU.sparse.{key}").as_bytes(), value.as_bytes())?;
            }
            Some(found.map)
        };
        assert_eq!(
            read(&[("offset", "0"), ("numbytes", "1"), ("offset", "5"), ("numbytes", "2")]),
            Some(segments(&[(0, 1), (5, 2)]))
        );
        assert_eq!(read(&[("map", "0,1,5,2")]), Some(segments(&[(0, 1), (5, 2)])));
        assert_eq!(read(&[("map", "0,1,5")]), None);
        assert_eq!(read(&[("numbytes", "1")]), None);
        assert_eq!(read(&[("offset", "0"), ("offset", "1")]), None);
    }
}
