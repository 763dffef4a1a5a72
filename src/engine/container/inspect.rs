//! Everything about a container in the shape that the field's tools read.

use serde_json::{Map, Value, json};

use super::super::Engine;
use super::super::error::Result;
use super::monitor::read_spec;
use super::options::{Network, Restart, Seccomp, Share, Source};
use super::record::{self, Record, State, Status, Time};
use super::{apparmor, signal};

/// What stands for a time that never came.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Engine {
    /// Everything about a container.
    ///
    /// # Errors
    /// `not_found`; `integrity`, `os`.
    pub fn container_inspect(&self, name: &str) -> Result<Value> {
        let record = self.container(name)?;
        let state = self.container_state(&record.id)?;
        let folder = record::folder(self.store().root(), &record.id);
        let spec = read_spec(&folder)?;
        let process = spec.process().as_ref();
        let in_folder = |name: &str| folder.join(name).display().to_string();
        Ok(json!({
            "Id": record.id,
            "Created": record.created.rfc3339(),
            "Path": record.argv.first(),
            "Args": record.argv.get(1..).unwrap_or_default(),
            "State": self::state(&state),
            "Image": record.image_id.as_ref().map(ToString::to_string),
            "ImageName": record.image,
            "ResolvConfPath": in_folder("resolv.conf"),
            "HostnamePath": in_folder("hostname"),
            "HostsPath": in_folder("hosts"),
            "LogPath": if record.log.keep { in_folder("container.log") } else { String::new() },
            "OciConfigPath": in_folder("config.json"),
            "Name": record.name,
            "RestartCount": state.restarts,
            "Driver": "overlay",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": process.and_then(|process| process.selinux_label().clone()).unwrap_or_default(),
            "AppArmorProfile": apparmor_profile(&record, process),
            "HostConfig": host_config(&record),
            "GraphDriver": { "Name": "overlay", "Data": {
                "LowerDir": record.rootfs.lowers.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":"),
                "UpperDir": record.rootfs.upper,
                "WorkDir": record.rootfs.work,
                "MergedDir": record.rootfs.mount_point,
            } },
            "Mounts": self.mounts(&record),
            "Config": config(&record, process),
            "NetworkSettings": { "Networks": {}, "Ports": {}, "IPAddress": "" },
        }))
    }

    fn mounts(&self, record: &Record) -> Vec<Value> {
        let one = |mount: &super::options::Mount| {
            let (kind, name, source) = match &mount.source {
                Source::Host(path) => ("bind", None, path.display().to_string()),
                Source::Memory | Source::Given(_) => ("tmpfs", None, String::new()),
                Source::Anonymous => {
                    let data = record.data.iter().find(|data| data.target == mount.target);
                    let source = data.map(|data| self.store().join("volumes").join(&data.name).join("_data"));
                    ("volume", data.map(|data| data.name.clone()), source.unwrap_or_default().display().to_string())
                }
            };
            json!({
                "Type": kind,
                "Name": name,
                "Source": source,
                "Destination": mount.target,
                "RW": !mount.read_only,
                "Mode": mount.options.join(","),
                "Propagation": mount.propagation.as_deref().unwrap_or("rprivate"),
            })
        };
        record.options.mounts.iter().map(one).collect()
    }
}

fn time(time: Option<Time>) -> String {
    time.map_or(NEVER.into(), Time::rfc3339)
}

fn state(state: &State) -> Value {
    let mut value = json!({
        "Status": state.status.name(),
        "Running": state.status.is_live(),
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": false,
        "Pid": state.pid,
        "MonitorPid": state.monitor,
        "ExitCode": state.exit_code,
        "Error": state.error.as_deref().unwrap_or(""),
        "StartedAt": time(state.started),
        "FinishedAt": time(state.finished),
    });
    if let Some(health) = &state.health {
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|probe| {
                json!({ "Start": probe.start.rfc3339(), "End": probe.end.rfc3339(), "ExitCode": probe.exit_code,
                        "Output": probe.output })
            })
            .collect();
        value["Health"] = json!({ "Status": health.status, "FailingStreak": health.failing, "Log": log });
    }
    value
}

fn share(share: &Share) -> String {
    match share {
        Share::Private => "private".into(),
        Share::Host => "host".into(),
        Share::Container(id) => format!("container:{id}"),
    }
}

fn host_config(record: &Record) -> Value {
    let (options, limits) = (&record.options, &record.options.limits);
    let retries = if let Restart::OnFailure(count) = record.restart { count } else { 0 };
    let binds: Vec<String> = options
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            Source::Host(path) => {
                let mode = if mount.read_only { "ro" } else { "rw" };
                Some(format!("{}:{}:{mode}", path.display(), mount.target.display()))
            }
            _ => None,
        })
        .collect();
    let tmpfs: Map<String, Value> = options
        .mounts
        .iter()
        .filter(|mount| mount.source == Source::Memory)
        .map(|mount| (mount.target.display().to_string(), mount.options.join(",").into()))
        .collect();
    let mut log = Map::new();
    if record.log.max_bytes > 0 {
        log.insert("max-size".into(), record.log.max_bytes.to_string().into());
        log.insert("max-file".into(), record.log.max_files.to_string().into());
    }
    let mut value = json!({
        "Binds": binds,
        "Tmpfs": tmpfs,
        "VolumesFrom": options.volumes_from,
        "AutoRemove": record.auto_remove,
        "RestartPolicy": { "Name": record.restart.name(), "MaximumRetryCount": retries },
        "LogConfig": { "Type": if record.log.keep { "json-file" } else { "none" }, "Config": log },
        "NetworkMode": match &options.network {
            Network::None => "none".to_string(),
            Network::Host => "host".to_string(),
            Network::Container(id) => format!("container:{id}"),
        },
        "PidMode": share(&options.pid),
        "IpcMode": share(&options.ipc),
        "UTSMode": share(&options.uts),
        "CgroupnsMode": share(&options.cgroupns),
        "UsernsMode": options.userns.map_or(String::new(), |first| first.to_string()),
        "Privileged": options.privileged,
        "ReadonlyRootfs": options.read_only,
        "Init": options.init,
        "CapAdd": options.cap_add,
        "CapDrop": options.cap_drop,
        "GroupAdd": options.group_add,
        "SecurityOpt": security(record),
        "Dns": options.dns,
        "DnsSearch": options.dns_search,
        "DnsOptions": options.dns_options,
        "ExtraHosts": options.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect::<Vec<_>>(),
        "ShmSize": options.shm_bytes.unwrap_or(64 << 20),
        "Sysctls": options.sysctls.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "OomScoreAdj": options.oom_score_adj.unwrap_or(0),
    });
    let more = json!({
        "Memory": limits.memory_bytes.unwrap_or(0),
        "MemorySwap": limits.memory_swap.unwrap_or(0),
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable.unwrap_or(false),
        "NanoCpus": limits.cpus.map_or(0, |cpus| (cpus * 1e9).round() as u64),
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.as_deref().unwrap_or(""),
        "CpusetMems": limits.cpuset_mems.as_deref().unwrap_or(""),
        "PidsLimit": limits.pids.unwrap_or(0),
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "Ulimits": options.ulimits.iter()
            .map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard })).collect::<Vec<_>>(),
        "Devices": options.devices.iter().map(|device| json!({
            "PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.access,
        })).collect::<Vec<_>>(),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn security(record: &Record) -> Vec<String> {
    let options = &record.options;
    let mut list = Vec::new();
    if options.no_new_privileges {
        list.push("no-new-privileges".into());
    }
    match &options.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => list.push("seccomp=unconfined".into()),
        Seccomp::Profile(text) => list.push(format!("seccomp={text}")),
    }
    list.extend(options.apparmor.as_ref().map(|profile| format!("apparmor={profile}")));
    if options.unmask {
        list.push("systempaths=unconfined".into());
    }
    list
}

fn apparmor_profile(record: &Record, process: Option<&oci_spec::runtime::Process>) -> String {
    let given_up = record.options.privileged || record.options.apparmor.as_deref() == Some(apparmor::UNCONFINED);
    match process.and_then(|process| process.apparmor_profile().clone()) {
        Some(profile) => profile,
        None if given_up && apparmor::support() != apparmor::Support::Off => apparmor::UNCONFINED.into(),
        None => String::new(),
    }
}

fn config(record: &Record, process: Option<&oci_spec::runtime::Process>) -> Value {
    let options = &record.options;
    let user = process.map(|process| format!("{}:{}", process.user().uid(), process.user().gid()));
    let mut value = json!({
        "Hostname": options.hostname.as_deref().unwrap_or(&record.id[..12]),
        "Domainname": options.domainname.as_deref().unwrap_or(""),
        "User": options.user.clone().or(user),
        "Tty": record.tty,
        "OpenStdin": record.interactive,
        "Env": process.and_then(|process| process.env().clone()).unwrap_or_default(),
        "Cmd": record.argv,
        "Entrypoint": options.entrypoint,
        "Image": record.image,
        "WorkingDir": process.map(|process| process.cwd().display().to_string()),
        "Labels": record.labels,
        "StopSignal": signal::name(record.stop_signal),
        "StopTimeout": record.stop_timeout,
    });
    if let Some(health) = &record.health {
        value["Healthcheck"] = json!({
            "Test": std::iter::once("CMD".to_string()).chain(health.argv.iter().cloned()).collect::<Vec<_>>(),
            "Interval": health.interval.as_nanos() as u64,
            "Timeout": health.timeout.as_nanos() as u64,
            "Retries": health.retries,
            "StartPeriod": health.start_period.as_nanos() as u64,
            "StartInterval": health.start_interval.as_nanos() as u64,
        });
    }
    value
}
