//! The processes of a cgroup: finding, ending and awaiting them. Source: cgroups(7), pidfd_open(2), cgroup-v2.rst.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::hierarchy::Version;
use super::{Cgroup, Folder, control};

/// How long the killed may take to go; a process that hangs in the kernel may never.
const PATIENCE: Duration = Duration::from_secs(30);

impl Cgroup {
    /// All processes in it and in the cgroups nested in it, in any of its hierarchies, in ascending order.
    ///
    /// # Errors
    /// `os`.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let mut found = BTreeSet::new();
        for folder in &self.folders {
            collect(&folder.path, &mut found)?;
        }
        Ok(found.into_iter().filter_map(Pid::from_raw).collect())
    }

    /// Kills all processes, frozen ones too, and waits until they are gone.
    ///
    /// # Errors
    /// `timeout` naming processes that do not end; `permission`, `os`.
    pub fn kill_all(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(folder) = self.folders.iter().find(|folder| folder.hierarchy.version == Version::V2)
            && kill_at_once(folder, deadline)?
            && self.folders.len() == 1
        {
            return Ok(());
        }
        // What v1 has frozen sees no signal. And what is thawed only later cannot fork meanwhile.
        let mut frozen = self.freezer().filter(|folder| folder.hierarchy.version == Version::V1);
        loop {
            let living = self.living()?;
            if living.is_empty() {
                return Ok(());
            }
            for (pid, process) in &living {
                match pidfd_send_signal(process, Signal::KILL) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                    Err(e) => return Err(e).os(|| format!("kill process {pid}")),
                }
            }
            if let Some(folder) = frozen.take() {
                super::freezer::thaw_tree(&folder.path)?;
            }
            await_ends(&living, deadline)?;
        }
    }

    /// The processes that have not ended: one that nobody has reaped yet may be listed, too.
    fn living(&self) -> Result<Vec<(Pid, OwnedFd)>> {
        let mut living = Vec::new();
        for pid in self.processes()? {
            match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(process) if !has_ended(&process, Some(Duration::ZERO))? => living.push((pid, process)),
                // EINVAL: it was the first thread of a process that has ended.
                Ok(_) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => {}
                Err(e) => return Err(e).os(|| format!("open process {pid}")),
            }
        }
        Ok(living)
    }
}

/// Lets v2 kill the folder's processes at once (Linux 5.14); false where it cannot.
fn kill_at_once(folder: &Folder, deadline: Instant) -> Result<bool> {
    match control::write(&folder.path, "cgroup.kill", "1") {
        // Not in this kernel, or the cgroup is gone.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.os(|| format!("kill the processes of {}", folder.path.display()))?,
    }
    let gone = super::freezer::await_event(&folder.path, "populated", 0, deadline)?;
    if gone {
        return Ok(true);
    }
    let mut left = BTreeSet::new();
    collect(&folder.path, &mut left)?;
    Err(stuck(left.into_iter()))
}

fn await_ends(living: &[(Pid, OwnedFd)], deadline: Instant) -> Result<()> {
    for (at, (_, process)) in living.iter().enumerate() {
        if !has_ended(process, Some(deadline.saturating_duration_since(Instant::now())))? {
            return Err(stuck(living[at..].iter().map(|(pid, _)| pid.as_raw_nonzero().get())));
        }
    }
    Ok(())
}

fn stuck(processes: impl Iterator<Item = i32>) -> Error {
    let list: Vec<String> = processes.map(|pid| pid.to_string()).collect();
    let message = format!("killed processes do not end within {} s: {}", PATIENCE.as_secs(), list.join(", "));
    Error::new(Kind::Timeout, message)
}

/// Whether a process has ended, at the latest after `limit`.
fn has_ended(process: &OwnedFd, limit: Option<Duration>) -> Result<bool> {
    wait_for(process, PollFlags::IN, limit)
}

/// Waits for a descriptor to become ready; false when it did not in time.
pub(super) fn wait_for(fd: impl AsFd, what: PollFlags, limit: Option<Duration>) -> Result<bool> {
    let until = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(&mut [PollFd::from_borrowed_fd(fd.as_fd(), what)], left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.os(|| "poll")? > 0),
        }
    }
}

/// The processes of a folder alone.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<i32>> {
    let path = folder.join("cgroup.procs");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        // ENODEV: it was just removed. EOPNOTSUPP: it holds threads of a process that the folder above lists.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::EOPNOTSUPP)) => Ok(Vec::new()),
        Err(e) => Err(e).os(|| format!("read {}", path.display())),
    }
}

/// Moves a process into a folder; false when it has ended.
pub(super) fn move_to(folder: &Path, pid: Pid) -> Result<bool> {
    match control::write(folder, "cgroup.procs", &pid.as_raw_nonzero().to_string()) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        other => other.os(|| format!("move process {pid} to {}", folder.display())).map(|()| true),
    }
}

fn collect(folder: &Path, found: &mut BTreeSet<i32>) -> Result<()> {
    found.extend(in_folder(folder)?);
    nested(folder)?.iter().try_for_each(|inner| collect(inner, found))
}

/// The cgroups right below one.
pub(super) fn nested(folder: &Path) -> Result<Vec<PathBuf>> {
    // A folder has a link from each folder in it; nothing is listed where there is none.
    match fs::metadata(folder) {
        Ok(meta) if meta.nlink() <= 2 => return Ok(Vec::new()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.os(|| format!("stat {}", folder.display()))?,
    };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.os(|| format!("list {}", folder.display()))?,
    };
    let mut list = Vec::new();
    for entry in entries {
        let entry = entry.os(|| format!("list {}", folder.display()))?;
        if entry.file_type().os(|| format!("stat {}", entry.path().display()))?.is_dir() {
            list.push(entry.path());
        }
    }
    Ok(list)
}
