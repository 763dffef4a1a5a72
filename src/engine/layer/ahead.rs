//! Reading ahead in a thread of its own, so that inflating and hashing go on while files are written.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

const BUFFER: usize = 256 << 10;
/// Buffers under way: with the two ends' own, under 5 MiB a layer.
const BUFFERS: usize = 16;

type Piece = io::Result<Vec<u8>>;

struct Ahead {
    pieces: Receiver<Piece>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.current, self.at) = (piece?, 0),
                // The thread is done and everything it sent was read.
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Calls `work` with a reader of what `reader` gives, which another thread reads at the same time: `reader` is best the
/// whole chain of hashing and decompression, `work` the unpacking. Gives `reader` back with the result; when `work`
/// ended early, the rest of it was not read.
///
/// Returns once the thread has ended, so a `reader` that may wait for ever must itself stop when cancelled.
pub fn read_ahead<R: Read + Send, T>(mut reader: R, work: impl FnOnce(&mut dyn Read) -> T) -> (T, R) {
    let result = thread::scope(|scope| {
        let (sender, pieces) = sync_channel::<Piece>(BUFFERS);
        let reader = &mut reader;
        scope.spawn(move || {
            loop {
                let piece = fill(reader);
                let last = !matches!(&piece, Ok(piece) if !piece.is_empty());
                // Nobody listens any more when `work` ended early.
                if sender.send(piece).is_err() || last {
                    return;
                }
            }
        });
        work(&mut Ahead { pieces, current: Vec::new(), at: 0 })
    });
    (result, reader)
}

/// One buffer, full unless the stream ends; empty at its end. Bytes before an error are dropped: nobody wants half a layer.
fn fill(reader: &mut impl Read) -> Piece {
    let mut buffer = vec![0; BUFFER];
    let mut have = 0;
    while have < buffer.len() {
        match reader.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buffer.truncate(have);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_passes_and_the_reader_comes_back() {
        let content: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
        let (copy, rest) = read_ahead(&content[..], |reader| {
            let mut copy = Vec::new();
            reader.read_to_end(&mut copy).map(|_| copy)
        });
        assert_eq!(copy.unwrap(), content);
        assert!(rest.is_empty());
        // Work that stops early does not hang the thread, and an error arrives.
        read_ahead(io::repeat(7), |reader| reader.read(&mut [0; 10]).unwrap());
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (result, _) = read_ahead(Fails, |reader| reader.read(&mut [0; 10]).map_err(|e| e.to_string()));
        assert_eq!(result.unwrap_err(), "broken");
    }
}
