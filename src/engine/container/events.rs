//! What happened to containers, as a stream: one JSON object a line in `ROOT/events.log`.
//!
//! Everybody appends with one write, so lines stay whole. A file beyond 4 MiB becomes `events.log.1`, and what was that
//! before is gone: a history, not an archive.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::record::{Record, Time};

const LIMIT_BYTES: u64 = 4 << 20;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What it happened to: `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What: `create`, `start`, `die`, ...
    pub action: String,
    /// The container's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image it was made from.
    pub image: String,
    /// More, such as `exitCode`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// Something that happened to a container just now.
    pub fn of(action: &str, record: &Record, attributes: &[(&str, &str)]) -> Event {
        Event {
            time: Time::now(),
            kind: "container".into(),
            action: action.into(),
            id: record.id.clone(),
            name: record.name.clone(),
            image: record.image.clone(),
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        }
    }
}

fn path(root: &Path) -> PathBuf {
    root.join("events.log")
}

/// Writes one down.
///
/// # Errors
/// `os`; nothing is half written then, unless the disk is full.
pub fn write(root: &Path, event: &Event) -> Result<()> {
    let path = path(root);
    let mut line = serde_json::to_vec(event).map_err(|e| Error::new(Kind::Internal, format!("an event: {e}")))?;
    line.push(b'\n');
    let mut options = OpenOptions::new();
    let mut file =
        options.create(true).append(true).mode(0o600).open(&path).os(|| format!("open {}", path.display()))?;
    file.write_all(&line).os(|| format!("write {}", path.display()))?;
    if file.metadata().is_ok_and(|meta| meta.len() > LIMIT_BYTES) {
        // Two at once would put a young file aside: only who still finds this one under its name does it.
        let same =
            fs::metadata(&path).ok().zip(file.metadata().ok()).is_some_and(|(now, ours)| now.ino() == ours.ino());
        if same {
            let _ = fs::rename(&path, root.join("events.log.1"));
        }
    }
    Ok(())
}

impl Engine {
    /// Writes an event of a container down. One that cannot be written is lost: what happened matters more.
    pub(super) fn event(&self, action: &str, record: &Record, attributes: &[(&str, &str)]) {
        let _ = write(self.store().root(), &Event::of(action, record, attributes));
    }

    /// Opens the events from `since` (now, by default) to `until` (for ever).
    ///
    /// # Errors
    /// `os`.
    pub fn container_events(&self, since: Option<Time>, until: Option<Time>) -> Result<Reader> {
        Reader::open(self.store().root(), since, until)
    }

    /// Waits for the next event; `None` at the end.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn container_event(&self, reader: &mut Reader) -> Result<Option<Event>> {
        loop {
            match reader.next()? {
                Some(event) if reader.until.is_some_and(|until| event.time > until) => return Ok(None),
                Some(event) => return Ok(Some(event)),
                None if reader.until.is_some_and(|until| Time::now() >= until) => return Ok(None),
                None => reader.wait(self.cancel())?,
            }
        }
    }
}

/// Reads events as they come.
pub struct Reader {
    root: PathBuf,
    since: Time,
    until: Option<Time>,
    watch: std::os::fd::OwnedFd,
    file: Option<BufReader<fs::File>>,
    line: Vec<u8>,
}

impl Reader {
    fn open(root: &Path, since: Option<Time>, until: Option<Time>) -> Result<Reader> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).os(|| "inotify")?;
        let flags = inotify::WatchFlags::CREATE | inotify::WatchFlags::MODIFY | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, root, flags).os(|| format!("watch {}", root.display()))?;
        let since_time = since.unwrap_or(Time::now());
        let mut reader = Reader { root: root.into(), since: since_time, until, watch, file: None, line: Vec::new() };
        match since {
            // What was put aside comes first.
            Some(_) => {
                reader.file =
                    open(&root.join("events.log.1"))?.map_or_else(|| open(&path(root)), |file| Ok(Some(file)))?;
            }
            None => {
                reader.file = open(&path(root))?;
                if let Some(file) = &mut reader.file {
                    file.seek(SeekFrom::End(0)).os(|| "seek in the events")?;
                }
            }
        }
        Ok(reader)
    }

    fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if self.file.is_none() {
                self.file = open(&path(&self.root))?;
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            file.read_until(b'\n', &mut self.line).os(|| "read the events")?;
            if self.line.last() == Some(&b'\n') {
                let event = serde_json::from_slice::<Event>(&self.line);
                self.line.clear();
                // A line that a full disk cut short is skipped.
                if let Ok(event) = event
                    && event.time >= self.since
                {
                    return Ok(Some(event));
                }
                continue;
            }
            // The end of this file: of the current one, or of one that was put aside.
            let ours = file.get_ref().metadata().map(|meta| meta.ino()).ok();
            let current = fs::metadata(path(&self.root)).map(|meta| meta.ino()).ok();
            if current.is_none() || ours == current {
                return Ok(None);
            }
            self.line.clear();
            self.file = None;
        }
    }

    fn wait(&self, cancel: &Cancel) -> Result<()> {
        wait_for(&self.watch, cancel, self.until)?;
        let mut buffer = [0; 4096];
        let mut file = fs::File::from(self.watch.try_clone().os(|| "duplicate a descriptor")?);
        loop {
            match file.read(&mut buffer) {
                Ok(count) if count > 0 => {}
                _ => return Ok(()),
            }
        }
    }
}

/// Waits until a descriptor can be read, a point in time, or the end of the operation.
///
/// # Errors
/// `interrupted`, `os`.
fn wait_for(fd: &std::os::fd::OwnedFd, cancel: &Cancel, until: Option<Time>) -> Result<()> {
    wait_for_any([fd.as_fd(), fd.as_fd()], cancel, until).map(drop)
}

/// The same for two; which of them can be read.
///
/// # Errors
/// `interrupted`, `os`.
pub(super) fn wait_for_any(two: [BorrowedFd<'_>; 2], cancel: &Cancel, until: Option<Time>) -> Result<[bool; 2]> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [two[0], two[1], cancel.fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    let left = until.map(|until| until.0.saturating_sub(Time::now().0));
    let left =
        left.map(|nanos| Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 });
    match poll(&mut fds, left.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => cancel.check()?,
        Err(e) => return Err(e).os(|| "poll"),
    }
    Ok([!fds[0].revents().is_empty(), !fds[1].revents().is_empty()])
}

fn open(path: &Path) -> Result<Option<BufReader<fs::File>>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).os(|| format!("open {}", path.display())),
    }
}
