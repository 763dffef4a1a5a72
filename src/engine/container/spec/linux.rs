//! The Linux part of a specification: namespaces, what is hidden, devices, kernel parameters, limits, filter.

use std::path::PathBuf;

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
};

use super::super::super::error::Result;
use super::super::options::{Network, Options, Share};
use super::{Facts, internal, limits};

/// Stands for another container's first process in paths, with its id behind it, until that is known: at the start.
pub const OTHER_CONTAINER: &str = "/proc/container:";

/// How many ids a remapped container has.
const MAPPED_IDS: u32 = 65_536;

/// Paths whose content tells about, or reaches, the host.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];

/// Paths through which the host could be changed.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The whole part.
pub fn linux(options: &Options, facts: &Facts) -> Result<Linux> {
    let open = options.privileged || options.unmask;
    let hidden = |list: &[&str]| if open { Vec::new() } else { list.iter().map(|path| path.to_string()).collect() };
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(options)?)
        .masked_paths(hidden(&MASKED))
        .readonly_paths(hidden(&READ_ONLY))
        .build()
        .map_err(internal)?;
    if facts.own_cgroup {
        linux.set_cgroups_path(Some(PathBuf::from("/moonshell").join(facts.id)));
        linux.set_resources(Some(limits::resources(options, &facts.devices)?));
    }
    if !facts.devices.is_empty() {
        linux.set_devices(Some(facts.devices.clone()));
    }
    if !options.sysctls.is_empty() {
        linux.set_sysctl(Some(options.sysctls.iter().cloned().collect()));
    }
    if let Some(first) = options.userns {
        let map = LinuxIdMappingBuilder::default().host_id(first).container_id(0u32).size(MAPPED_IDS);
        let map = vec![map.build().map_err(internal)?];
        linux.set_uid_mappings(Some(map.clone()));
        linux.set_gid_mappings(Some(map));
    }
    linux.set_seccomp(facts.seccomp.clone());
    Ok(linux)
}

fn namespaces(options: &Options) -> Result<Vec<LinuxNamespace>> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, User, Uts};
    let mut list = Vec::new();
    let mut add = |kind, path: Option<String>| -> Result<()> {
        let mut namespace = LinuxNamespaceBuilder::default().typ(kind).build().map_err(internal)?;
        namespace.set_path(path.map(PathBuf::from));
        list.push(namespace);
        Ok(())
    };
    if options.userns.is_some() {
        add(User, None)?;
    }
    for (kind, share, file) in [
        (Pid, &options.pid, "pid"),
        (Ipc, &options.ipc, "ipc"),
        (Uts, &options.uts, "uts"),
        (Cgroup, &options.cgroupns, "cgroup"),
    ] {
        match share {
            Share::Private => add(kind, None)?,
            Share::Host => {}
            Share::Container(id) => add(kind, Some(format!("{OTHER_CONTAINER}{id}/ns/{file}")))?,
        }
    }
    match &options.network {
        Network::None => add(Net, None)?,
        Network::Host => {}
        Network::Container(id) => add(Net, Some(format!("{OTHER_CONTAINER}{id}/ns/net")))?,
    }
    add(Mount, None)?;
    Ok(list)
}
