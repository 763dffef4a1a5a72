//! What lies in a container's folder before its start: the parts of its root file system, the files it gets of its own,
//! its system call filter.

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType, LinuxSeccomp};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::image::config::RunConfig;
use super::super::rootfs::view::View;
use super::super::sys;
use super::options::{Network, Options, Seccomp};
use super::user::{self, Identity};
use super::wire::Rootfs;
use super::{capabilities, seccomp};

/// What a container starts from.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// Unpacked layers, base first.
    pub lowers: &'a [PathBuf],
    /// The image's defaults.
    pub config: &'a RunConfig,
}

/// A compiled filter in a memory file, and what it was compiled from.
pub(in super::super) struct Filter {
    /// For the specification; none without a filter.
    pub seccomp: Option<LinuxSeccomp>,
    /// The program; empty without a filter.
    pub program: OwnedFd,
    /// Flags to load it with.
    pub flags: u32,
}

impl Engine {
    /// Looks up who runs, in the image's own files.
    pub(super) fn identity(&self, base: Base<'_>, options: &Options) -> Result<Identity> {
        let name = options.user.as_deref().unwrap_or(&base.config.user);
        let view = View::new(base.lowers);
        let mut identity = user::look_up_in(&view, name)?;
        for group in &options.group_add {
            let gid = user::group_in(&view, group)?;
            if !identity.groups.contains(&gid) {
                identity.groups.push(gid);
            }
        }
        Ok(identity)
    }

    /// Makes the folders of an overlay in `dir`, which will be at `last` when the container starts.
    pub(super) fn prepare_rootfs(&self, dir: &Path, last: &Path, base: Base<'_>, volatile: bool) -> Result<Rootfs> {
        for name in ["upper", "work", "rootfs"] {
            let path = dir.join(name);
            fs::create_dir(&path).os(|| format!("create {}", path.display()))?;
        }
        let rootfs = Rootfs {
            lowers: self.mountable(base.lowers)?.into_iter().rev().chain([self.store().skeleton()?]).collect(),
            upper: last.join("upper"),
            work: last.join("work"),
            mount_point: last.join("rootfs"),
            volatile,
        };
        // The upper folder is the root folder: it takes the looks of the one below.
        let (top, upper) = (&rootfs.lowers[0], dir.join("upper"));
        let meta = fs::metadata(top).os(|| format!("stat {}", top.display()))?;
        fs::set_permissions(&upper, fs::Permissions::from_mode(meta.mode() & 0o7777))
            .and_then(|()| std::os::unix::fs::chown(&upper, Some(meta.uid()), Some(meta.gid())))
            .os(|| format!("prepare {}", upper.display()))?;
        Ok(rootfs)
    }

    /// Writes the files every container gets of its own into `dir`; returns their targets, and where they are when it
    /// starts.
    pub(super) fn write_files(
        &self,
        dir: &Path,
        last: &Path,
        id: &str,
        options: &Options,
    ) -> Result<Vec<(&'static str, PathBuf)>> {
        let name = options.hostname.as_deref().unwrap_or(&id[..12]);
        let mut hosts = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        hosts.push_str(&format!("127.0.1.1\t{name}\n"));
        for (name, address) in &options.hosts {
            hosts.push_str(&format!("{address}\t{name}\n"));
        }
        let list = [
            ("/etc/hosts", "hosts", hosts),
            ("/etc/hostname", "hostname", format!("{name}\n")),
            ("/etc/resolv.conf", "resolv.conf", self.resolver(options)),
        ];
        let mut files = Vec::new();
        for (target, file, text) in list {
            let path = dir.join(file);
            fs::write(&path, text).os(|| format!("write {}", path.display()))?;
            files.push((target, last.join(file)));
        }
        Ok(files)
    }

    fn resolver(&self, options: &Options) -> String {
        let line = |word: &str, list: &[String]| match list {
            [] => String::new(),
            list => format!("{word} {}\n", list.join(" ")),
        };
        let more = line("search", &options.dns_search) + &line("options", &options.dns_options);
        if !options.dns.is_empty() {
            let servers: String = options.dns.iter().map(|server| format!("nameserver {server}\n")).collect();
            return servers + &more;
        }
        if options.network == Network::None {
            return more;
        }
        // A host without one has no name servers; so has the container.
        fs::read_to_string(&self.config().resolv_conf).unwrap_or_default() + &more
    }

    /// The system call filter, compiled once for each set of capabilities.
    pub(super) fn filter(&self, options: &Options) -> Result<std::sync::Arc<Filter>> {
        if options.privileged || options.seccomp == Seccomp::Unconfined {
            let program = sys::fd::memory_file("seccomp", b"").map_err(|e| from_io(e, "memory file"))?;
            return Ok(std::sync::Arc::new(Filter { seccomp: None, program, flags: 0 }));
        }
        let bounding = capabilities::resolve(options.privileged, &options.cap_add, &options.cap_drop)?;
        match &options.seccomp {
            Seccomp::Profile(text) => compile(&seccomp::parse(text)?, &bounding).map(std::sync::Arc::new),
            _ => self.cached_filter(&bounding, || compile(seccomp::default_profile(), &bounding)),
        }
    }
}

fn compile(profile: &seccomp::Profile, bounding: &HashSet<Capability>) -> Result<Filter> {
    let resolved = profile.resolve(bounding)?;
    let program = seccomp::compile(&resolved)?;
    if program.notifies {
        let error = Error::new(Kind::Unsupported, "a system call profile that notifies needs somebody to listen");
        return Err(error.with_hint("`moonshell oci` serves listenerPath"));
    }
    let flags = program.flags;
    let program = sys::fd::memory_file("seccomp", &program.bytes).map_err(|e| from_io(e, "memory file"))?;
    Ok(Filter { seccomp: Some(resolved), program, flags })
}

/// The nodes behind the devices that were asked for; all of the host's for a privileged container.
///
/// # Errors
/// `not_found` for one that is missing, `invalid_argument` for what is no device.
pub fn nodes(options: &Options) -> Result<Vec<LinuxDevice>> {
    let mut list = Vec::new();
    if options.privileged {
        walk(Path::new("/dev"), Path::new("/dev"), &mut list)?;
    }
    for device in &options.devices {
        let meta = fs::metadata(&device.host).os(|| format!("device {}", device.host.display()))?;
        if meta.is_dir() {
            walk(&device.host, &device.container, &mut list)?;
        } else if let Some(node) = node(&meta, &device.container)? {
            list.retain(|other| *other.path() != device.container);
            list.push(node);
        } else {
            return Err(Error::invalid(format!("{} is not a device", device.host.display())));
        }
    }
    Ok(list)
}

/// Folders of `/dev` that are the container's own, and nodes that would be in its way.
const OWN: [&str; 8] =
    ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx", "/dev/core", "/dev/hugepages"];

fn walk(host: &Path, container: &Path, list: &mut Vec<LinuxDevice>) -> Result<()> {
    for entry in fs::read_dir(host).os(|| format!("list {}", host.display()))? {
        let entry = entry.os(|| format!("list {}", host.display()))?;
        let (path, target) = (entry.path(), container.join(entry.file_name()));
        let Some(text) = target.to_str() else { continue };
        if OWN.contains(&text) || super::spec::DEVICES.contains(&text) {
            continue;
        }
        // Links are skipped; a node that goes away meanwhile was none to offer.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            walk(&path, &target, list)?;
        } else {
            list.extend(node(&meta, &target)?);
        }
    }
    Ok(())
}

fn node(meta: &fs::Metadata, target: &Path) -> Result<Option<LinuxDevice>> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        _ => return Ok(None),
    };
    LinuxDeviceBuilder::default()
        .path(target)
        .typ(kind)
        .major(i64::from(rustix::fs::major(meta.rdev())))
        .minor(i64::from(rustix::fs::minor(meta.rdev())))
        .file_mode(meta.mode() & 0o7777)
        .uid(meta.uid())
        .gid(meta.gid())
        .build()
        .map(Some)
        .map_err(|e| Error::new(Kind::Internal, format!("device {}: {e}", target.display())))
}
