//! What rustix lacks of the mount interface: mount_setattr(2), since Linux 5.12.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// What to change of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, ... or 0 for no change.
    pub propagation: u64,
}

/// Changes a mount (given by a descriptor of its root), and with `recursive` all mounts below it.
///
/// `set` and `clear` are `MOUNT_ATTR_*` bits; `propagation` is `MS_PRIVATE`, `MS_SLAVE`, ... or 0 for no change.
///
/// # Errors
/// The kernel's: ENOSYS before 5.12.
pub fn set_attributes(mount: impl AsFd, recursive: bool, set: u64, clear: u64, propagation: u64) -> io::Result<()> {
    change(mount, recursive, Change { set, clear, propagation }, None)
}

/// The same, and with `ids` the mount shows the owners of its files through that user namespace (an id-mapped mount).
///
/// # Errors
/// The kernel's: ENOSYS before 5.12; EINVAL for a file system that knows no id-mapped mounts.
pub fn change(mount: impl AsFd, recursive: bool, change: Change, ids: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: change.set | if ids.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: ids.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is empty and NUL-terminated, the structure has the size passed and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
