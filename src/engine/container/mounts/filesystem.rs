//! New file systems and bind mounts, made detached: joined to nothing until the target is known.
//!
//! Source: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), mount_setattr(2).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Linux, LinuxIdMapping, Mount, Spec};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_reconfigure,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick, open_tree,
};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys::mount::{Change, change};
use super::super::namespaces;
use super::foreign;
use super::options::Options;
use super::{INSIDE, Root, lookup};

/// File systems without a device, whose mounts alone are read-only.
const VIRTUAL: [&str; 8] = ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay"];

/// A new detached file system.
pub(super) fn make(kind: &str, source: &Path, options: &Options) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).os(|| format!("open file system {kind}"))?;
    // What mount tables show, or the device.
    fsconfig_set_string(&context, "source", source).os(|| format!("name file system {kind}"))?;
    configure(&context, kind, options)?;
    if options.own.set & libc::MOUNT_ATTR_RDONLY != 0 && !VIRTUAL.contains(&kind) {
        fsconfig_set_flag(&context, "ro").os(|| format!("option ro of {kind}"))?;
    }
    fsconfig_create(&context).os(|| format!("create {kind}"))?;
    let attributes = MountAttrFlags::from_bits_retain((options.own.set | options.deep.set) as _);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).os(|| format!("mount {kind}"))
}

fn configure(context: &OwnedFd, kind: &str, options: &Options) -> Result<()> {
    for (key, value) in &options.data {
        match value {
            Some(value) => fsconfig_set_string(context, key.as_str(), value.as_str()),
            None => fsconfig_set_flag(context, key.as_str()),
        }
        .os(|| format!("option {key} of {kind}"))?;
    }
    Ok(())
}

/// Changes the propagation of a new mount.
pub(super) fn propagate(tree: &OwnedFd, options: &Options) -> Result<()> {
    let Some((propagation, recursive)) = options.propagation else { return Ok(()) };
    change(tree, recursive, Change { propagation, ..Change::default() }, None).os(|| "set a mount's propagation")
}

/// The mount that a bind mount's source is, detached, with its options.
pub(super) fn bind(mount: &Mount, options: &Options, linux: Option<&Linux>) -> Result<OwnedFd> {
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    let recursive = options.bind.unwrap_or(false);
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if let Some((pid, path)) = foreign::split(source) {
        let tree = foreign::clone(pid, &path, flags)?;
        dress(&tree, mount, options, linux)?;
        return Ok(tree);
    }
    let tree = match open_tree(CWD, source, flags) {
        Err(Errno::NOENT) => {
            let message = format!("cannot mount '{}': no such file or folder on the host", source.display());
            return Err(Error::not_found(message).with_hint("make it first: fs.mkdir(path)"));
        }
        other => other.os(|| format!("mount source {}", source.display()))?,
    };
    dress(&tree, mount, options, linux)?;
    Ok(tree)
}

/// Propagation first: a change of attributes must never reach the host's own mount.
pub(super) fn dress(tree: &OwnedFd, mount: &Mount, options: &Options, linux: Option<&Linux>) -> Result<()> {
    let what = || format!("set options of mount {}", mount.destination().display());
    let below = options.bind.unwrap_or(false);
    // Without a word about it nothing goes back and forth between host and container.
    let (propagation, deep) = options.propagation.unwrap_or((libc::MS_PRIVATE, true));
    let private = Change { propagation, ..Change::default() };
    change(tree, below && deep, private, None).os(what)?;
    if options.deep != Change::default() {
        change(tree, true, options.deep, None).os(what)?;
    }
    if options.own != Change::default() {
        change(tree, false, options.own, None).os(what)?;
    }
    match mapping(mount, options, linux)? {
        Some((uids, gids)) => {
            let ids = namespaces::user_with_maps(uids, gids)?;
            let recursive = options.ids.unwrap_or(false);
            change(tree, recursive, Change::default(), Some(ids.as_fd())).map_err(|e| match e.raw_os_error() {
                Some(libc::EINVAL) => Error::new(Kind::Unsupported, "its file system knows no id-mapped mounts")
                    .context(format!("cannot map the owners of mount {}", mount.destination().display())),
                _ => super::super::super::error::from_io(e, what()),
            })
        }
        None => Ok(()),
    }
}

type Mapping<'a> = (&'a [LinuxIdMapping], &'a [LinuxIdMapping]);

/// How the owners in a mount are shown: by its own mapping, else by the container's when it is asked for.
pub(super) fn mapping<'a>(
    mount: &'a Mount,
    options: &Options,
    linux: Option<&'a Linux>,
) -> Result<Option<Mapping<'a>>> {
    let list = |list: &'a Option<Vec<LinuxIdMapping>>| list.as_deref().filter(|list| !list.is_empty());
    let shown = mount.destination().display();
    match (list(mount.uid_mappings()), list(mount.gid_mappings())) {
        (Some(uids), Some(gids)) => Ok(Some((uids, gids))),
        (None, None) if options.ids.is_none() => Ok(None),
        (None, None) => {
            let of = |pick: fn(&Linux) -> &Option<Vec<LinuxIdMapping>>| linux.and_then(|linux| list(pick(linux)));
            match (of(Linux::uid_mappings), of(Linux::gid_mappings)) {
                (Some(uids), Some(gids)) => Ok(Some((uids, gids))),
                _ => Err(Error::invalid(format!("mount {shown} is to be id-mapped, but there are no mappings"))),
            }
        }
        _ => Err(Error::invalid(format!("mount {shown} needs both uidMappings and gidMappings, or neither"))),
    }
}

impl Root {
    /// The host's `/sys`, for a container whose network is not its user namespace's.
    pub(super) fn bind_sys(&self, options: &Options) -> Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(CWD, "/sys", flags).os(|| "bind /sys")?;
        change(&tree, true, Change { propagation: libc::MS_PRIVATE, ..Change::default() }, None).os(|| "bind /sys")?;
        change(&tree, true, Change { set: options.own.set, ..Change::default() }, None).os(|| "bind /sys")?;
        Ok(tree)
    }

    /// Changes the options of a mount that is there (`remount`).
    pub(super) fn remount(&self, mount: &Mount, options: &Options, spec: &Spec) -> Result<()> {
        let what = || format!("remount {}", mount.destination().display());
        let place = lookup(self.fd(), mount.destination(), OFlags::PATH | OFlags::CLOEXEC, INSIDE).os(what)?;
        if options.bind.is_none() && !options.data.is_empty() {
            let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
            let context = fspick(&place, "", flags).os(what)?;
            configure(&context, mount.typ().as_deref().unwrap_or("none"), options)?;
            fsconfig_reconfigure(&context).os(what)?;
        }
        for (recursive, wanted) in [(true, options.deep), (false, options.own)] {
            if wanted != Change::default() {
                change(&place, recursive, wanted, None).os(what)?;
            }
        }
        if mapping(mount, options, spec.linux().as_ref())?.is_some() {
            return Err(Error::invalid(format!("{} is there already and cannot be id-mapped", what())));
        }
        propagate(&place, options)
    }
}
