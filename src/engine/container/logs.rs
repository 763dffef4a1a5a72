//! Reading a container's log: the whole, its end, a span of time, and what comes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use serde::Deserialize;

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::client::{Answer, Client};
use super::record::{self, Time};
use super::streams::Stream;

/// How many files a slow reader holds open that are not its turn yet. They take their place on the disk.
const AHEAD: usize = 100;

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
    /// Labels and variables of the container that its log's options name.
    pub attributes: BTreeMap<String, String>,
}

/// A line as it is on disk.
#[derive(Deserialize)]
struct Object {
    log: String,
    stream: String,
    time: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// An open log.
pub struct Reader {
    path: PathBuf,
    id: String,
    options: LogOptions,
    // Files after the open one, the next one last. All are opened at the start, so that none is missed or read twice
    // when the log is rotated meanwhile.
    newer: Vec<File>,
    file: Option<BufReader<File>>,
    buffer: Vec<u8>,
    // Lines that `tail` skips.
    skip: u64,
    watch: Option<OwnedFd>,
    // A file has come or got another name since anybody looked.
    turned: bool,
    // A connection to the monitor, which tells of the end.
    monitor: Option<Client>,
    // The open file has lost its name: what it holds now is all it ever will.
    complete: bool,
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
            reader.look_ahead()?;
            if let Some(line) = reader.next()? {
                return Ok(Some(line));
            }
            if !reader.options.follow || reader.over {
                return Ok(None);
            }
            let late = reader.options.until.is_some_and(|until| Time::now() >= until);
            // What was written just before the end is read in one last round.
            reader.over = late || !reader.wait(self)?;
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.into();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Opens a file of a log; `None` when it is not there. A link in the container's folder is none of ours.
fn open(path: &Path) -> Result<Option<File>> {
    match File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).os(|| format!("open {}", path.display())),
    }
}

/// The files from the current one back to the one before `last` (an inode), or to the oldest there is.
fn open_back_to(path: &Path, last: Option<u64>) -> Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    let mut seen = Vec::new();
    for number in 0.. {
        let Some(file) = open(&numbered(path, number))? else {
            // The current one is missing for a moment while a new one is made; or for good, with its container.
            if number == 0 && path.parent().is_some_and(Path::exists) { continue } else { break }
        };
        let inode = file.metadata().os(|| format!("stat {}", path.display()))?.ino();
        if Some(inode) == last {
            break;
        }
        // A rotation since the last look has moved it on by one.
        if !seen.contains(&inode) {
            seen.push(inode);
            files.push(file);
        }
    }
    Ok(files)
}

impl Reader {
    fn open(path: PathBuf, id: String, options: LogOptions) -> Result<Reader> {
        let watch = options.follow.then(|| watch(&path)).transpose()?;
        let newer = open_back_to(&path, None)?;
        let (file, buffer, skip) = (None, Vec::new(), 0);
        let mut reader = Reader {
            path,
            id,
            options,
            newer,
            file,
            buffer,
            skip,
            watch,
            turned: false,
            monitor: None,
            complete: false,
            over: false,
        };
        if let Some(tail) = options.tail {
            reader.skip = reader.count()?.saturating_sub(tail);
        }
        Ok(reader)
    }

    /// Lines there are now, of those that the span of time lets through.
    fn count(&mut self) -> Result<u64> {
        let mut count = 0;
        for file in self.newer.iter_mut().rev() {
            let mut lines = BufReader::new(&mut *file);
            while let Some(line) = next_line(&mut lines, &mut self.buffer)? {
                count += u64::from(self.options.lets_through(&line));
            }
            self.buffer.clear();
            file.seek(SeekFrom::Start(0)).os(|| "seek")?;
        }
        Ok(count)
    }

    /// Opens files that have come since, so that they can still be read when the log is rotated again before it is
    /// their turn: with `max-file` 1 they are removed then.
    fn look_ahead(&mut self) -> Result<()> {
        self.take_events();
        let newest = match (self.newer.first(), &self.file) {
            (Some(file), _) => file,
            (None, Some(file)) => file.get_ref(),
            (None, None) => return Ok(()),
        };
        if !std::mem::take(&mut self.turned) || self.newer.len() >= AHEAD {
            return Ok(());
        }
        let newest = newest.metadata().os(|| format!("stat {}", self.path.display()))?.ino();
        let found = open_back_to(&self.path, Some(newest))?;
        self.complete |= self.file.is_some() && !found.is_empty();
        self.newer.splice(0..0, found);
        Ok(())
    }

    /// Takes what the watch has seen; whether that was anything.
    fn take_events(&mut self) {
        let Some(watch) = &self.watch else { return };
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch, &mut buffer);
        // It does not block: the error is that there is nothing more.
        while let Ok(event) = events.next() {
            use inotify::ReadFlags as Flags;
            self.turned |= event.events().intersects(Flags::CREATE | Flags::MOVED_TO | Flags::QUEUE_OVERFLOW);
        }
    }

    fn next(&mut self) -> Result<Option<Line>> {
        loop {
            let Some(line) = self.raw()? else { return Ok(None) };
            if !self.options.lets_through(&line) {
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
            if self.file.is_none() {
                self.file = match self.newer.pop() {
                    Some(file) => Some(BufReader::new(file)),
                    None => open(&self.path)?.map(BufReader::new),
                };
                self.complete = !self.newer.is_empty();
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            if let Some(line) = next_line(file, &mut self.buffer)? {
                return Ok(Some(line));
            }
            if !self.turn_page()? {
                return Ok(None);
            }
        }
    }

    /// At the end of the open file: goes on to the next one. False when there is none, for now.
    fn turn_page(&mut self) -> Result<bool> {
        let Some(file) = &mut self.file else { return Ok(true) };
        if self.complete {
            self.buffer.clear();
            self.file = None;
            return Ok(true);
        }
        let ours = file.get_ref().metadata().os(|| format!("stat {}", self.path.display()))?;
        let Ok(current) = std::fs::metadata(&self.path) else { return Ok(false) };
        if ours.ino() != current.ino() {
            // Something may have been written between our last look and the renaming: it is read before the next one.
            self.newer = open_back_to(&self.path, Some(ours.ino()))?;
            self.complete = true;
            return Ok(true);
        }
        let at = file.stream_position().os(|| "seek")?;
        if ours.len() < at {
            file.seek(SeekFrom::Start(0)).os(|| "seek")?;
            self.buffer.clear();
            return Ok(true);
        }
        Ok(false)
    }

    /// Waits until there may be more to read; false when nothing comes any more.
    fn wait(&mut self, engine: &Engine) -> Result<bool> {
        let Some(watch) = &self.watch else { return Ok(false) };
        let client = match self.monitor.take() {
            Some(client) => client,
            // Once more, as it may have written since we looked; what it writes from now on wakes us.
            None => {
                self.monitor = Client::connect(&record::folder(engine.store().root(), &self.id))?;
                return Ok(self.monitor.is_some());
            }
        };
        let fds = [watch.as_fd(), client.as_fd()];
        let [written, spoke] = super::events::wait_for_any(fds, engine.cancel(), self.options.until)?;
        if written {
            self.take_events();
        }
        // It has ended, or its monitor has; if it is started again there is another one to connect to.
        let over = spoke && matches!(client.answer(engine.cancel(), &|_| {})?, Answer::Ended(_) | Answer::Gone);
        if !over {
            self.monitor = Some(client);
        }
        Ok(true)
    }
}

impl LogOptions {
    fn lets_through(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.time >= since) && self.until.is_none_or(|until| line.time < until)
    }
}

/// The next whole line; `None` at the end of the file, with what there is of a line in `buffer`.
fn next_line(file: &mut impl BufRead, buffer: &mut Vec<u8>) -> Result<Option<Line>> {
    loop {
        file.read_until(b'\n', buffer).os(|| "read a log")?;
        if buffer.last() != Some(&b'\n') {
            return Ok(None);
        }
        let object = serde_json::from_slice::<Object>(buffer);
        buffer.clear();
        // A line that a full disk cut short is skipped.
        if let Ok(object) = object {
            return Ok(Some(object.line()));
        }
    }
}

/// Readable after each change of the log.
fn watch(path: &Path) -> Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).os(|| "inotify")?;
    let folder = path.parent().unwrap_or(path);
    use inotify::WatchFlags as Flags;
    let flags = Flags::MODIFY | Flags::CREATE | Flags::MOVED_TO;
    inotify::add_watch(&watch, folder, flags).os(|| format!("watch {}", folder.display()))?;
    Ok(watch)
}

impl Object {
    fn line(self) -> Line {
        let stream = if self.stream == "stderr" { Stream::Err } else { Stream::Out };
        let time = humantime::parse_rfc3339(&self.time).unwrap_or(std::time::UNIX_EPOCH);
        let nanos = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Line { text: self.log, stream, time: Time(nanos), attributes: self.attrs }
    }
}
