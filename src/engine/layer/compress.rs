//! Packing a layer straight into the store, compressed by several threads.
//!
//! The tar stream is cut into pieces of fixed length. Each becomes a gzip member or zstd frame of its own (both formats
//! allow any number in a row), so the bytes do not depend on how many threads there are.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use oci_spec::image::MediaType;

use super::super::cancel::Cancel;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, Kind, OsContext, Result, to_io};
use super::super::store::Store;
use super::diff::{PackOptions, pack};

/// Bytes of one gzip member: the start of each compresses worse, by less than one part in a hundred of this.
const GZIP_PIECE: usize = 1 << 20;
/// zstd looks back further.
const ZSTD_PIECE: usize = 4 << 20;
/// More would hold too many pieces in memory.
const MOST_THREADS: usize = 8;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// gzip, level 0 to 9.
    Gzip(u32),
    /// zstd, level 1 to 22.
    Zstd(i32),
}

impl Compression {
    /// The OCI media type of such a layer.
    pub fn media_type(self) -> MediaType {
        match self {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip(_) => MediaType::ImageLayerGzip,
            Compression::Zstd(_) => MediaType::ImageLayerZstd,
        }
    }

    fn check(self) -> Result<()> {
        match self {
            Compression::Gzip(level) if level > 9 => Err(Error::invalid(format!("gzip level {level} is not 0 to 9"))),
            Compression::Zstd(level) if !(1..=22).contains(&level) => {
                Err(Error::invalid(format!("zstd level {level} is not 1 to 22")))
            }
            _ => Ok(()),
        }
    }

    fn piece(self) -> usize {
        match self {
            Compression::Zstd(_) => ZSTD_PIECE,
            _ => GZIP_PIECE,
        }
    }

    fn compress(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::None => Ok(piece.to_vec()),
            Compression::Gzip(level) => {
                // No name and no time go into the header.
                let level = if level > 0 && is_dense(piece)? { 0 } else { level };
                let out = Vec::with_capacity(if level == 0 { piece.len() + piece.len() / 64 } else { piece.len() / 2 });
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
                encoder.write_all(piece)?;
                encoder.finish()
            }
            Compression::Zstd(level) => zstd::bulk::compress(piece, level),
        }
    }
}

/// Whether gzip would find nothing in a piece, as in what is compressed or encrypted already: judged by samples from
/// all over it, as looking for repetitions in vain takes longer than finding them. zstd gives up early by itself.
fn is_dense(piece: &[u8]) -> io::Result<bool> {
    const SAMPLES: usize = 8;
    const SAMPLE_BYTES: usize = 8 << 10;
    if piece.len() < 2 * SAMPLES * SAMPLE_BYTES {
        return Ok(false);
    }
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for part in piece.chunks(piece.len().div_ceil(SAMPLES)) {
        encoder.write_all(&part[..SAMPLE_BYTES.min(part.len())])?;
    }
    Ok(encoder.finish()?.len() >= SAMPLES * SAMPLE_BYTES / 100 * 98)
}

/// A layer that is in the store as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Its OCI media type.
    pub media_type: MediaType,
}

/// Packs a tree (see [`pack`]) into a blob of the store. Its name is durable when another blob is committed, such as
/// that of the image it belongs to.
///
/// # Errors
/// Those of [`pack`]; `invalid_argument` for a level out of range; the store is then as it was.
pub fn pack_to_blob(
    store: &Store,
    tree: &Path,
    compression: Compression,
    options: &PackOptions,
    cancel: &Cancel,
) -> Result<PackedLayer> {
    compression.check()?;
    let mut blob = store.blob_writer()?;
    let diff_id = if compression == Compression::None {
        let mut out = Hashing::new(&mut blob);
        pack(tree, &mut out, options, cancel)?;
        out.finish().1
    } else {
        let threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        thread::scope(|scope| -> Result<Digest> {
            let pieces = Pieces::start(scope, &mut blob, compression, threads.min(MOST_THREADS));
            let mut out = Hashing::new(pieces);
            pack(tree, &mut out, options, cancel)?;
            let (pieces, diff_id, _) = out.finish();
            pieces.finish()?;
            Ok(diff_id)
        })?
    };
    let (digest, size) = blob.keep(None)?;
    Ok(PackedLayer { diff_id, digest, size, media_type: compression.media_type() })
}

type Piece = (Vec<u8>, SyncSender<io::Result<Vec<u8>>>);

/// Takes the stream, hands pieces to the threads and writes what they give back in order.
struct Pieces<W> {
    out: W,
    current: Vec<u8>,
    length: usize,
    jobs: SyncSender<Piece>,
    waiting: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    most_waiting: usize,
}

impl<W: Write> Pieces<W> {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, out: W, compression: Compression, threads: usize) -> Pieces<W> {
        let most_waiting = threads * 2;
        let (jobs, queue) = sync_channel::<Piece>(most_waiting);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = queue.clone();
            // Ends when `jobs` is dropped, also on failure.
            scope.spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((piece, reply)) = job else { return };
                    // Nobody waits any more after a failure.
                    let _ = reply.send(compression.compress(&piece));
                }
            });
        }
        let length = compression.piece();
        Pieces { out, current: Vec::with_capacity(length), length, jobs, waiting: VecDeque::new(), most_waiting }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.waiting.len() >= self.most_waiting {
            self.receive()?;
        }
        let piece = std::mem::replace(&mut self.current, Vec::with_capacity(self.length));
        let (reply, result) = sync_channel(1);
        self.jobs.send((piece, reply)).map_err(|_| lost())?;
        self.waiting.push_back(result);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let Some(result) = self.waiting.pop_front() else { return Ok(()) };
        let compressed = result.recv().map_err(|_| lost())??;
        self.out.write_all(&compressed)
    }

    fn finish(mut self) -> Result<()> {
        let mut rest = || -> io::Result<()> {
            if !self.current.is_empty() {
                self.send()?;
            }
            while !self.waiting.is_empty() {
                self.receive()?;
            }
            Ok(())
        };
        rest().os(|| "write layer")
    }
}

fn lost() -> io::Error {
    to_io(Error::new(Kind::Internal, "a compressing thread ended"))
}

impl<W: Write> Write for Pieces<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.length - self.current.len());
        self.current.extend_from_slice(&bytes[..count]);
        if self.current.len() == self.length {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn noise_is_stored_and_the_rest_compressed() {
        let random = noise(GZIP_PIECE);
        let mut mixed = random.clone();
        mixed[..GZIP_PIECE / 4].fill(b'a');
        assert!(is_dense(&random).unwrap());
        assert!(!is_dense(&mixed).unwrap());
        assert!(!is_dense(&vec![0; GZIP_PIECE]).unwrap());
        for piece in [&random, &mixed] {
            let packed = Compression::Gzip(4).compress(piece).unwrap();
            assert!(packed.len() < piece.len() + piece.len() / 1000);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
            assert!(back == *piece);
        }
    }
}
