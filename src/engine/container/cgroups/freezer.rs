//! Pausing and resuming all processes of a cgroup.
//!
//! v2 tells in `cgroup.events` when the last process has stopped. v1 tells nothing: `freezer.state` reads FREEZING
//! until then, and reading it is what makes the kernel look. Source: cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::hierarchy::Version;
use super::processes::{nested, wait_for};
use super::{Cgroup, Folder, control};

/// A process that waits for a device or a dead file server may not stop at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often v1 is asked.
const LOOK: Duration = Duration::from_micros(500);

const STATE: &str = "freezer.state";

impl Cgroup {
    /// Stops all processes; returns when all have stopped. On failure all go on.
    ///
    /// # Errors
    /// `unsupported` without a freezer; `timeout` when a process does not stop; `os`.
    pub fn freeze(&self) -> Result<()> {
        let folder = self.freezer().ok_or_else(|| unsupported(&self.path))?;
        let stopped = match folder.hierarchy.version {
            Version::V1 => freeze_v1(&folder.path)?,
            Version::V2 => {
                write(&folder.path, "cgroup.freeze", "1")?;
                await_event(&folder.path, "frozen", 1, Instant::now() + PATIENCE)?
            }
        };
        if stopped {
            return Ok(());
        }
        self.thaw()?;
        let message = format!("the processes of cgroup {} do not stop within {} s", self.path, PATIENCE.as_secs());
        Err(Error::new(Kind::Timeout, message))
    }

    /// Lets all processes go on; returns when they can.
    ///
    /// # Errors
    /// `unsupported` without a freezer; `os`.
    pub fn thaw(&self) -> Result<()> {
        let folder = self.freezer().ok_or_else(|| unsupported(&self.path))?;
        match folder.hierarchy.version {
            // Takes effect before the write returns.
            Version::V1 => write(&folder.path, STATE, "THAWED"),
            Version::V2 => {
                write(&folder.path, "cgroup.freeze", "0")?;
                match await_event(&folder.path, "frozen", 0, Instant::now() + PATIENCE)? {
                    true => Ok(()),
                    false => Err(Error::new(Kind::Timeout, format!("cgroup {} remains frozen", self.path))),
                }
            }
        }
    }

    /// Whether it is frozen, or about to be.
    ///
    /// # Errors
    /// `os`.
    pub fn is_frozen(&self) -> Result<bool> {
        let Some(folder) = self.freezer() else { return Ok(false) };
        Ok(match folder.hierarchy.version {
            Version::V1 => control::read(&folder.path, STATE)?.is_some_and(|text| text.trim() != "THAWED"),
            Version::V2 => control::number(&folder.path, "cgroup.freeze")? == Some(1),
        })
    }

    /// The folder that can be frozen.
    pub(super) fn freezer(&self) -> Option<&Folder> {
        self.folder("freezer")
    }
}

fn unsupported(path: &str) -> Error {
    Error::new(Kind::Unsupported, format!("cgroup {path} has no freezer"))
}

fn write(folder: &Path, file: &str, value: &str) -> Result<()> {
    control::write(folder, file, value).os(|| format!("write '{value}' to {}", folder.join(file).display()))
}

fn freeze_v1(folder: &Path) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Again each time: a process that was just starting another program may have missed the last call.
        write(folder, STATE, "FROZEN")?;
        match control::read(folder, STATE)? {
            Some(text) if text.trim() == "FROZEN" => return Ok(true),
            Some(_) if Instant::now() < deadline => pause(LOOK)?,
            Some(_) => return Ok(false),
            None => return Err(Error::not_found(format!("cgroup {} is gone", folder.display()))),
        }
    }
}

/// Passes the time between two looks at a state that has no event.
fn pause(time: Duration) -> Result<()> {
    let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    match rustix::event::poll(&mut [], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e).os(|| "poll"),
    }
}

/// Thaws a v1 folder and those nested in it, whoever froze them.
pub(super) fn thaw_tree(folder: &Path) -> Result<()> {
    match control::write(folder, STATE, "THAWED") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.os(|| format!("thaw {}", folder.display()))?,
    }
    nested(folder)?.iter().try_for_each(|inner| thaw_tree(inner))
}

/// Waits until `cgroup.events` says `word value`; false when it does not in time. A removed cgroup says 0 to all.
pub(super) fn await_event(folder: &Path, word: &str, value: u64, deadline: Instant) -> Result<bool> {
    let path = folder.join("cgroup.events");
    let events = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(value == 0),
        other => other.os(|| format!("open {}", path.display()))?,
    };
    loop {
        let mut buffer = [0; 256];
        let count = match events.read_at(&mut buffer, 0) {
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => return Ok(value == 0),
            other => other.os(|| format!("read {}", path.display()))?,
        };
        let text = String::from_utf8_lossy(&buffer[..count]);
        // Freezing came after this file did (Linux 5.2), so a missing word is no reason to wait.
        match control::field(&text, word) {
            Some(now) if now != value => {}
            Some(_) => return Ok(true),
            None => return Err(Error::new(Kind::Unsupported, format!("{} lacks '{word}'", path.display()))),
        }
        // The kernel flags a change since the last read.
        if !wait_for(&events, PollFlags::PRI, Some(deadline.saturating_duration_since(Instant::now())))? {
            return Ok(false);
        }
    }
}
