//! Control groups: a container's folder in every hierarchy that serves it, its limits, figures and end.
//!
//! ```text
//! v2          /sys/fs/cgroup/moonshell/ID
//! v1, hybrid  /sys/fs/cgroup/{memory,cpu,pids,...}/moonshell/ID
//! ```
//!
//! A process is best born or moved there by itself: see [`Joining`]. Hierarchies that no limit needs are left out
//! where they are missing or read-only. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.

mod blkio;
mod control;
mod device_program;
mod devices;
mod folder;
mod freezer;
mod hierarchy;
mod memory;
mod oom;
mod processes;
mod resources;
mod stats;
mod update;

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use super::super::error::{Error, Kind, OsContext, Result};
use folder::{Folder, inherit_cpuset, make, move_all, needs_cpuset, remove_tree, vacate};
use hierarchy::{Hierarchy, Version};

pub use devices::{always_allowed, default_devices};
pub use hierarchy::{Host, host};
pub use stats::{BlockStats, CpuStats, HugePageStats, MemoryStats, PidStats, Stats};

/// What every cgroup gets, where the host has it: to be limited later, paused, measured and found.
const ALWAYS: [&str; 6] = ["memory", "cpu", "cpuacct", "pids", "freezer", "blkio"];

/// A cgroup, in all its hierarchies.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    folders: Vec<Folder>,
    /// Hierarchies in which no folder could be made, with the kind of failure.
    refused: Vec<(&'static Hierarchy, Kind)>,
}

/// How a process enters a cgroup at its birth.
///
/// On v2 `clone3` takes the folder (`CLONE_INTO_CGROUP`, Linux 5.7). On v1 the new process writes `0` into each of the
/// files while it still has a single thread: moving oneself by `tasks` needs neither the lock of all forks nor to
/// wait for a grace period, as writing a process id to `cgroup.procs` does. Both may be there on a hybrid host.
#[derive(Debug, Default)]
pub struct Joining {
    /// v1: the `tasks` files, open for writing.
    pub v1: Vec<OwnedFd>,
    /// v2: the folder.
    pub v2: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes the cgroup in every hierarchy that serves it and writes the limits. On failure nothing of it remains
    /// (but folders above it, which others may use).
    ///
    /// # Errors
    /// `unsupported` for a limit this host does not have, `permission`, `invalid_argument` for a limit that cannot be
    /// meant, `in_use` when processes are in a cgroup of that path, `os`.
    pub fn create(path: &str, resources: &LinuxResources) -> Result<Cgroup> {
        let mut made = Cgroup { path: checked(path)?.into(), folders: Vec::new(), refused: Vec::new() };
        match made.fill(resources) {
            Ok(()) => Ok(made),
            Err(error) => match made.remove() {
                Ok(()) => Err(error),
                Err(left) => Err(error.with_hint(format!("cgroup {path} remains: {}", left.message()))),
            },
        }
    }

    fn fill(&mut self, resources: &LinuxResources) -> Result<()> {
        let extra = resources::extra_controllers(resources);
        for hierarchy in hierarchy::all() {
            let wanted = |name: &&str| ALWAYS.contains(name) || extra.contains(name);
            let controllers: Vec<&'static str> =
                hierarchy.controllers.iter().copied().filter(|name| wanted(name)).collect();
            if controllers.is_empty() {
                continue;
            }
            match make(hierarchy, &self.path, &controllers, false) {
                Ok(folder) => {
                    let path = folder.path.clone();
                    self.folders.push(folder);
                    if needs_cpuset(hierarchy) {
                        inherit_cpuset(&path)?;
                    }
                }
                // An error only if a limit turns out to need it.
                Err(error) if matches!(error.kind(), Kind::Permission) => self.refused.push((hierarchy, error.kind())),
                Err(error) => return Err(error),
            }
        }
        update::write(self, resources)
    }

    /// Finds a cgroup made earlier; `None` when no hierarchy has it.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed path; `os`.
    pub fn open(path: &str) -> Result<Option<Cgroup>> {
        let path = checked(path)?;
        let mut folders = Vec::new();
        for hierarchy in hierarchy::all() {
            let folder = hierarchy.mount.join(&path[1..]);
            if folder.try_exists().os(|| format!("look for cgroup {}", folder.display()))? {
                folders.push(Folder { path: folder, hierarchy });
            }
        }
        Ok((!folders.is_empty()).then(|| Cgroup { path: path.into(), folders, refused: Vec::new() }))
    }

    /// Its path below each hierarchy's mount point.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a new process needs to enter.
    ///
    /// # Errors
    /// `permission`, `os`.
    pub fn join(&self) -> Result<Joining> {
        let mut joining = Joining::default();
        for folder in &self.folders {
            match folder.hierarchy.version {
                Version::V1 => {
                    let file = folder.path.join("tasks");
                    let opened = OpenOptions::new().write(true).open(&file);
                    joining.v1.push(opened.os(|| format!("open {}", file.display()))?.into());
                }
                Version::V2 => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let opened = rustix::fs::open(&folder.path, flags, Mode::empty());
                    joining.v2 = Some(opened.os(|| format!("open {}", folder.path.display()))?);
                }
            }
        }
        Ok(joining)
    }

    /// Moves a process with all its threads in.
    ///
    /// # Errors
    /// `not_found` when the process has ended; `permission`, `os`.
    pub fn add(&self, pid: Pid) -> Result<()> {
        for folder in &self.folders {
            if !processes::move_to(&folder.path, pid)? {
                return Err(Error::not_found(format!("process {pid} has ended")));
            }
        }
        Ok(())
    }

    /// Changes limits of a cgroup that may be in use; on failure those already changed are put back.
    ///
    /// A limit may need a hierarchy the cgroup is not in yet. Then its processes are moved there, and who holds a
    /// `Cgroup` for [`Cgroup::join`] or [`Cgroup::add`] opens it again.
    ///
    /// # Errors
    /// As [`Cgroup::create`]; `in_use` when more is used than a new limit allows, `not_found` when it is gone.
    pub fn apply(&self, resources: &LinuxResources) -> Result<()> {
        let current = Cgroup::open(&self.path)?;
        let mut current = current.ok_or_else(|| Error::not_found(format!("cgroup {} is gone", self.path)))?;
        let held = current.folders.len();
        let outcome = current.extend(&resources::extra_controllers(resources));
        let outcome = outcome.and_then(|()| update::apply(&current, resources));
        outcome.map_err(|error| match current.folders[held..].iter().try_for_each(vacate) {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("cgroup {} remains as it is: {}", self.path, left.message())),
        })
    }

    /// Enters the hierarchies of more controllers with all processes.
    fn extend(&mut self, controllers: &[&'static str]) -> Result<()> {
        for hierarchy in hierarchy::all() {
            let wanted: Vec<&'static str> =
                hierarchy.controllers.iter().copied().filter(|name| controllers.contains(name)).collect();
            if wanted.is_empty() {
                continue;
            }
            let folder = match make(hierarchy, &self.path, &wanted, true) {
                Err(error) if error.kind() == Kind::Permission => {
                    self.refused.push((hierarchy, error.kind()));
                    continue;
                }
                other => other?,
            };
            if self.folders.iter().any(|known| known.path == folder.path) {
                continue;
            }
            let path = folder.path.clone();
            self.folders.push(folder);
            if needs_cpuset(hierarchy) {
                inherit_cpuset(&path)?;
            }
            self.gather(&path)?;
        }
        Ok(())
    }

    /// Moves everybody into a new folder. Children of the moved are born there, those of others are found next time.
    fn gather(&self, folder: &Path) -> Result<()> {
        move_all(folder, || self.processes())
    }

    /// Removes the cgroup and those nested in it, in every hierarchy.
    ///
    /// # Errors
    /// `in_use` naming the processes when there are any; `os`.
    pub fn remove(&self) -> Result<()> {
        // Not only from its own folders: somebody else may have added one.
        for hierarchy in hierarchy::all() {
            match remove_tree(&hierarchy.mount.join(&self.path[1..])) {
                Err(error) if error.kind() == Kind::InUse => {
                    let processes = Cgroup::open(&self.path)?.map_or(Ok(Vec::new()), |found| found.processes())?;
                    let list: Vec<String> = processes.iter().map(|pid| pid.to_string()).collect();
                    let message = format!("cgroup {} is in use by processes {}", self.path, list.join(", "));
                    return Err(Error::new(Kind::InUse, message).caused_by(error));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The folder that serves a controller.
    fn folder(&self, controller: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.hierarchy.has(controller))
    }
}

impl resources::Target for Cgroup {
    fn version(&self, controller: &str) -> Result<Version> {
        if let Some(folder) = self.folder(controller) {
            return folder.version(controller);
        }
        if let Some((hierarchy, kind)) = self.refused.iter().find(|(hierarchy, _)| hierarchy.has(controller)) {
            let message = format!("making a cgroup in {} is not permitted", hierarchy.mount.display());
            return Err(Error::new(*kind, message));
        }
        let message = match hierarchy::of(controller) {
            Some(_) => format!("cgroup {} was made without the controller '{controller}'", self.path),
            None if host() == Host::None => "no cgroup file system is mounted, so nothing can be limited".into(),
            None => format!("this host has no cgroup controller '{controller}'"),
        };
        Err(Error::new(Kind::Unsupported, message))
    }

    fn now(&self, controller: &str, file: &str) -> Result<Option<String>> {
        self.folder(controller).map_or(Ok(None), |folder| control::read(&folder.path, file))
    }
}

/// Ends what is in a cgroup and removes it, if it exists.
///
/// # Errors
/// `timeout` when a process does not end; `os`.
pub fn sweep(path: &str) -> Result<()> {
    match Cgroup::open(path)? {
        Some(cgroup) => {
            cgroup.kill_all()?;
            cgroup.remove()
        }
        None => Ok(()),
    }
}

/// An absolute path of plain names.
fn checked(path: &str) -> Result<&str> {
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(plain) => Ok(path),
        _ => Err(Error::invalid(format!("cgroup path '{path}': expected an absolute path such as /moonshell/ID"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_plain() {
        for good in ["/moonshell/0123", "/a", "/a.b/c"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for wrong in ["", "/", "a", "/a/../b", "/a//b", "/a/", "/./a", "/a\0"] {
            assert!(checked(wrong).is_err(), "{wrong:?}");
        }
    }
}
