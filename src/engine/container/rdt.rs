//! Shares of processor caches and memory bandwidth (resctrl), where the processor and kernel have them.
//!
//! Source: OCI runtime specification 1.2, config-linux.md ("IntelRdt"); Documentation/arch/x86/resctrl.rst.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIntelRdt, Spec};

use super::super::error::{Error, Kind, OsContext, Result};

const ROOT: &str = "/sys/fs/resctrl";

/// RDTGROUP_SUPER_MAGIC of linux/magic.h.
const MAGIC: rustix::fs::FsWord = 0x0765_5821;

/// Puts a process into the group the specification asks for; returns the group if it was made here.
///
/// # Errors
/// `unsupported` where there is no resctrl; `not_found` for a shared group without a schema that does not exist;
/// `invalid_argument` for a malformed name or schema; `os`.
pub fn apply(spec: &Spec, id: &str, pid: i32) -> Result<Option<PathBuf>> {
    let asked = spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref());
    let Some(asked) = asked.filter(|asked| **asked != LinuxIntelRdt::default()) else { return Ok(None) };
    let is_resctrl = rustix::fs::statfs(ROOT).is_ok_and(|stat| stat.f_type == MAGIC);
    if !is_resctrl {
        let message = format!("linux.intelRdt is asked for, but no resctrl file system is mounted on {ROOT}");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let name = asked.clos_id().as_deref().unwrap_or(id);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Error::invalid(format!("linux.intelRdt.closID '{name}' is not a name")));
    }
    let group = Path::new(ROOT).join(name);
    let lines = schemata(asked);
    let made = match fs::create_dir(&group) {
        Ok(()) => true,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(e) => return Err(e).os(|| format!("make resctrl group {name}")),
    };
    let result = fill(&group, &lines, pid);
    match (result, made) {
        (Ok(()), true) => Ok(Some(group)),
        (Ok(()), false) => Ok(None),
        (Err(error), true) => remove(&group).and(Err(error)),
        (Err(error), false) => Err(error),
    }
}

fn schemata(asked: &LinuxIntelRdt) -> String {
    let old = [asked.l3_cache_schema(), asked.mem_bw_schema()];
    let lines = old.into_iter().flatten().chain(asked.schemata().iter().flatten());
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

fn fill(group: &Path, lines: &str, pid: i32) -> Result<()> {
    if !lines.is_empty() {
        let file = group.join("schemata");
        fs::write(&file, lines).map_err(|e| match e.raw_os_error() {
            Some(libc::EINVAL) => Error::invalid(format!("the kernel refuses the schema '{}'", lines.trim_end())),
            _ => super::super::error::from_io(e, format!("write {}", file.display())),
        })?;
    }
    let file = group.join("tasks");
    fs::write(&file, pid.to_string()).os(|| format!("write {}", file.display()))
}

/// Removes a group.
///
/// # Errors
/// `os`.
pub fn remove(group: &Path) -> Result<()> {
    match fs::remove_dir(group) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.os(|| format!("remove {}", group.display())),
    }
}
