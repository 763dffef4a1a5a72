//! Writing a container's log: one JSON object a line, `{"log":"text\n","stream":"stdout","time":"..."}`, as the field's
//! readers expect it. `attrs` holds the labels and variables that the log's options ask for.
//!
//! A line longer than 16 KiB comes in several objects, all but the last without a newline. A file that grows beyond
//! its size is renamed to `.1`, an older one to `.2`, and so on. When the disk is full lines are lost, and the
//! container goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::super::error::{OsContext, Result};
use super::super::options::Log as Settings;
use super::super::record::Time;
use super::super::streams::Stream;

/// The longest piece of a line in one object, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// An open log.
pub struct Log {
    path: PathBuf,
    file: File,
    written: u64,
    settings: Settings,
    // What every object has besides, as it is written.
    attributes: String,
    // The beginning of a line that has not ended, of output and of error.
    partial: [Vec<u8>; 2],
    buffer: Vec<u8>,
}

impl Log {
    /// Opens (or makes) the log in a container's folder; a link there is not followed.
    ///
    /// # Errors
    /// `os`.
    pub fn open(path: &Path, settings: &Settings) -> Result<Log> {
        let file = open(path)?;
        let written = file.metadata().os(|| format!("stat {}", path.display()))?.len();
        let (settings, path) = (settings.clone(), path.to_path_buf());
        let attributes = match settings.attributes.is_empty() {
            true => String::new(),
            // Strings by names: that can be written.
            false => format!(",\"attrs\":{}", serde_json::json!(settings.attributes)),
        };
        Ok(Log { path, file, written, settings, attributes, partial: Default::default(), buffer: Vec::new() })
    }

    /// Takes output as it came.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let time = Time::now();
        let mut rest = bytes;
        while !rest.is_empty() {
            let partial = &mut self.partial[stream as usize];
            let room = PIECE_BYTES - partial.len();
            let end = rest.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (piece, complete) = match end {
                Some(end) => (end, true),
                None if rest.len() >= room => (room, true),
                None => (rest.len(), false),
            };
            partial.extend_from_slice(&rest[..piece]);
            rest = &rest[piece..];
            if complete {
                self.object(stream, time);
            }
        }
        self.flush();
    }

    /// Writes what has no newline yet: nothing more comes.
    pub fn end(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.partial[stream as usize].is_empty() {
                self.object(stream, Time::now());
            }
        }
        self.flush();
        self.partial = Default::default();
        self.buffer = Vec::new();
    }

    /// Puts the collected piece of a stream into the buffer.
    fn object(&mut self, stream: Stream, time: Time) {
        let start = self.buffer.len();
        let partial = &mut self.partial[stream as usize];
        let text = String::from_utf8_lossy(partial);
        self.buffer.extend_from_slice(b"{\"log\":");
        // Writing a string into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.buffer, &*text);
        drop(text);
        partial.clear();
        let name = if stream == Stream::Out { "stdout" } else { "stderr" };
        let attributes = &self.attributes;
        let tail = format!(",\"stream\":\"{name}\"{attributes},\"time\":\"{}\"}}\n", time.rfc3339());
        self.buffer.extend_from_slice(tail.as_bytes());
        let limit = self.settings.max_bytes;
        if limit > 0 && self.written + self.buffer.len() as u64 > limit {
            // The object that does not fit any more is the first of the next file.
            let object = self.buffer.split_off(start);
            self.flush();
            if self.written > 0 {
                self.rotate();
            }
            self.buffer = object;
        }
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => self.written += self.buffer.len() as u64,
            // A full disk: these lines are lost. What was half written ends here, so that later lines are whole.
            Err(_) => drop(self.file.set_len(self.written)),
        }
        self.buffer.clear();
    }

    /// Puts the file aside (or removes it, if there is to be only one) and begins a new one, so that whoever reads the old
    /// one can do so to its end. If that fails the old one is emptied: the limit is a promise.
    fn rotate(&mut self) {
        let name = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.settings.max_files.saturating_sub(1)).rev() {
            // Those that do not exist yet are the usual case.
            let _ = fs::rename(name(number), name(number + 1));
        }
        let put_aside = match self.settings.max_files {
            0 | 1 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, name(1)),
        };
        match put_aside.map_err(drop).and_then(|()| open(&self.path).map_err(drop)) {
            Ok(file) => self.file = file,
            Err(()) => drop(self.file.set_len(0)),
        }
        self.written = 0;
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options.open(path).os(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<(String, String)> {
        let text = fs::read_to_string(path).unwrap();
        let parse = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (value["stream"].as_str().unwrap().to_string(), value["log"].as_str().unwrap().to_string())
        };
        text.lines().map(parse).collect()
    }

    #[test]
    fn streams_stay_apart_and_lines_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, &Settings::default()).unwrap();
        log.write(Stream::Out, b"one\ntw");
        log.write(Stream::Err, b"bad \xff\n");
        log.write(Stream::Out, b"o\nrest");
        log.end();
        let pair = |stream: &str, text: &str| (stream.to_string(), text.to_string());
        let expected = [
            pair("stdout", "one\n"),
            pair("stderr", "bad \u{fffd}\n"),
            pair("stdout", "two\n"),
            pair("stdout", "rest"),
        ];
        assert_eq!(lines(&path), expected);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, &Settings::default()).unwrap();
        log.write(Stream::Out, &[b'x'; 40_000]);
        log.write(Stream::Out, b"\n");
        let pieces: Vec<usize> = lines(&path).iter().map(|(_, text)| text.len()).collect();
        assert_eq!(pieces, [PIECE_BYTES, PIECE_BYTES, 40_001 - 2 * PIECE_BYTES]);
    }

    #[test]
    fn rotation_keeps_the_promised_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let settings = Settings { keep: true, max_bytes: 10_000, max_files: 3, ..Settings::default() };
        let mut log = Log::open(&path, &settings).unwrap();
        for number in 0..2_000 {
            log.write(Stream::Out, format!("line {number}\n").as_bytes());
        }
        log.end();
        let size = |name: &str| fs::metadata(dir.path().join(name)).map(|meta| meta.len()).unwrap_or(0);
        for name in ["log", "log.1", "log.2"] {
            assert!((1..=10_000).contains(&size(name)), "{name}: {}", size(name));
        }
        assert_eq!(size("log.3"), 0);
        assert_eq!(lines(&path).last().unwrap().1, "line 1999\n");
        let single = dir.path().join("single");
        let mut log = Log::open(&single, &Settings { max_files: 1, ..settings }).unwrap();
        for _ in 0..1_000 {
            log.write(Stream::Out, b"again and again\n");
        }
        assert!(fs::metadata(&single).unwrap().len() <= 10_000);
    }
}
