//! Content by digest: `blobs/sha256/HEX`. A blob appears by one rename after its bytes are durable and checked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, Kind, OsContext, Result};
use super::small::SmallFiles;
use super::temporary::TemporaryFile;
use super::{Store, sync_dir};

/// Writes one blob; dropped without [`BlobWriter::commit`], nothing remains.
pub struct BlobWriter {
    dir: PathBuf,
    file: Hashing<TemporaryFile>,
}

impl Write for BlobWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Makes the bytes durable and names them, durably. `expected` is checked where given.
    ///
    /// # Errors
    /// `integrity` when digest or size differ, `os`; the store is then as it was.
    pub fn commit(self, expected: Option<(Digest, u64)>) -> Result<(Digest, u64)> {
        let dir = self.dir.clone();
        let kept = self.keep(expected)?;
        sync_dir(&dir).os(|| format!("keep blob {}", kept.0))?;
        Ok(kept)
    }

    /// The same for one of several blobs: its name is durable when another one is committed.
    ///
    /// # Errors
    /// As [`BlobWriter::commit`].
    pub fn keep(self, expected: Option<(Digest, u64)>) -> Result<(Digest, u64)> {
        let (file, digest, size) = self.file.finish();
        if let Some((want, want_size)) = expected {
            if size != want_size {
                return Err(Error::integrity(format!("blob {want} has {size} bytes, expected {want_size}")));
            }
            if digest != want {
                return Err(Error::integrity(format!("content has digest {digest}, expected {want}")));
            }
        }
        let path = self.dir.join(digest.hex());
        let keep = || -> io::Result<()> {
            file.as_file().sync_all()?;
            file.persist(&path)
        };
        keep().os(|| format!("keep blob {digest}"))?;
        Ok((digest, size))
    }
}

impl Store {
    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.join("blobs/sha256").join(digest.hex())
    }

    /// The size in bytes of a blob that is here.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().map(|meta| meta.len())
    }

    /// Starts a blob.
    ///
    /// # Errors
    /// `os`.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        let file = self.temporary_file()?;
        Ok(BlobWriter { dir: self.join("blobs/sha256"), file: Hashing::new(file) })
    }

    /// Adds a small blob.
    ///
    /// # Errors
    /// `os`.
    pub fn put_blob(&self, content: &[u8]) -> Result<Digest> {
        let digest = Digest::of(content);
        if self.blob_size(&digest) == Some(content.len() as u64) {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        writer.write_all(content).os(|| format!("write blob {digest}"))?;
        Ok(writer.commit(None)?.0)
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        match File::open(self.blob_path(digest)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing(digest)),
            other => other.os(|| format!("open blob {digest}")),
        }
    }

    /// Reads a small blob, checking its digest.
    ///
    /// # Errors
    /// `not_found`; `integrity` when it is damaged or longer than `limit` bytes.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        self.blobs()?.read(digest, limit).map(<[u8]>::to_vec)
    }

    /// For reading many small blobs.
    ///
    /// # Errors
    /// `os`.
    pub fn blobs(&self) -> Result<Blobs> {
        Ok(Blobs(SmallFiles::open(&self.join("blobs/sha256"))?))
    }
}

/// The folder of blobs, for reading many small ones.
pub struct Blobs(SmallFiles);

impl Blobs {
    /// Reads one, checking its digest.
    ///
    /// # Errors
    /// `not_found`; `integrity` when it is damaged or longer than `limit` bytes.
    pub fn read(&mut self, digest: &Digest, limit: u64) -> Result<&[u8]> {
        let Some(content) = self.0.read(&digest.hex(), limit).os(|| format!("read blob {digest}"))? else {
            return Err(missing(digest));
        };
        if content.len() as u64 > limit {
            return Err(Error::integrity(format!("blob {digest} is longer than {limit} bytes")));
        }
        if Digest::of(content) != *digest {
            return Err(Error::integrity(format!("blob {digest} is damaged in the store"))
                .with_hint("remove the images that use it and pull them again"));
        }
        Ok(content)
    }
}

fn missing(digest: &Digest) -> Error {
    Error::new(Kind::NotFound, format!("blob {digest} is not in the store"))
}
