//! How often the kernel killed a process of a cgroup for want of memory.
//!
//! Source: cgroup-v2.rst (`memory.events` includes nested cgroups), cgroup-v1/memory.rst (`memory.oom_control`, which
//! does not; the count is there since Linux 4.13).

use std::path::Path;

use super::super::super::error::Result;
use super::hierarchy::Version;
use super::processes::nested;
use super::{Cgroup, control};

impl Cgroup {
    /// The number of processes killed for want of memory, those in nested cgroups counted; 0 without the controller.
    ///
    /// # Errors
    /// `os`.
    pub fn oom_kills(&self) -> Result<u64> {
        let Some(folder) = self.folder("memory") else { return Ok(0) };
        match folder.hierarchy.version {
            Version::V1 => count_v1(&folder.path),
            Version::V2 => {
                let text = control::read(&folder.path, "memory.events")?.unwrap_or_default();
                Ok(control::field(&text, "oom_kill").unwrap_or(0))
            }
        }
    }
}

fn count_v1(folder: &Path) -> Result<u64> {
    let text = control::read(folder, "memory.oom_control")?.unwrap_or_default();
    let mut count = control::field(&text, "oom_kill").unwrap_or(0);
    for inner in nested(folder)? {
        count += count_v1(&inner)?;
    }
    Ok(count)
}
