//! Joins the stages of a layer's way in: bounded, with buffers that travel back and forth.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::super::error::{Error, to_io};

/// Big enough that handing over costs nothing beside what is done with the bytes.
const BUFFER: usize = 256 << 10;
/// Buffers on their way: lets a stage run ahead of a slower one without holding much memory.
const DEPTH: usize = 8;

/// The receiving end, read like a file. Ends with an error unless the sender said that it is done.
pub(super) struct PipeReader {
    full: Receiver<Option<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    done: bool,
}

/// The sending end.
pub(super) struct PipeWriter {
    full: SyncSender<Option<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    made: usize,
}

/// A pipe within the process.
pub(super) fn pipe() -> (PipeReader, PipeWriter) {
    let (full_in, full_out) = sync_channel(DEPTH);
    let (empty_in, empty_out) = channel();
    let reader = PipeReader { full: full_out, empty: empty_in, current: Vec::new(), at: 0, done: false };
    (reader, PipeWriter { full: full_in, empty: empty_out, made: 0 })
}

impl PipeWriter {
    /// Moves everything from `source` into the pipe and ends it. Each filled buffer is shown to `see` first. With
    /// `to_the_end` it goes on without a reader, for what `source` and `see` make of the rest.
    ///
    /// # Errors
    /// Those of `source` and `see`; `interrupted` when the reader is gone (it then has an error of its own).
    pub fn pump(
        mut self,
        source: &mut dyn Read,
        to_the_end: bool,
        mut see: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let mut buffer = self.take();
            let filled = fill(source, &mut buffer)?;
            if filled == 0 {
                // A reader that has all it wants may be gone before the end is said.
                let _ = self.full.send(None);
                return Ok(());
            }
            buffer.truncate(filled);
            see(&buffer)?;
            if self.full.send(Some(buffer)).is_err() && !to_the_end {
                return Err(gone());
            }
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let reused = if self.made > DEPTH { self.empty.recv().ok() } else { self.empty.try_recv().ok() };
        let mut buffer = reused.unwrap_or_else(|| {
            self.made += 1;
            Vec::with_capacity(BUFFER)
        });
        buffer.resize(BUFFER, 0);
        buffer
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn gone() -> io::Error {
    to_io(Error::interrupted())
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            if self.done {
                return Ok(0);
            }
            match self.full.recv() {
                Ok(Some(next)) => {
                    let used = std::mem::replace(&mut self.current, next);
                    self.at = 0;
                    if used.capacity() > 0 {
                        // A writer that has ended takes none back.
                        let _ = self.empty.send(used);
                    }
                }
                Ok(None) => {
                    self.done = true;
                    return Ok(0);
                }
                Err(_) => return Err(gone()),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let content: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        let (mut reader, writer) = pipe();
        let mut seen = 0;
        std::thread::scope(|scope| {
            let content = &content;
            let sender = scope.spawn(move || {
                let mut source = &content[..];
                writer.pump(&mut source, false, |bytes| {
                    seen += bytes.len();
                    Ok(())
                })?;
                io::Result::Ok(seen)
            });
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == *content);
            assert_eq!(sender.join().unwrap().unwrap(), content.len());
        });
    }

    #[test]
    fn an_end_that_was_not_said_is_an_error() {
        let (mut reader, writer) = pipe();
        drop(writer);
        assert!(reader.read(&mut [0]).is_err());
        let (reader, writer) = pipe();
        drop(reader);
        assert!(writer.pump(&mut io::repeat(0), false, |_| Ok(())).is_err());
        let (reader, writer) = pipe();
        drop(reader);
        assert!(writer.pump(&mut io::repeat(0).take(9_000_000), true, |_| Ok(())).is_ok());
    }
}
