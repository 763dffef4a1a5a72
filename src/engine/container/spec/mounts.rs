//! The mounts of a specification.

use std::path::Path;

use oci_spec::runtime::{Mount as SpecMount, MountBuilder};

use super::super::super::error::{Error, Kind, Result};
use super::super::cgroups::Host;
use super::super::options::{Mount, Options, Share, Source};
use super::super::wire::GIVEN;
use super::linux::OTHER_CONTAINER;
use super::{Facts, INIT_PATH, internal};

const DEFAULT_SHM_BYTES: u64 = 64 << 20;
const SAFE: [&str; 3] = ["nosuid", "noexec", "nodev"];

/// All of them, in the order in which they are made.
pub fn mounts(options: &Options, facts: &Facts) -> Result<Vec<SpecMount>> {
    let sys_mode = if options.privileged { "rw" } else { "ro" };
    let mut dev = vec!["nosuid", "strictatime", "mode=755", "size=65536k"];
    if options.privileged {
        dev.push("dev");
    }
    let mut list = vec![
        file_system("proc", "/proc", &SAFE)?,
        file_system("tmpfs", "/dev", &dev)?,
        file_system("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        shared_memory(options)?,
        file_system("mqueue", "/dev/mqueue", &SAFE)?,
        file_system("sysfs", "/sys", &[&SAFE[..], &[sys_mode]].concat())?,
    ];
    if facts.cgroups == Host::V2 || (facts.cgroups == Host::V1 && facts.own_cgroup) {
        list.push(file_system("cgroup", "/sys/fs/cgroup", &[&SAFE[..], &[sys_mode]].concat())?);
    }
    if options.init {
        list.push(bind(facts.executable, Path::new(INIT_PATH), &["bind", "ro", "private", "nosuid", "nodev"])?);
    }
    let covered = |target: &str| options.mounts.iter().any(|mount| mount.target == Path::new(target));
    for (target, source) in facts.files.iter().filter(|(target, _)| !covered(target)) {
        list.push(bind(source, Path::new(target), &["bind", "private", "nosuid", "nodev", "rw"])?);
    }
    // What lies deeper comes later, whatever the order in which it was asked for.
    let mut wanted: Vec<&Mount> = options.mounts.iter().collect();
    wanted.sort_by_key(|mount| mount.target.components().count());
    for mount in wanted {
        list.push(one(mount, facts)?);
    }
    Ok(list)
}

fn one(mount: &Mount, facts: &Facts) -> Result<SpecMount> {
    // Below a file there are no mounts, and for one crun (1.8) takes no word that is about those.
    let flat = mount.flat || matches!(&mount.source, Source::Host(source) if !source.is_dir());
    // Read-only with all mounts below, which `ro` alone would leave as they are.
    let mode = match (mount.read_only, flat || mount.source == Source::Memory) {
        (true, true) => "ro",
        (true, false) => "rro",
        (false, _) => "rw",
    };
    let kind = if flat { "bind" } else { "rbind" };
    let propagation = mount.propagation.as_deref().unwrap_or("rprivate");
    // One mount alone has nothing below it, and to crun any word about what is below makes a bind recursive.
    let propagation = if flat { propagation.strip_prefix('r').unwrap_or(propagation) } else { propagation };
    match &mount.source {
        Source::Host(source) => bind(source, &mount.target, &[kind, propagation, "nosuid", "nodev", mode]),
        Source::Anonymous => {
            let missing = || Error::new(Kind::Internal, format!("no data folder for {}", mount.target.display()));
            let (_, source) = facts.data.iter().find(|(target, _)| *target == mount.target).ok_or_else(missing)?;
            bind(source, &mount.target, &["rbind", "rprivate", "nosuid", "nodev", mode])
        }
        Source::Given(number) => {
            let source = format!("{GIVEN}{number}");
            bind(Path::new(&source), &mount.target, &[kind, propagation, "nosuid", "nodev", mode])
        }
        Source::Memory => {
            let more: Vec<&str> = mount.options.iter().map(String::as_str).collect();
            let target = mount.target.to_string_lossy();
            // A word that the caller takes back does not appear at all: not every runtime lets the later one win.
            let safe: Vec<&str> = SAFE.into_iter().filter(|word| !more.contains(&&word[2..])).collect();
            file_system("tmpfs", &target, &[&safe[..], &["mode=1777", mode], &more].concat())
        }
    }
}

/// `/dev/shm` goes with the namespace of shared memory.
fn shared_memory(options: &Options) -> Result<SpecMount> {
    let target = Path::new("/dev/shm");
    match &options.ipc {
        Share::Private => {
            let size = format!("size={}", options.shm_bytes.unwrap_or(DEFAULT_SHM_BYTES));
            file_system("tmpfs", "/dev/shm", &[&SAFE[..], &["mode=1777", &size]].concat())
        }
        Share::Host => bind(target, target, &["rbind", "rprivate", "nosuid", "noexec", "nodev"]),
        Share::Container(id) => {
            let source = format!("{OTHER_CONTAINER}{id}/root/dev/shm");
            bind(Path::new(&source), target, &["rbind", "rprivate", "nosuid", "noexec", "nodev"])
        }
    }
}

fn file_system(kind: &str, target: &str, options: &[&str]) -> Result<SpecMount> {
    let options: Vec<String> = options.iter().map(|word| word.to_string()).collect();
    MountBuilder::default().typ(kind).source(kind).destination(target).options(options).build().map_err(internal)
}

fn bind(source: &Path, target: &Path, options: &[&str]) -> Result<SpecMount> {
    let options: Vec<String> = options.iter().map(|word| word.to_string()).collect();
    MountBuilder::default().typ("bind").source(source).destination(target).options(options).build().map_err(internal)
}
