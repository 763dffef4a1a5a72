//! The engine's own binary, as a container that asked for an init sees it: not the file itself but a view of it in a
//! file system of its own, so that no right over mounts leads to the host's file (`mount -o remount,rw,bind`).
//!
//! The view is an overlay of the binary's folder that has nothing above to write to, and of it only the binary is
//! mounted. Where the binary's file system cannot be a layer, it is a copy in memory.
//!
//! Source: Documentation/filesystems/overlayfs.rst; open_tree(2), move_mount(2).

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oci_spec::runtime::Mount;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree, unmount,
};

use super::super::super::error::{Error, OsContext, Result};
use super::super::super::sys;
use super::super::spec::INIT_PATH;
use super::Root;
use super::options::Options;

/// Whether a bind mount shows a container the program it is in itself, as its init.
pub(super) fn is_own(mount: &Mount) -> bool {
    let Some(source) = mount.source() else { return false };
    let same = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    mount.destination() == Path::new(INIT_PATH)
        && same(source).is_some_and(|it| same("/proc/self/exe".as_ref()) == Some(it))
}

impl Root {
    /// The view of the binary, detached.
    ///
    /// # Errors
    /// `os`.
    pub(super) fn own_binary(&self, mount: &Mount, options: &Options) -> Result<OwnedFd> {
        let source = mount.source().as_deref().unwrap_or(Path::new(""));
        let (Some(folder), Some(name)) = (source.parent(), source.file_name()) else {
            return Err(Error::invalid(format!("{} is not a file", source.display())));
        };
        let what = || format!("show the container {}", source.display());
        let all = match view(folder) {
            Ok(all) => all,
            Err(_) => copy(source, name).os(what)?,
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let one = match open_tree(&all, name, flags) {
            // Before Linux 6.15 a part can be taken only of what is mounted somewhere.
            Err(Errno::INVAL) => {
                self.attach(&all, mount.destination().parent().unwrap_or(Path::new("/dev")), true, false)?;
                let one = open_tree(&all, name, flags);
                unmount(format!("/proc/self/fd/{}", all.as_raw_fd()), UnmountFlags::DETACH).os(what)?;
                one
            }
            other => other,
        };
        let one = one.os(what)?;
        sys::mount::change(&one, false, options.own, None).os(what)?;
        Ok(one)
    }
}

/// An overlay of a folder. It wants two at least: the other one is empty.
fn view(folder: &Path) -> rustix::io::Result<OwnedFd> {
    let empty = memory()?;
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let layers = format!("/proc/self/fd/{}:/proc/self/fd/{}", folder.as_raw_fd(), empty.as_raw_fd());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "overlay")?;
    fsconfig_set_string(&context, "lowerdir", layers)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
}

fn copy(source: &Path, name: &OsStr) -> std::io::Result<OwnedFd> {
    let all = memory()?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(&all, name, flags, Mode::from(0o755))?);
    std::io::copy(&mut File::open(source)?, &mut file)?;
    Ok(all)
}

fn memory() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", "755")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
}
