//! From options and an image's configuration to an OCI runtime specification. Pure: reads and changes nothing.
//!
//! Source: OCI runtime specification 1.2, config.md and config-linux.md; default mounts, masked and read-only paths
//! as the field has settled them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
    Mount as SpecMount, MountBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, ProcessBuilder, RootBuilder,
    Spec, SpecBuilder, UserBuilder,
};

use super::super::error::{Error, Kind, Result};
use super::super::image::config::RunConfig;
use super::super::suggest::suggest;
use super::options::{Command, Network, Options};
use super::user::Identity;
use super::{capabilities, cgroup};

/// Devices a container sees; each is the host's own, bound.
pub const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Where programs are looked for when nobody says.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What [`PosixRlimitType`] knows, in the words of options.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

const DEFAULT_SHM_BYTES: u64 = 64 << 20;

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

/// What the engine adds to options and image: facts about this one container.
pub struct Facts<'a> {
    /// The 64-digit id.
    pub id: &'a str,
    /// The user, looked up in the image.
    pub identity: &'a Identity,
    /// Where the root file system is mounted.
    pub root: &'a Path,
    /// Files to put over the container's own: target, source on the host.
    pub files: &'a [(&'static str, PathBuf)],
    /// The host's cgroups.
    pub cgroups: cgroup::Host,
}

/// Makes the specification.
///
/// # Errors
/// `invalid_argument` for options that cannot be meant.
pub fn make(options: &Options, image: &RunConfig, command: Option<&Command>, facts: &Facts) -> Result<Spec> {
    let hostname = match (&options.hostname, options.network) {
        (Some(name), _) => name.clone(),
        (None, _) => facts.id[..12].to_string(),
    };
    let process = process(options, image, command, facts, &hostname)?;
    let privileged = options.privileged;
    let hidden =
        |list: &[&str]| if privileged { Vec::new() } else { list.iter().map(|path| path.to_string()).collect() };
    let linux = LinuxBuilder::default()
        .namespaces(namespaces(options)?)
        .masked_paths(hidden(&MASKED))
        .readonly_paths(hidden(&READ_ONLY))
        .cgroups_path(PathBuf::from("/moonshell").join(facts.id));
    let root = RootBuilder::default().path(facts.root).readonly(options.read_only).build().map_err(internal)?;
    SpecBuilder::default()
        .version("1.2.0")
        .process(process)
        .root(root)
        .hostname(hostname)
        .mounts(mounts(options, facts)?)
        .linux(linux.build().map_err(internal)?)
        .build()
        .map_err(internal)
}

fn process(
    options: &Options,
    image: &RunConfig,
    command: Option<&Command>,
    facts: &Facts,
    hostname: &str,
) -> Result<oci_spec::runtime::Process> {
    let set = capabilities::resolve(options.privileged, &options.cap_add, &options.cap_drop)?;
    let user = UserBuilder::default()
        .uid(facts.identity.uid)
        .gid(facts.identity.gid)
        .additional_gids(facts.identity.groups.clone());
    let cwd = options.workdir.as_deref().filter(|dir| !dir.is_empty()).unwrap_or(&image.working_dir);
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let cwd = if cwd.starts_with('/') { PathBuf::from(cwd) } else { Path::new("/").join(cwd) };
    ProcessBuilder::default()
        .terminal(options.tty)
        .user(user.build().map_err(internal)?)
        .args(arguments(options, image, command)?)
        .env(environment(options, image, facts, hostname)?)
        .cwd(cwd)
        .capabilities(capability_sets(set)?)
        .no_new_privileges(options.no_new_privileges)
        .rlimits(rlimits(options)?)
        .build()
        .map_err(internal)
}

fn capability_sets(set: HashSet<Capability>) -> Result<oci_spec::runtime::LinuxCapabilities> {
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
        .map_err(internal)
}

/// Entrypoint and command as Docker joins them: the command replaces the image's, the entrypoint stays unless it is
/// replaced, and a replaced entrypoint drops the image's command.
fn arguments(options: &Options, image: &RunConfig, command: Option<&Command>) -> Result<Vec<String>> {
    let image_command =
        || if options.entrypoint.is_some() { Vec::new() } else { image.cmd.clone().unwrap_or_default() };
    let entrypoint = options.entrypoint.clone().or(image.entrypoint.clone()).unwrap_or_default();
    let rest = match command {
        None => image_command(),
        Some(Command::Argv(argv)) => argv.clone(),
        Some(Command::Line(line)) => shell(image).into_iter().chain([line.clone()]).collect(),
    };
    let all: Vec<String> = entrypoint.into_iter().chain(rest).collect();
    if all.is_empty() {
        return Err(Error::invalid("no command given, and the image has none"));
    }
    Ok(all)
}

/// The image's shell, for commands that are one line.
pub fn shell(image: &RunConfig) -> Vec<String> {
    let own = image.shell.clone().filter(|shell| !shell.is_empty());
    own.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()])
}

fn environment(options: &Options, image: &RunConfig, facts: &Facts, hostname: &str) -> Result<Vec<String>> {
    let mut list: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: Option<&str>, replace: bool| {
        let at = list.iter().position(|(other, _)| other == name);
        match (at, value) {
            (Some(at), Some(value)) if replace => list[at].1 = value.to_string(),
            (Some(at), None) => drop(list.remove(at)),
            (None, Some(value)) => list.push((name.to_string(), value.to_string())),
            _ => {}
        }
    };
    set("PATH", Some(DEFAULT_PATH), true);
    set("HOSTNAME", Some(hostname), true);
    if options.tty {
        set("TERM", Some("xterm"), true);
    }
    for variable in &image.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(name, Some(value), true);
    }
    for (name, value) in &options.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::invalid(format!("invalid name of an environment variable: '{name}'")));
        }
        set(name, value.as_deref(), true);
    }
    set("HOME", Some(&facts.identity.home), false);
    Ok(list.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn namespaces(options: &Options) -> Result<Vec<LinuxNamespace>> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, Uts};
    let mut kinds = vec![Pid, Mount, Ipc, Uts, Cgroup];
    if options.network == Network::None {
        kinds.push(Net);
    }
    let build = |kind| LinuxNamespaceBuilder::default().typ(kind).build().map_err(internal);
    kinds.into_iter().map(build).collect()
}

fn rlimits(options: &Options) -> Result<Vec<PosixRlimit>> {
    let mut list = Vec::new();
    for limit in &options.ulimits {
        let name = serde_json::Value::String(format!("RLIMIT_{}", limit.name.to_uppercase()));
        let kind: PosixRlimitType = serde_json::from_value(name)
            .map_err(|_| suggest(Error::invalid(format!("unknown ulimit '{}'", limit.name)), &limit.name, ULIMITS))?;
        if limit.soft > limit.hard {
            let message = format!("ulimit '{}': the soft limit {} is above the hard one", limit.name, limit.soft);
            return Err(Error::invalid(message));
        }
        let limit = PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard);
        list.push(limit.build().map_err(internal)?);
    }
    Ok(list)
}

fn mounts(options: &Options, facts: &Facts) -> Result<Vec<SpecMount>> {
    let shm = format!("size={}", options.shm_bytes.unwrap_or(DEFAULT_SHM_BYTES));
    let safe = ["nosuid", "noexec", "nodev"];
    let sys_mode = if options.privileged { "rw" } else { "ro" };
    let mut list = vec![
        file_system("proc", "/proc", &safe)?,
        file_system("tmpfs", "/dev", &["nosuid", "nodev", "strictatime", "mode=755", "size=65536k"])?,
        file_system("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        file_system("tmpfs", "/dev/shm", &[&safe[..], &["mode=1777", &shm]].concat())?,
        file_system("mqueue", "/dev/mqueue", &safe)?,
        file_system("sysfs", "/sys", &[&safe[..], &[sys_mode]].concat())?,
    ];
    if facts.cgroups == cgroup::Host::V2 {
        list.push(file_system("cgroup2", "/sys/fs/cgroup", &[&safe[..], &[sys_mode]].concat())?);
    }
    let covered = |target: &str| options.mounts.iter().any(|mount| mount.target == Path::new(target));
    for (target, source) in facts.files.iter().filter(|(target, _)| !covered(target)) {
        list.push(bind(source, Path::new(target), false)?);
    }
    for mount in &options.mounts {
        mount.check()?;
        list.push(match &mount.source {
            Some(source) => bind(source, &mount.target, mount.read_only)?,
            None => {
                let more = mount.options.iter().map(String::as_str).collect::<Vec<_>>();
                let mode = if mount.read_only { "ro" } else { "rw" };
                let target = mount.target.to_string_lossy();
                file_system("tmpfs", &target, &[&safe[..], &["mode=1777", mode], &more].concat())?
            }
        });
    }
    Ok(list)
}

fn file_system(kind: &str, target: &str, options: &[&str]) -> Result<SpecMount> {
    let options: Vec<String> = options.iter().map(|word| word.to_string()).collect();
    MountBuilder::default().typ(kind).source(kind).destination(target).options(options).build().map_err(internal)
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<SpecMount> {
    // With all mounts below, which `ro` alone would leave as they are.
    let mode = if read_only { "rro" } else { "rw" };
    let options: Vec<String> =
        ["rbind", "rprivate", "rnosuid", "rnodev", mode].iter().map(|word| word.to_string()).collect();
    MountBuilder::default().typ("bind").source(source).destination(target).options(options).build().map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("runtime specification: {error}"))
}
