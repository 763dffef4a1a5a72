//! What is written down about a container.
//!
//! ```text
//! ROOT/containers/ID/container.json   what was asked for: written once, and anew by rename and update
//!                    config.json      the OCI runtime specification; with rootfs/ a bundle
//!                    state.json       what became of it: written by its monitor while that lives
//!                    control          the monitor's socket
//!                    container.log    output, one JSON object a line
//!                    upper/ work/     what it wrote, and overlayfs' own
//!                    hosts hostname resolv.conf
//! ROOT/run/ID                         flocked by whoever starts or watches the container; absent when it is at rest
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci_spec::image::Descriptor;
use serde::{Deserialize, Serialize};

use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::store::small::SmallFiles;
use super::options::{Health, Log, Mount, Network, Options, Restart};
use super::wire::Rootfs;

/// A point in time: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// Now.
    pub fn now() -> Time {
        Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// RFC 3339 with nanoseconds, in UTC.
    pub fn rfc3339(self) -> String {
        humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(self.0)).to_string()
    }
}

/// A data folder that was made for one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFolder {
    /// Its name below `ROOT/volumes/`.
    pub name: String,
    /// Where the container sees it.
    pub target: PathBuf,
}

/// `container.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// The image as it was asked for.
    pub image: String,
    /// The image's id; none for a build's state.
    pub image_id: Option<Digest>,
    /// The descriptor of the image's manifest, which keeps its content from being swept.
    pub manifest: Option<Descriptor>,
    /// What it executes, entry point first.
    pub argv: Vec<String>,
    /// Labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// When to start it again.
    pub restart: Restart,
    /// Whether it is removed at its end.
    pub auto_remove: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub interactive: bool,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// Seconds from that signal to the end.
    pub stop_timeout: u64,
    /// Health checks.
    pub health: Option<Health>,
    /// Its log.
    pub log: Log,
    /// Data folders made for it.
    pub data: Vec<DataFolder>,
    /// How its root file system comes about.
    pub rootfs: Rootfs,
    /// What was asked for; what was not is not written down.
    #[serde(serialize_with = "Options::serialize_asked")]
    pub options: Box<Options>,
}

/// Of `container.json` what lists show and choose by, for a thousand at a time.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    /// As in [`Record`].
    pub id: String,
    /// As in [`Record`].
    pub name: String,
    /// As in [`Record`].
    pub created: Time,
    /// As in [`Record`].
    pub image: String,
    /// As in [`Record`].
    pub image_id: Option<Digest>,
    /// As in [`Record`].
    pub argv: Vec<String>,
    /// As in [`Record`].
    pub labels: BTreeMap<String, String>,
    /// As in [`Record`].
    pub restart: Restart,
    /// As in [`Record`].
    pub tty: bool,
    /// As in [`Record`].
    pub options: Asked,
}

/// Of the options what lists show and choose by.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// As in [`Options`].
    pub network: Network,
    /// As in [`Options`].
    pub mounts: Vec<Mount>,
}

impl From<Record> for Summary {
    fn from(record: Record) -> Summary {
        Summary {
            id: record.id,
            name: record.name,
            created: record.created,
            image: record.image,
            image_id: record.image_id,
            argv: record.argv,
            labels: record.labels,
            restart: record.restart,
            tty: record.tty,
            options: Asked { network: record.options.network, mounts: record.options.mounts },
        }
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, never started.
    #[default]
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended and will be started again.
    Restarting,
    /// It ended.
    Exited,
}

impl Status {
    /// In the field's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// True while there are processes.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Running | Status::Paused)
    }
}

/// One health check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its exit code; 0 for well.
    pub exit_code: i32,
    /// The beginning of what it printed.
    pub output: String,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthState {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing: u32,
    /// The last checks.
    pub log: Vec<Probe>,
}

/// `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it is doing.
    pub status: Status,
    /// Its first process, on the host; 0 when there is none.
    pub pid: i32,
    /// Its monitor; 0 when there is none.
    pub monitor: i32,
    /// When its program started last.
    pub started: Option<Time>,
    /// When it ended last.
    pub finished: Option<Time>,
    /// How it ended last: 0-255, 128+n for signal n.
    pub exit_code: i32,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of it for lack of memory.
    pub oom_killed: bool,
    /// Why it did not start, or what happened to its monitor.
    pub error: Option<String>,
    /// How often it was started again by its policy.
    pub restarts: u32,
    /// Whether somebody asked it to stop.
    pub stopped: bool,
    /// How it is.
    pub health: Option<HealthState>,
    /// The host's boot this was written in.
    pub boot: String,
}

/// Where a container is.
pub fn folder(root: &Path, id: &str) -> PathBuf {
    root.join("containers").join(id)
}

/// Reads `container.json`; `None` when there is no such container (any more).
///
/// # Errors
/// `integrity` when it is damaged; `os`.
pub fn read_record(folder: &Path) -> Result<Option<Record>> {
    read(&folder.join("container.json"))
}

/// Reads what is written down about many containers.
pub struct Reader<'a> {
    root: &'a Path,
    files: SmallFiles,
    name: String,
}

impl Reader<'_> {
    /// For the containers of a state folder.
    ///
    /// # Errors
    /// `os`.
    pub fn new(root: &Path) -> Result<Reader<'_>> {
        Ok(Reader { root, files: SmallFiles::open(&root.join("containers"))?, name: String::new() })
    }

    /// As [`read_record`], in short.
    ///
    /// # Errors
    /// `integrity` when it is damaged; `os`.
    pub fn summary(&mut self, id: &str) -> Result<Option<Summary>> {
        self.read(id, "container.json")
    }

    /// As [`read_state`].
    ///
    /// # Errors
    /// `os`.
    pub fn state(&mut self, id: &str) -> Result<State> {
        state_of(self.read(id, "state.json"))
    }

    fn read<T: for<'de> Deserialize<'de>>(&mut self, id: &str, file: &str) -> Result<Option<T>> {
        self.name.clear();
        self.name.extend([id, "/", file]);
        let path = || folder(self.root, id).join(file);
        match self.files.read(&self.name, u64::MAX).os(|| format!("read {}", path().display()))? {
            Some(text) => parse(text, path),
            None => Ok(None),
        }
    }
}

/// Reads `state.json`. A container without one was never started.
///
/// # Errors
/// `os`.
pub fn read_state(folder: &Path) -> Result<State> {
    state_of(read(&folder.join("state.json")))
}

fn state_of(read: Result<Option<State>>) -> Result<State> {
    match read {
        Ok(state) => Ok(state.unwrap_or_default()),
        // A power cut in the middle: it is not running, and nobody knows how it ended.
        Err(error) if error.kind() == Kind::Integrity => {
            let text = "what became of it was lost with the host's power".to_string();
            Ok(State { status: Status::Exited, exit_code: 255, error: Some(text), ..State::default() })
        }
        Err(error) => Err(error),
    }
}

/// Replaces `state.json`, whole or not at all. On a full disk it is written over, as it already has its place there.
///
/// # Errors
/// `os`; the old one is then untouched.
pub fn write_state(folder: &Path, state: &State) -> Result<()> {
    let path = folder.join("state.json");
    match write(&path, state) {
        Err(error) if is_full(&error) => write_over(&path, state).map_err(|_| error),
        other => other,
    }
}

/// True for a disk that takes nothing more, or nothing at all.
pub fn is_full(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT | libc::EROFS))
}

/// Writes over the beginning of a file, with blanks up to its old end, which JSON does not mind. Short as it is, that
/// takes one write into a block that exists.
fn write_over(path: &Path, state: &State) -> io::Result<()> {
    let mut text = serde_json::to_vec(state)?;
    let mut left = path.as_os_str().to_owned();
    left.push(".new");
    // What of the new file was written only takes space.
    let _ = fs::remove_file(left);
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(text.len());
    text.resize(text.len().max(length), b' ');
    std::os::unix::fs::FileExt::write_all_at(&file, &text, 0)
}

/// Replaces a JSON file by a rename. It is whole for everybody who reads it; durable it becomes with the file system.
///
/// # Errors
/// `os`; the old one is then untouched.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|e| Error::new(Kind::Internal, format!("{}: {e}", path.display())))?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).os(|| format!("write {}", path.display()))
}

/// Writes a JSON file in a folder that nobody else sees yet, where no half of it can be found.
///
/// # Errors
/// `os`.
pub fn write_unseen(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|e| Error::new(Kind::Internal, format!("{}: {e}", path.display())))?;
    fs::write(path, text).os(|| format!("write {}", path.display()))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).os(|| format!("read {}", path.display())),
    };
    parse(&text, || path.into())
}

fn parse<T: for<'de> Deserialize<'de>>(text: &[u8], path: impl FnOnce() -> PathBuf) -> Result<Option<T>> {
    serde_json::from_slice(text).map(Some).map_err(|e| Error::integrity(format!("{}: {e}", path().display())))
}

/// The kernel's id of the host's current boot; empty where there is none.
pub fn boot_id() -> String {
    super::procfs::read_whole(Path::new("/proc/sys/kernel/random/boot_id"))
        .map(|text| text.trim().to_string())
        .unwrap_or_default()
}
