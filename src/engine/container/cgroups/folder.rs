//! A cgroup's folder in one hierarchy: making it with all it needs, filling and removing it.
//!
//! Source: cgroup-v2.rst (`cgroup.subtree_control`), cgroup-v1/cpusets.rst.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::hierarchy::{self, Hierarchy, Version};
use super::{control, processes};

/// A cgroup's folder in one hierarchy.
#[derive(Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    pub hierarchy: &'static Hierarchy,
}

impl Folder {
    /// The interface of a controller of its hierarchy.
    pub fn version(&self, controller: &str) -> Result<Version> {
        let version = self.hierarchy.version;
        if version == Version::V1 || hierarchy::is_core(controller) {
            return Ok(version);
        }
        let name = hierarchy::v2_name(controller);
        let enabled = control::read(&self.path, "cgroup.controllers")?.unwrap_or_default();
        if enabled.split_whitespace().any(|word| word == name) {
            return Ok(version);
        }
        let message = format!("the cgroup controller '{name}' cannot be enabled for {}", self.path.display());
        Err(Error::new(Kind::Unsupported, message)
            .with_hint("a cgroup that holds processes itself cannot share it out"))
    }
}

/// Makes a cgroup's folder in a hierarchy, and those above it; there may be one already, with processes if `used`.
pub(super) fn make(
    hierarchy: &'static Hierarchy,
    path: &str,
    controllers: &[&'static str],
    used: bool,
) -> Result<Folder> {
    let mut folder = hierarchy.mount.clone();
    // On v1 nothing has to be prepared above, and usually it is all there.
    if hierarchy.version == Version::V1 && !needs_cpuset(hierarchy) {
        let last = folder.join(&path[1..]);
        if fs::create_dir(&last).is_ok() {
            return Ok(Folder { path: last, hierarchy });
        }
    }
    let names: Vec<&str> = path[1..].split('/').collect();
    for (depth, name) in names.iter().enumerate() {
        if hierarchy.version == Version::V2 {
            enable(&folder, controllers)?;
        }
        folder.push(name);
        let last = depth + 1 == names.len();
        match fs::create_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if last && !used && !processes::in_folder(&folder)?.is_empty() {
                    return Err(Error::new(Kind::InUse, format!("processes are in cgroup {}", folder.display())));
                }
            }
            other => other.os(|| format!("create cgroup {}", folder.display()))?,
        }
        // The last one's is the caller's matter, who can remove it.
        if !last && needs_cpuset(hierarchy) {
            inherit_cpuset(&folder)?;
        }
    }
    Ok(Folder { path: folder, hierarchy })
}

pub(super) fn needs_cpuset(hierarchy: &Hierarchy) -> bool {
    hierarchy.version == Version::V1 && hierarchy.has("cpuset")
}

/// A new cpuset of v1 is empty, and no process can enter it.
pub(super) fn inherit_cpuset(folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if control::read(folder, file)?.is_some_and(|text| text.trim().is_empty()) {
            let value = control::read(parent, file)?.unwrap_or_default();
            control::write(folder, file, value.trim()).os(|| format!("write {}", folder.join(file).display()))?;
        }
    }
    Ok(())
}

/// Lets the folders below a v2 folder have controllers, as far as it has them itself.
fn enable(folder: &Path, controllers: &[&'static str]) -> Result<()> {
    const FILE: &str = "cgroup.subtree_control";
    let enabled = control::read(folder, FILE)?.unwrap_or_default();
    let lacking = |name: &&str| !enabled.split_whitespace().any(|word| word == *name);
    let names: Vec<&str> =
        controllers.iter().filter(|name| !hierarchy::is_core(name)).map(|name| hierarchy::v2_name(name)).collect();
    let missing: Vec<&str> = names.into_iter().filter(lacking).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let available = control::read(folder, "cgroup.controllers")?.unwrap_or_default();
    for name in missing.into_iter().filter(|name| available.split_whitespace().any(|word| word == *name)) {
        match control::write(folder, FILE, &format!("+{name}")) {
            // The folder itself holds processes, or others hold on to the controller: a limit that needs it says so.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EINVAL | libc::EACCES | libc::EPERM)) => {}
            other => other.os(|| format!("enable controller {name} in {}", folder.display()))?,
        }
    }
    Ok(())
}

/// Removes a folder of processes that stay in their other hierarchies: they go to the folder above.
pub(super) fn vacate(folder: &Folder) -> Result<()> {
    let above = folder.path.parent().unwrap_or(&folder.path);
    move_all(above, || Ok(processes::in_folder(&folder.path)?.into_iter().filter_map(Pid::from_raw).collect()))?;
    remove_tree(&folder.path)
}

/// Moves the processes of a list to a folder until the list has no new ones. Each is moved once: one whose first
/// thread has ended before the others stays listed where that was.
pub(super) fn move_all(folder: &Path, list: impl Fn() -> Result<Vec<Pid>>) -> Result<()> {
    let mut moved = HashSet::new();
    loop {
        let fresh: Vec<Pid> = list()?.into_iter().filter(|pid| moved.insert(*pid)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        for pid in fresh {
            processes::move_to(folder, pid)?;
        }
    }
}

/// Removes a folder, nested ones first; a missing one is as good.
pub(super) fn remove_tree(folder: &Path) -> Result<()> {
    let removed = match fs::remove_dir(folder) {
        // There are nested ones, or processes.
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
            processes::nested(folder)?.iter().try_for_each(|inner| remove_tree(inner))?;
            fs::remove_dir(folder)
        }
        other => other,
    };
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.os(|| format!("remove cgroup {}", folder.display())),
    }
}
