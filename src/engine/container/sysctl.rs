//! Kernel settings of a container: those that its own namespaces hold, nothing of the host's.
//!
//! Written through the host's procfs, which was checked to be one, by a process that is in the namespaces already:
//! nothing a container mounts can redirect them (CVE-2025-52881). Source: sysctl(8), namespaces(7).

use std::collections::HashMap;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::super::error::{Error, Result};
use super::namespaces;
use super::procfs::Proc;

/// Settings of the ipc namespace; everything below `fs.mqueue` too.
const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

/// Checks and writes all settings of the specification.
///
/// # Errors
/// `invalid_argument` for a setting that would be the host's; `not_found` for one the kernel does not have; `os`.
pub fn apply(spec: &Spec) -> Result<()> {
    let settings = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    let Some(settings) = settings.filter(|settings| !settings.is_empty()) else { return Ok(()) };
    let proc = Proc::open()?;
    for (name, value) in sorted(settings) {
        let path = path(name);
        check(spec, name, &path)?;
        proc.write(&format!("sys/{path}"), value).map_err(|e| e.context(format!("cannot set sysctl {name}")))?;
    }
    Ok(())
}

fn sorted(settings: &HashMap<String, String>) -> Vec<(&String, &String)> {
    let mut list: Vec<_> = settings.iter().collect();
    list.sort_unstable();
    list
}

/// `net.ipv4.ip_forward` and `net/ipv4/conf/eth0.100/mtu` alike: whichever separator comes first is the separator.
fn path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'.' => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_string(),
    }
}

fn check(spec: &Spec, name: &str, path: &str) -> Result<()> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::invalid(format!("malformed sysctl name '{name}'")));
    }
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    let kind = match (top, rest) {
        ("kernel", rest) if IPC.contains(&rest) => LinuxNamespaceType::Ipc,
        ("fs", rest) if rest.starts_with("mqueue/") => LinuxNamespaceType::Ipc,
        ("kernel", "domainname") => LinuxNamespaceType::Uts,
        ("kernel", "hostname") => {
            return Err(Error::invalid("sysctl kernel.hostname is what the field hostname sets"));
        }
        ("net", _) => LinuxNamespaceType::Network,
        ("user", _) => LinuxNamespaceType::User,
        _ => return Err(Error::invalid(format!("sysctl {name} belongs to the host: no namespace has its own"))),
    };
    if namespaces::has(spec, kind) {
        return Ok(());
    }
    let namespace = namespaces::name(kind);
    Err(Error::invalid(format!("sysctl {name} needs a {namespace} namespace of the container's own")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_and_only_namespaced_ones_pass() {
        assert_eq!(path("net.ipv4.conf.eth0/100.mtu"), "net/ipv4/conf/eth0.100/mtu");
        assert_eq!(path("net/ipv4/conf/eth0.100/mtu"), "net/ipv4/conf/eth0.100/mtu");
        let spec: Spec = serde_json::from_str(
            r#"{"ociVersion":"1.2.0","root":{"path":"x"},"linux":{"namespaces":[{"type":"network"},{"type":"ipc"}]}}"#,
        )
        .unwrap();
        let ok = |name: &str| check(&spec, name, &path(name)).is_ok();
        assert!(ok("net.ipv4.ip_forward") && ok("kernel.shmmax") && ok("fs.mqueue.msg_max"));
        for bad in ["kernel.domainname", "kernel.panic", "vm.swappiness", "net..x", "net/../kernel", "kernel.hostname"]
        {
            assert!(!ok(bad), "{bad}");
        }
    }
}
