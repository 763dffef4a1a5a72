//! A bundle: a folder with a specification and, usually, a root file system.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, LinuxSeccompAction, Process, Spec};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::{cgroups, seccomp};

/// The most of a `config.json` that is read, in bytes.
const SPEC_LIMIT: u64 = 64 << 20;

/// Reads a specification.
pub(super) fn load_spec(path: &Path) -> Result<Spec> {
    let what = || format!("read {}", path.display());
    let mut text = Vec::new();
    File::open(path).os(what)?.take(SPEC_LIMIT).read_to_end(&mut text).os(what)?;
    serde_json::from_slice(&text)
        .map_err(|e| Error::invalid(format!("{} is not a runtime specification: {e}", path.display())))
}

/// Reads a process by itself, as `exec --process` has it.
pub(super) fn load_process(path: &Path) -> Result<Process> {
    let what = || format!("read {}", path.display());
    let mut text = Vec::new();
    File::open(path).os(what)?.take(SPEC_LIMIT).read_to_end(&mut text).os(what)?;
    serde_json::from_slice(&text)
        .map_err(|e| Error::invalid(format!("{} is not a process of a runtime specification: {e}", path.display())))
}

/// Refuses what this runtime cannot do.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let version = spec.version();
    if !version.starts_with("1.") {
        return Err(Error::invalid(format!("ociVersion '{version}' is not one of specification 1")));
    }
    let Some(process) = spec.process() else {
        return Err(Error::invalid("the specification has no process"));
    };
    check_process(process)?;
    if spec.root().is_none() {
        return Err(Error::invalid("the specification has no root"));
    }
    let Some(linux) = spec.linux() else {
        return Err(Error::invalid("the specification has no part for linux"));
    };
    let unsupported = |what: &str| Err(Error::new(Kind::Unsupported, format!("linux.{what} is not supported")));
    if linux.memory_policy().is_some() {
        return unsupported("memoryPolicy");
    }
    if linux.net_devices().as_ref().is_some_and(|list| !list.is_empty()) {
        return unsupported("netDevices");
    }
    Ok(())
}

/// What every process must have.
pub(super) fn check_process(process: &Process) -> Result<()> {
    if process.args().as_ref().is_none_or(|args| args.is_empty() || args[0].is_empty()) {
        return Err(Error::invalid("process.args is empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::invalid(format!("process.cwd '{}' is not an absolute path", process.cwd().display())));
    }
    Ok(())
}

/// The root file system's folder. The current folder is the bundle.
pub(super) fn rootfs(spec: &Spec) -> Result<PathBuf> {
    let path = spec.root().as_ref().map(|root| root.path().as_path()).unwrap_or(Path::new("rootfs"));
    std::fs::canonicalize(path).os(|| format!("root file system {}", path.display()))
}

/// Path of a container's cgroup: what the specification says, in either form, else one named after the container.
pub(super) fn cgroup_path(spec: &Spec, id: &str, systemd: bool) -> Result<String> {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    let text = match given.map(|path| path.to_str()) {
        None | Some(Some("")) => return Ok(format!("/moonshell/{id}")),
        Some(None) => return Err(Error::invalid("linux.cgroupsPath is not UTF-8")),
        Some(Some(text)) => text,
    };
    let parts: Vec<&str> = text.split(':').collect();
    if let ([slice, prefix, name], true) = (&parts[..], systemd || !text.starts_with('/')) {
        return systemd_path(slice, prefix, name);
    }
    if systemd {
        return Err(Error::invalid(format!("linux.cgroupsPath '{text}' is not SLICE:PREFIX:NAME")));
    }
    Ok(format!("/{}", text.trim_matches('/')))
}

/// Where systemd would put it: `a-b.slice` lies in `a.slice`; a name that is a slice itself stays, others become a
/// scope.
fn systemd_path(slice: &str, prefix: &str, name: &str) -> Result<String> {
    let bad = || Error::invalid(format!("'{slice}' is not the name of a systemd slice"));
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.contains('/')).ok_or_else(bad)?;
    let mut path = String::new();
    if stem != "-" {
        let mut so_far = String::new();
        for part in stem.split('-') {
            if part.is_empty() {
                return Err(bad());
            }
            so_far = if so_far.is_empty() { part.to_string() } else { format!("{so_far}-{part}") };
            path.push_str(&format!("/{so_far}.slice"));
        }
    }
    if name.is_empty() || name.contains('/') || prefix.contains('/') {
        return Err(Error::invalid(format!("'{prefix}:{name}' cannot be the name of a cgroup")));
    }
    let unit = match (name.ends_with(".slice"), prefix) {
        (true, _) => name.to_string(),
        (false, "") => format!("{name}.scope"),
        (false, prefix) => format!("{prefix}-{name}.scope"),
    };
    Ok(format!("{path}/{unit}"))
}

/// The limits of the specification. Device rules that leave out the devices of every container are completed, and
/// without any rule only those are allowed. Who is not root of the host can neither make device nodes nor such rules.
pub(super) fn resources(spec: &Spec) -> LinuxResources {
    let given = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    let mut resources = given.unwrap_or_default();
    if !is_root_of_host() {
        resources.set_devices(None);
        return resources;
    }
    let rules = match resources.devices().clone().filter(|rules| !rules.is_empty()) {
        Some(mut rules) => {
            rules.extend(cgroups::always_allowed());
            rules
        }
        None => cgroups::default_devices(),
    };
    resources.set_devices(Some(rules));
    resources
}

/// False for other users, and inside a user namespace, which never has all ids.
fn is_root_of_host() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The filter of the specification, compiled.
pub(super) fn filter(spec: &Spec) -> Result<Option<seccomp::Program>> {
    let Some(filter) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else { return Ok(None) };
    let none = Vec::new();
    let calls = filter.syscalls().as_ref().unwrap_or(&none);
    let asks = |call: &&oci_spec::runtime::LinuxSyscall| call.action() == LinuxSeccompAction::ScmpActNotify;
    // The listener is handed over by that call, before anybody could answer.
    if calls.iter().filter(asks).any(|call| call.names().iter().any(|name| name == "sendmsg")) {
        return Err(Error::invalid("SCMP_ACT_NOTIFY cannot be used for sendmsg"));
    }
    let program = seccomp::compile(filter)?;
    if program.notifies && filter.listener_path().is_none() {
        return Err(Error::invalid("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath"));
    }
    if !program.notifies && filter.listener_metadata().is_some() {
        return Err(Error::invalid("linux.seccomp.listenerMetadata is set, but nothing is to be notified"));
    }
    Ok(Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str, systemd: bool) -> Result<String> {
        let text = serde_json::json!({"ociVersion":"1.2.0","root":{"path":"x"},"linux":{"cgroupsPath":text}});
        cgroup_path(&serde_json::from_value(text).unwrap(), "id", systemd)
    }

    #[test]
    fn cgroup_paths_in_both_forms() {
        assert_eq!(path("", false).unwrap(), "/moonshell/id");
        assert_eq!(path("/a/b", false).unwrap(), "/a/b");
        assert_eq!(path("a/b/", false).unwrap(), "/a/b");
        assert_eq!(path("machine.slice:libpod:x", true).unwrap(), "/machine.slice/libpod-x.scope");
        assert_eq!(path("a-b.slice::x", false).unwrap(), "/a.slice/a-b.slice/x.scope");
        assert_eq!(path("-.slice:p:x.slice", true).unwrap(), "/x.slice");
        assert_eq!(path(":p:x", true).unwrap(), "/system.slice/p-x.scope");
        assert!(path("/a/b", true).is_err() && path("a--b.slice:p:x", true).is_err());
        assert!(path("a.slice:p:x/y", true).is_err());
    }
}
