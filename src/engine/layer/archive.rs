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
use super::entry::{Entry, EntryKind, Extensions, is_file_type, merge, number, shown, size_of};
use super::pax;
use super::sparse::{self, SparseRecords};

pub(super) const BLOCK: u64 = 512;
const BUFFER: usize = 256 << 10;
/// Bytes of one extension header; what the Go tar reader allows.
const EXTENSION_BYTES: u64 = 1 << 20;
/// Extension headers before one entry. Writers use at most three.
const EXTENSION_RUN: u32 = 64;

/// What messages call a layer's stream.
pub(super) const LAYER: &str = "layer";

/// A tar stream being read.
pub(crate) struct Archive<R> {
    reader: BufReader<R>,
    limits: Limits,
    /// What messages call the stream.
    noun: &'static str,
    /// Bytes taken from the stream.
    passed: u64,
    entries: u64,
    /// Stored data of the current entry that was not taken yet, and the padding after it.
    data: u64,
    padding: u64,
    current: String,
}

impl<R: Read> Archive<R> {
    /// Reads a stream that messages call `noun`.
    pub fn new(reader: R, limits: Limits, noun: &'static str) -> Archive<R> {
        Archive {
            reader: BufReader::with_capacity(BUFFER, reader),
            limits,
            noun,
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
            let size = size_of(header, self.noun)?;
            match header.entry_type().as_byte() {
                b'x' => {
                    let block = self.extension(size)?;
                    // Of two in a row the later one counts alone.
                    let long = (extensions.long_path.take(), extensions.long_link.take());
                    extensions = Extensions::default();
                    (extensions.long_path, extensions.long_link) = long;
                    extensions.read(&block, self.noun)?;
                }
                b'g' => check_global(&self.extension(size)?, self.noun)?,
                b'L' => extensions.long_path = Some(until_nul(self.extension(size)?)),
                b'K' => extensions.long_link = Some(until_nul(self.extension(size)?)),
                _ => return self.entry(header, size, extensions).map(Some),
            }
        }
        Err(Error::integrity(format!("{} has more than {EXTENSION_RUN} extension headers in a row", self.noun)))
    }

    fn entry(&mut self, header: &Header, size: u64, extensions: Extensions) -> Result<Entry> {
        self.entries += 1;
        if self.entries > self.limits.layer_entries {
            return Err(Error::integrity(format!("{} has more than {} entries", self.noun, self.limits.layer_entries)));
        }
        let mut entry = merge(header, &extensions, self.noun)?;
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
                Err(e) => return Err(from_io(e, format!("read {}", self.noun))),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<()> {
        self.reader.consume(count);
        self.passed += count as u64;
        if self.passed > self.limits.layer_bytes { Err(self.too_big()) } else { Ok(()) }
    }

    fn too_big(&self) -> Error {
        let (noun, most) = (self.noun, self.limits.layer_bytes);
        let error = Error::integrity(format!("{noun} unpacks to more than {most} bytes"));
        match noun {
            LAYER => error.with_hint("if the image is to be trusted, pull it with a larger max_layer_bytes"),
            _ => error,
        }
    }

    /// What messages call all of it.
    fn whole(&self) -> String {
        if self.noun == "archive" { self.noun.into() } else { format!("{} archive", self.noun) }
    }

    fn cut_off(&self) -> Error {
        let noun = self.whole();
        match self.current.as_str() {
            "" => Error::integrity(format!("{noun} is cut off in its first header")),
            name => Error::integrity(format!("{noun} is cut off after the header of '{name}'")),
        }
    }

    fn in_entry(&self, error: Error) -> Error {
        Error::new(error.kind(), format!("{} entry '{}' {}", self.noun, self.current, error.message()))
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
                    Err(Error::integrity(format!("{} has an entry after a block of zeros", self.whole())))
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
            _ if self.current.is_empty() => Err(Error::integrity(format!("{} is not a tar archive", self.noun))),
            _ => Err(Error::integrity(format!("{} has a damaged header after '{}'", self.whole(), self.current))),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTENSION_BYTES {
            return Err(Error::integrity(format!(
                "{} has an extension header of {size} bytes, more than {EXTENSION_BYTES}",
                self.noun
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

/// Global records are read and dropped, like Docker and containerd do; one that would change where data starts or
/// ends, or whose it is, would make readers disagree about the layer and is refused.
fn check_global(block: &[u8], noun: &str) -> Result<()> {
    for (key, _) in pax::parse(block, noun)? {
        if matches!(key, b"size" | b"path" | b"linkpath") || key.starts_with(b"GNU.sparse.") {
            return Err(Error::integrity(format!("{noun} has '{}' in a global pax header", shown(key))));
        }
    }
    Ok(())
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
