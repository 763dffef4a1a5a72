//! A container's control group: made before its init runs on, removed after its end.
//!
//! On a cgroup v2 host one folder `/sys/fs/cgroup/moonshell/ID`; on v1 and hybrid hosts one per controller that a
//! limit needs. Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::super::error::{Error, Kind, OsContext, Result};

/// Below this not even a static program starts.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;
/// The kernel's least quota is 1 ms of a period of 100.
const LEAST_CPUS: f64 = 0.01;

/// What to limit. Sizes in bytes, `None` for no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processors, 1.5 meaning one and a half.
    pub cpus: Option<f64>,
    /// Relative weight, 1024 being the default.
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Limits {
    /// Refuses limits under which nothing could run.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        if let Some(bytes) = self.memory_bytes.filter(|bytes| *bytes < LEAST_MEMORY_BYTES) {
            return Err(Error::invalid(format!("memory limit of {bytes} bytes is too small: the least is 1m")));
        }
        // Not `cpus <= 0.0`: a NaN is no number of processors either.
        if let Some(cpus) = self.cpus.filter(|cpus| !cpus.is_finite() || *cpus < LEAST_CPUS) {
            return Err(Error::invalid(format!("cpus must be at least {LEAST_CPUS}, got {cpus}")));
        }
        Ok(())
    }

    /// True when nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// What a monitor is asked to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The folder's name below `moonshell/`: the container's id.
    pub name: String,
    /// The limits.
    pub limits: Limits,
}

/// The cgroup file systems of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// One unified hierarchy at `/sys/fs/cgroup`.
    V2,
    /// One hierarchy per controller (whether or not v2 is mounted beside them).
    V1,
    /// None is mounted.
    None,
}

/// Looks at what is mounted on `/sys/fs/cgroup`.
pub fn host() -> Host {
    const ROOT: &str = "/sys/fs/cgroup";
    match rustix::fs::statfs(ROOT) {
        Ok(stat) if stat.f_type == libc::CGROUP2_SUPER_MAGIC => Host::V2,
        Ok(_) if Path::new(ROOT).join("pids").exists() || Path::new(ROOT).join("memory").exists() => Host::V1,
        _ => Host::None,
    }
}

/// A made cgroup.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<PathBuf>,
}

/// One file to write: the v1 controller it belongs to, its name and value on v1 and on v2.
struct Setting {
    controller: &'static str,
    v1: Vec<(&'static str, String)>,
    v2: (&'static str, String),
}

fn settings(limits: &Limits) -> Vec<Setting> {
    const PERIOD_US: f64 = 100_000.0;
    let mut list = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        let v1 = vec![("memory.limit_in_bytes", bytes.to_string())];
        list.push(Setting { controller: "memory", v1, v2: ("memory.max", bytes.to_string()) });
    }
    if let Some(cpus) = limits.cpus {
        let quota = (cpus * PERIOD_US).round() as u64;
        let v1 = vec![("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
        list.push(Setting { controller: "cpu", v1, v2: ("cpu.max", format!("{quota} {PERIOD_US}")) });
    }
    if let Some(shares) = limits.cpu_shares {
        // The runtime specification's conversion: 2..262144 shares to 1..10000 weight.
        let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
        let v1 = vec![("cpu.shares", shares.to_string())];
        list.push(Setting { controller: "cpu", v1, v2: ("cpu.weight", weight.to_string()) });
    }
    if let Some(pids) = limits.pids {
        let v1 = vec![("pids.max", pids.to_string())];
        list.push(Setting { controller: "pids", v1, v2: ("pids.max", pids.to_string()) });
    }
    list
}

impl Cgroup {
    /// Makes the folders and writes the limits; on failure nothing remains.
    ///
    /// # Errors
    /// `unsupported` when the host has no cgroups to limit with; `permission`, `os`.
    pub fn create(plan: &Plan) -> Result<Cgroup> {
        let mut made = Cgroup { folders: Vec::new() };
        match made.fill(plan) {
            Ok(()) => Ok(made),
            Err(error) => {
                // The first cause is what the caller needs; an empty folder that cannot go is swept later.
                let _ = made.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, plan: &Plan) -> Result<()> {
        match host() {
            Host::None => {
                Err(Error::new(Kind::Unsupported, "no cgroup file system is mounted, so nothing can be limited"))
            }
            Host::V2 => self.fill_v2(plan),
            Host::V1 => self.fill_v1(plan),
        }
    }

    fn fill_v2(&mut self, plan: &Plan) -> Result<()> {
        let root = Path::new("/sys/fs/cgroup");
        let parent = root.join("moonshell");
        make(&parent)?;
        for dir in [root, &parent] {
            let path = dir.join("cgroup.subtree_control");
            for controller in ["+memory", "+cpu", "+pids"] {
                fs::write(&path, controller).os(|| format!("write {controller} to {}", path.display()))?;
            }
        }
        let folder = parent.join(&plan.name);
        make(&folder)?;
        self.folders.push(folder.clone());
        for setting in settings(&plan.limits) {
            set(&folder, setting.v2.0, &setting.v2.1)?;
        }
        Ok(())
    }

    fn fill_v1(&mut self, plan: &Plan) -> Result<()> {
        for setting in settings(&plan.limits) {
            let root = Path::new("/sys/fs/cgroup").join(setting.controller);
            if !root.exists() {
                let message = format!("this host has no cgroup controller '{}'", setting.controller);
                return Err(Error::new(Kind::Unsupported, message));
            }
            let parent = root.join("moonshell");
            make(&parent)?;
            let folder = parent.join(&plan.name);
            if !self.folders.contains(&folder) {
                make(&folder)?;
                self.folders.push(folder.clone());
            }
            for (file, value) in setting.v1 {
                set(&folder, file, &value)?;
            }
        }
        Ok(())
    }

    /// Moves a process in.
    ///
    /// # Errors
    /// `os`.
    pub fn add(&self, pid: Pid) -> Result<()> {
        for folder in &self.folders {
            set(folder, "cgroup.procs", &pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }

    /// Removes the folders; they must be empty, as they are once the container's init is reaped.
    ///
    /// # Errors
    /// `in_use` when a process is still in one.
    pub fn remove(self) -> Result<()> {
        remove_all(&self.folders)
    }
}

/// Removes what a killed monitor left of container `name`: its processes are killed, its folders removed.
///
/// # Errors
/// `os`.
pub fn sweep(name: &str) -> Result<()> {
    let mut folders = vec![Path::new("/sys/fs/cgroup/moonshell").join(name)];
    for controller in ["memory", "cpu", "pids"] {
        folders.push(Path::new("/sys/fs/cgroup").join(controller).join("moonshell").join(name));
    }
    folders.retain(|folder| folder.exists());
    folders.iter().try_for_each(|folder| kill_all(folder))?;
    remove_all(&folders)
}

/// Kills the processes in a folder and waits for their end.
fn kill_all(folder: &Path) -> Result<()> {
    loop {
        let list = match fs::read_to_string(folder.join("cgroup.procs")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.os(|| format!("read {}/cgroup.procs", folder.display()))?,
        };
        let ids = list.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
        // The dead that nobody has reaped yet are listed, too.
        let living: Vec<OwnedFd> = ids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        let mut waiting = false;
        for process in &living {
            waiting |= pidfd_send_signal(process, Signal::KILL).is_ok() && !has_ended(process, Some(0))?;
        }
        if !waiting {
            return Ok(());
        }
        for process in &living {
            has_ended(process, None)?;
        }
    }
}

/// Whether a process has ended, or waits for that.
fn has_ended(process: &OwnedFd, milliseconds: Option<i64>) -> Result<bool> {
    let limit = milliseconds.map(|count| Timespec { tv_sec: count / 1000, tv_nsec: count % 1000 * 1_000_000 });
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.os(|| "poll")? > 0),
        }
    }
}

fn remove_all(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        match fs::remove_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(e).os(|| format!("remove cgroup {}", folder.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(e).os(|| format!("create cgroup {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn set(folder: &Path, file: &str, value: &str) -> Result<()> {
    let path = folder.join(file);
    fs::write(&path, value).os(|| format!("write '{value}' to {}", path.display()))
}
