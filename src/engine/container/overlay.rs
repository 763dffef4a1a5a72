//! Overlay mounts that exist nowhere but in a descriptor until a container takes them.
//!
//! Source: Documentation/filesystems/overlayfs.rst; fsopen(2) and friends, since Linux 5.2; `lowerdir+`, one layer a
//! call and so no limit but overlayfs' own, since 6.8.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use rustix::fs::CWD;
use rustix::io::Errno;

use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::super::sys::mount::Change;
use super::wire::Rootfs;

const PLAIN: [(&str, &str); 3] = [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

/// Mounts an overlay and returns its root.
///
/// No device node in it can be opened (`nodev`): devices reach a container as bind mounts of the host's, so `mknod`
/// in a container gives access to nothing, on every kind of cgroup. A `volatile` mount syncs nothing by
/// itself: whoever keeps the upper folder makes it durable.
///
/// # Errors
/// `unsupported` without overlayfs; `os`.
pub fn mount(rootfs: &Rootfs) -> Result<OwnedFd> {
    let what = || format!("mount an overlay of {} layers", rootfs.lowers.len());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).os(|| "open overlayfs")?;
    match configure(&context, rootfs) {
        Ok(()) => fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV).os(what),
        // A kernel without `lowerdir+` says so here, some at the first layer, some at the end.
        Err(Errno::INVAL) => mount_classic(rootfs),
        Err(e) => Err(e).os(what),
    }
}

/// The same with the owners of all files seen through a user namespace: what its root owns in there is root's on disk.
/// `root` is the user and group that are its root outside: overlayfs does its own work as whoever mounts it, which must
/// be somebody these mounts know.
///
/// # Errors
/// `unsupported` where overlayfs or the file system below it knows no id-mapped mounts (before Linux 5.19); `os`.
pub fn mount_mapped(rootfs: &Rootfs, ids: BorrowedFd<'_>, root: (u32, u32)) -> Result<OwnedFd> {
    let mut held = Vec::new();
    let mut mapped = |path: &Path| -> Result<PathBuf> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, path, flags).os(|| format!("layer {}", path.display()))?;
        let no_change = Change { set: 0, clear: 0, propagation: libc::MS_PRIVATE };
        sys::mount::change(&tree, false, no_change, Some(ids)).map_err(|e| match e.raw_os_error() {
            Some(libc::EINVAL) => {
                let message = format!("the file system of {} knows no mapped owners", path.display());
                Error::new(Kind::Unsupported, message).with_hint("run it without userns")
            }
            _ => from_io(e, format!("map the owners of {}", path.display())),
        })?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
        held.push(tree);
        Ok(path)
    };
    // Overlayfs wants both of these on one mount.
    let folder = rootfs.upper.parent().unwrap_or(&rootfs.upper);
    let own = mapped(folder)?;
    let inside = |path: &Path| path.strip_prefix(folder).map_or_else(|_| path.to_path_buf(), |rest| own.join(rest));
    let rootfs = Rootfs {
        lowers: rootfs.lowers.iter().map(|lower| mapped(lower)).collect::<Result<_>>()?,
        upper: inside(&rootfs.upper),
        work: inside(&rootfs.work),
        ..rootfs.clone()
    };
    with_files_of(root, || mount(&rootfs))
}

/// Calls `work` with the file system user and group `(uid, gid)` of this thread and all its capabilities.
///
/// # Errors
/// Those of `work`; `os`.
pub(super) fn with_files_of<T>((uid, gid): (u32, u32), work: impl FnOnce() -> Result<T>) -> Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    let before = rustix::thread::capabilities(None).os(|| "read capabilities")?;
    // Each returns the one before; neither can fail for a privileged process (setfsuid(2)).
    let group = setfsgid(Gid::from_raw(gid));
    let user = setfsuid(Uid::from_raw(uid));
    // Becoming somebody else has switched off what concerns files.
    let result = rustix::thread::set_capabilities(None, before).os(|| "set capabilities").and_then(|()| work());
    setfsuid(user);
    setfsgid(group);
    result
}

fn configure(context: &OwnedFd, rootfs: &Rootfs) -> rustix::io::Result<()> {
    fsconfig_set_string(context, "source", "overlay")?;
    for lower in &rootfs.lowers {
        fsconfig_set_string(context, "lowerdir+", lower)?;
    }
    fsconfig_set_string(context, "upperdir", &rootfs.upper)?;
    fsconfig_set_string(context, "workdir", &rootfs.work)?;
    // Layers must stand for themselves: no redirects, no data left below, no index of the lower files' origins.
    for (key, value) in PLAIN {
        fsconfig_set_string(context, key, value)?;
    }
    if rootfs.volatile {
        fsconfig_set_flag(context, "volatile")?;
    }
    fsconfig_create(context)
}

/// For kernels without `lowerdir+`: mount(2), whose options fit one page (some 200 layers, as each is named
/// `/proc/self/fd/N`), in a mount namespace of this process's own, from where a detached copy is taken.
fn mount_classic(rootfs: &Rootfs) -> Result<OwnedFd> {
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).os(|| "create a mount namespace")?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .os(|| "make mounts private")?;
    let mut held: Vec<OwnedFd> = Vec::new();
    let mut names = Vec::new();
    for lower in &rootfs.lowers {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let fd = rustix::fs::open(lower, flags, rustix::fs::Mode::empty())
            .os(|| format!("open layer {}", lower.display()))?;
        names.push(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        held.push(fd);
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},{}{}",
        names.join(":"),
        rootfs.upper.display(),
        rootfs.work.display(),
        PLAIN.map(|(key, value)| format!("{key}={value}")).join(","),
        if rootfs.volatile { ",volatile" } else { "" },
    );
    let options = std::ffi::CString::new(options).map_err(|_| Error::invalid("a layer's path holds a NUL"))?;
    rustix::mount::mount("overlay", &rootfs.mount_point, "overlay", MountFlags::NODEV, Some(options.as_c_str()))
        .os(|| format!("mount an overlay of {} layers", names.len()))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, &rootfs.mount_point, flags).os(|| "detach an overlay")?;
    rustix::mount::unmount(&rootfs.mount_point, UnmountFlags::DETACH).os(|| "detach an overlay")?;
    Ok(tree)
}
