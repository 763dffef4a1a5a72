//! What is kept of a container, and what can be told of it from that.
//!
//! The status is not written down: it follows from the first process (found by id and start time, so that another one
//! with the same id is not taken for it), the start pipe, and the cgroup's freezer.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{ContainerState, Spec, State};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::cgroups::Cgroup;
use super::write_whole;

/// Name of the pipe that is there until the container is started.
pub(super) const START_PIPE: &str = "start.fifo";

/// Name of the pipe on which a container that was started says why it cannot run.
pub(super) const REPORT_PIPE: &str = "report.fifo";

/// A container, as `state.json` has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its first process; 0 until there is one.
    pub pid: i32,
    /// When that started, in clock ticks since the boot.
    pub started: u64,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The user who made it.
    pub owner: u32,
    /// The specification's.
    pub annotations: HashMap<String, String>,
    /// Its cgroup.
    pub cgroup: Option<String>,
    /// The group of its own in resctrl.
    pub rdt: Option<PathBuf>,
    #[serde(skip)]
    folder: PathBuf,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    Creating,
    /// Waits to be started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// The word the field uses.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl Record {
    pub(super) fn new(folder: &Path, id: &str) -> Record {
        Record { id: id.into(), folder: folder.to_path_buf(), ..Record::default() }
    }

    pub(super) fn load(folder: &Path) -> Result<Record> {
        let path = folder.join("state.json");
        let text = fs::read(&path).os(|| format!("read {}", path.display()))?;
        let mut record: Record = serde_json::from_slice(&text)
            .map_err(|e| Error::integrity(format!("{} is no state file", path.display())).caused_by(e))?;
        record.folder = folder.to_path_buf();
        Ok(record)
    }

    pub(super) fn save(&self) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|e| Error::new(Kind::Internal, format!("state: {e}")))?;
        write_whole(&self.folder.join("state.json"), &text)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The specification as it was when the container was made.
    ///
    /// # Errors
    /// `not_found`, `integrity`.
    pub fn spec(&self) -> Result<Spec> {
        super::bundle::load_spec(&self.folder.join("config.json"))
    }

    /// The cgroup, while there is one.
    ///
    /// # Errors
    /// `os`.
    pub fn cgroup(&self) -> Result<Option<Cgroup>> {
        self.cgroup.as_deref().map_or(Ok(None), Cgroup::open)
    }

    /// The same, for what cannot be done without.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn need_cgroup(&self) -> Result<Cgroup> {
        self.cgroup()?.ok_or_else(|| Error::not_found(format!("container '{}' has no cgroup any more", self.id)))
    }

    /// What it is doing.
    ///
    /// # Errors
    /// `os`.
    pub fn status(&self) -> Result<Status> {
        if self.pid == 0 {
            return Ok(Status::Creating);
        }
        if !is_alive(self.pid, self.started) {
            return Ok(Status::Stopped);
        }
        if self.folder.join(START_PIPE).exists() {
            return Ok(Status::Created);
        }
        let frozen = self.cgroup()?.map_or(Ok(false), |cgroup| cgroup.is_frozen())?;
        Ok(if frozen { Status::Paused } else { Status::Running })
    }

    /// A descriptor of the first process; none when that has ended.
    ///
    /// # Errors
    /// `os`.
    pub fn pidfd(&self) -> Result<Option<std::os::fd::OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.pid > 0) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            other => other.os(|| "pidfd_open")?,
        };
        // Looked at after it is held, so that it is this process and no later one.
        Ok(is_alive(self.pid, self.started).then_some(pidfd))
    }

    /// What hooks are told. Each knows the status and id of the first process by itself.
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        state
            .set_version(super::VERSION.into())
            .set_id(self.id.clone())
            .set_status(ContainerState::Creating)
            .set_bundle(self.bundle.clone())
            .set_annotations(Some(self.annotations.clone()));
        state
    }

    /// The state as engines read it.
    ///
    /// # Errors
    /// `os`.
    pub fn to_json(&self) -> Result<serde_json::Value> {
        let status = self.status()?;
        let mut value = serde_json::json!({
            "ociVersion": super::VERSION,
            "id": self.id,
            "pid": if status == Status::Stopped { 0 } else { self.pid },
            "status": status.name(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "owner": owner_name(self.owner),
        });
        if !self.annotations.is_empty() {
            value["annotations"] = serde_json::json!(self.annotations);
        }
        Ok(value)
    }
}

fn owner_name(uid: u32) -> String {
    if uid == 0 { "root".into() } else { format!("#{uid}") }
}

/// When a process started, in ticks since the boot, and whether it still runs; none when there is no such process.
pub(super) fn started(pid: i32) -> Option<(u64, bool)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text)
}

/// The name in parentheses may hold anything, so the fields are counted behind its end: state is the third, start time
/// the 22nd.
fn parse_stat(text: &str) -> Option<(u64, bool)> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((started, !matches!(state, "Z" | "X" | "x")))
}

fn is_alive(pid: i32, since: u64) -> bool {
    started(pid).is_some_and(|(started, runs)| runs && started == since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_behind_any_name() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_stat(line), Some((4242, true)));
        assert_eq!(parse_stat(&line.replace(" S ", " Z ")), Some((4242, false)));
        assert_eq!(parse_stat("7 (x) S 1"), None);
        assert!(started(std::process::id() as i32).is_some_and(|(_, runs)| runs));
    }
}
