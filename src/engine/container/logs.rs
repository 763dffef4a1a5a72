//! Reading a container's log: the whole, its end, a span of time, and what comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use serde::Deserialize;

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::events::wait_for;
use super::record::{self, Time};
use super::streams::Stream;

/// What to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOptions {
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// Only what was written at this time or later.
    pub since: Option<Time>,
    /// Only what was written before.
    pub until: Option<Time>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// With its newline, unless the output ended without, or the line is longer than 16 KiB.
    pub text: String,
    /// Where it was written.
    pub stream: Stream,
    /// When.
    pub time: Time,
}

/// A line as it is on disk.
#[derive(Deserialize)]
struct Object {
    log: String,
    stream: String,
    time: String,
}

/// An open log.
pub struct Reader {
    path: PathBuf,
    id: String,
    options: LogOptions,
    // Files still to be read, oldest last; the current one is open.
    older: Vec<PathBuf>,
    file: Option<BufReader<File>>,
    buffer: Vec<u8>,
    // Lines that `tail` skips.
    skip: u64,
    watch: Option<OwnedFd>,
    over: bool,
}

impl Engine {
    /// Opens a container's log.
    ///
    /// # Errors
    /// `not_found`; `unsupported` when it keeps none; `os`.
    pub fn container_logs(&self, name: &str, options: LogOptions) -> Result<Reader> {
        let record = self.container(name)?;
        if !record.log.keep {
            let message = format!("container '{}' keeps no log (log driver none)", record.name);
            return Err(Error::new(Kind::Unsupported, message));
        }
        let path = record::folder(self.store().root(), &record.id).join("container.log");
        Reader::open(path, record.id, options)
    }

    /// The next line; `None` at the end. When following, waits for one until the container has ended.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn container_log_line(&self, reader: &mut Reader) -> Result<Option<Line>> {
        loop {
            if let Some(line) = reader.next()? {
                return Ok(Some(line));
            }
            if !reader.options.follow || reader.over {
                return Ok(None);
            }
            let late = reader.options.until.is_some_and(|until| Time::now() >= until);
            if late || !self.store().is_running(&reader.id) {
                // What was written just before the end is read in one last round.
                reader.over = true;
                continue;
            }
            reader.wait(self)?;
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

impl Reader {
    fn open(path: PathBuf, id: String, options: LogOptions) -> Result<Reader> {
        let older: Vec<PathBuf> =
            (1..).map(|number| numbered(&path, number)).take_while(|path| path.exists()).collect();
        let watch = options.follow.then(|| watch(&path)).transpose()?;
        let mut reader =
            Reader { path, id, options, older, file: None, buffer: Vec::new(), skip: 0, watch, over: false };
        if let Some(tail) = options.tail {
            reader.skip = reader.count()?.saturating_sub(tail);
        }
        Ok(reader)
    }

    /// Lines there are now, of those that the span of time lets through.
    fn count(&mut self) -> Result<u64> {
        let (older, file) = (self.older.clone(), self.file.take());
        let follow = std::mem::replace(&mut self.options.follow, false);
        let mut count = 0;
        while self.next()?.is_some() {
            count += 1;
        }
        (self.older, self.file, self.options.follow) = (older, file, follow);
        self.buffer.clear();
        Ok(count)
    }

    fn next(&mut self) -> Result<Option<Line>> {
        loop {
            let Some(line) = self.raw()? else { return Ok(None) };
            if self.options.since.is_some_and(|since| line.time < since)
                || self.options.until.is_some_and(|until| line.time >= until)
            {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            return Ok(Some(line));
        }
    }

    fn raw(&mut self) -> Result<Option<Line>> {
        loop {
            if self.file.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            file.read_until(b'\n', &mut self.buffer).os(|| format!("read {}", self.path.display()))?;
            if self.buffer.last() == Some(&b'\n') {
                let object = serde_json::from_slice::<Object>(&self.buffer);
                self.buffer.clear();
                // A line that a full disk cut short is skipped.
                let Ok(object) = object else { continue };
                return Ok(Some(object.line()));
            }
            if !self.at_end_of_old_file()? {
                return Ok(None);
            }
            self.buffer.clear();
            self.file = None;
        }
    }

    fn open_next(&mut self) -> Result<bool> {
        let path = self.older.pop().unwrap_or_else(|| self.path.clone());
        let mut options = File::options();
        // A link in the container's folder is none of ours.
        match options.read(true).custom_flags(libc::O_NOFOLLOW).open(&path) {
            Ok(file) => self.file = Some(BufReader::new(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).os(|| format!("open {}", path.display())),
        }
        Ok(true)
    }

    /// Whether the open file will not grow any more: another one has its name, or it was emptied.
    fn at_end_of_old_file(&mut self) -> Result<bool> {
        let Some(file) = &mut self.file else { return Ok(true) };
        let ours = file.get_ref().metadata().os(|| format!("stat {}", self.path.display()))?;
        let Ok(current) = std::fs::metadata(&self.path) else { return Ok(false) };
        if ours.ino() != current.ino() {
            return Ok(true);
        }
        let at = file.stream_position().os(|| "seek")?;
        if ours.len() < at {
            file.seek(SeekFrom::Start(0)).os(|| "seek")?;
            self.buffer.clear();
        }
        Ok(false)
    }

    fn wait(&self, engine: &Engine) -> Result<()> {
        let Some(watch) = &self.watch else { return Ok(()) };
        wait_for(watch, engine.cancel(), self.options.until)?;
        let mut buffer = [0; 4096];
        while rustix::io::read(watch, &mut buffer).is_ok_and(|count| count > 0) {}
        Ok(())
    }
}

/// Readable after each change of the log, and at the container's end: its state is written then, or all of it goes.
fn watch(path: &Path) -> Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).os(|| "inotify")?;
    let folder = path.parent().unwrap_or(path);
    use inotify::WatchFlags as Flags;
    let flags = Flags::MODIFY | Flags::CREATE | Flags::MOVED_TO | Flags::MOVED_FROM | Flags::MOVE_SELF | Flags::DELETE;
    inotify::add_watch(&watch, folder, flags).os(|| format!("watch {}", folder.display()))?;
    // The lock of a running container is a file of its own, removed at the end.
    if let (Some(root), Some(id)) =
        (folder.parent().and_then(Path::parent), folder.file_name().and_then(|id| id.to_str()))
    {
        let lock = super::super::store::running::path(root, id);
        match inotify::add_watch(&watch, &lock, Flags::DELETE_SELF | Flags::ATTRIB | Flags::CLOSE_WRITE) {
            // It has ended already.
            Ok(_) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e).os(|| format!("watch {}", lock.display())),
        }
    }
    Ok(watch)
}

impl Object {
    fn line(self) -> Line {
        let stream = if self.stream == "stderr" { Stream::Err } else { Stream::Out };
        let time = humantime::parse_rfc3339(&self.time).unwrap_or(std::time::UNIX_EPOCH);
        let nanos = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Line { text: self.log, stream, time: Time(nanos) }
    }
}
