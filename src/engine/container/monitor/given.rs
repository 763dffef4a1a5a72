//! Mounts that no path leads to: made from descriptors before the container is born, so that nothing which somebody
//! swaps meanwhile counts.
//!
//! Source: open_tree(2), fsmount(2), mount_namespaces(7).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};

use super::super::super::error::{Error, OsContext, Result, from_io};
use super::super::super::sys;
use super::super::overlay;
use super::super::wire::{Given, Rootfs};

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

/// Makes them, detached, in their order, and takes the descriptors they are made from out of `more`. `scratch` is an
/// empty folder. The caller is single-threaded.
///
/// # Errors
/// `invalid_argument` when descriptors are missing; `unsupported`, `os`.
pub fn make(list: &[Given], more: &mut Vec<OwnedFd>, scratch: &Path) -> Result<Vec<OwnedFd>> {
    let needs = |given: &Given| match given {
        Given::Overlay(rootfs) => rootfs.lowers.is_empty(),
        Given::Descriptor | Given::File { .. } => true,
    };
    let count = list.iter().filter(|given| needs(given)).count();
    if more.len() < count {
        return Err(Error::invalid("a request lacks descriptors of mounts"));
    }
    let mut fds = more.drain(..count);
    let jobs: Vec<_> = list.iter().map(|given| (given, if needs(given) { fds.next() } else { None })).collect();
    drop(fds);
    let mut made: Vec<Option<OwnedFd>> = Vec::new();
    // Only mounts of the namespace this process is in can be cloned, and what comes later may change that.
    for (given, fd) in &jobs {
        made.push(match (given, fd) {
            (Given::Descriptor, Some(fd)) => {
                let flags = CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH;
                Some(open_tree(fd, "", flags).os(|| "clone the source of a mount")?)
            }
            _ => None,
        });
    }
    for ((given, fd), slot) in jobs.iter().zip(&mut made) {
        if let Given::Overlay(rootfs) = given {
            *slot = Some(overlaid(rootfs, fd.as_ref())?);
        }
    }
    if list.iter().any(|given| matches!(given, Given::File { .. })) {
        let memory = Memory::new(scratch)?;
        for (number, ((given, fd), slot)) in jobs.into_iter().zip(&mut made).enumerate() {
            if let (Given::File { mode, uid, gid }, Some(content)) = (given, fd) {
                *slot = Some(memory.file(number, content, *mode, (*uid, *gid))?);
            }
        }
    }
    Ok(made.into_iter().flatten().collect())
}

fn overlaid(rootfs: &Rootfs, lower: Option<&OwnedFd>) -> Result<OwnedFd> {
    let mut rootfs = rootfs.clone();
    rootfs.lowers.extend(lower.map(sys::fd::path));
    overlay::mount(&rootfs)
}

/// A file system in memory, in sight only of a mount namespace of this process's own, and only until it is dropped:
/// a file of a mount that is attached to nothing could not be mounted by itself before Linux 6.15.
struct Memory<'a> {
    tree: OwnedFd,
    scratch: &'a Path,
}

impl Memory<'_> {
    fn new(scratch: &Path) -> Result<Memory<'_>> {
        let what = || "a file system in memory";
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).os(|| "create a mount namespace")?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).os(|| "make mounts private")?;
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).os(what)?;
        fsconfig_set_string(&context, "mode", "0700").os(what)?;
        fsconfig_create(&context).os(what)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).os(what)?;
        move_mount(&tree, "", rustix::fs::CWD, scratch, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).os(what)?;
        Ok(Memory { tree, scratch })
    }

    /// A file of it as a mount.
    fn file(&self, number: usize, content: OwnedFd, mode: u32, (uid, gid): (u32, u32)) -> Result<OwnedFd> {
        let (name, what) = (number.to_string(), || "a file in memory");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.tree, &name, flags, Mode::from(0o600)).os(what)?);
        let mut content = File::from(content);
        io::Seek::rewind(&mut content)
            .and_then(|()| io::copy(&mut content, &mut file))
            .map_err(|e| from_io(e, what()))?;
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).os(what)?;
        fchmod(&file, Mode::from_raw_mode(mode)).os(what)?;
        open_tree(&self.tree, &name, CLONE).os(what)
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        // The namespace goes with this process, and with it what could not be taken away now.
        let _ = unmount(self.scratch, UnmountFlags::DETACH);
    }
}
