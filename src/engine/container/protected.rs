//! A view of the own executable that nothing can write to (CVE-2019-5736).
//!
//! Source: open_tree(2), mount_setattr(2), memfd_create(2), fcntl(2) ("File Sealing").

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, open};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::super::error::{Error, OsContext, Result};
use super::super::sys;

const SELF: &str = "/proc/self/exe";

const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// True when this process runs from a file that cannot be written through it.
///
/// # Errors
/// `os`.
pub fn is_protected() -> Result<bool> {
    let file = open(SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).os(|| "open the own executable")?;
    let mount = rustix::fs::fstatvfs(&file).os(|| "stat the own executable")?;
    let sealed = rustix::fs::fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
    Ok(sealed || mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Executes this program again from such a view.
///
/// # Errors
/// `os`.
pub fn execute(argv: &[CString], env: &[CString]) -> Result<Infallible> {
    let view = match mounted() {
        Some(view) => view,
        None => copied().os(|| "copy the own executable")?,
    };
    let path = CString::new(format!("/proc/self/fd/{}", view.as_raw_fd()))
        .map_err(|_| Error::invalid("an argument holds a NUL"))?;
    nix::unistd::execve(&path, argv, env).os(|| "execute the own program")
}

/// A detached read-only mount of just the executable; none without CAP_SYS_ADMIN or before Linux 5.12.
fn mounted() -> Option<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, SELF, flags).ok()?;
    sys::mount::set_attributes(&tree, false, libc::MOUNT_ATTR_RDONLY, 0, 0).ok()?;
    Some(tree)
}

fn copied() -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A kernel that may forbid executing memory files wants to be asked (6.3); an older one does not know the word.
    let memory = rustix::fs::memfd_create("moonshell", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("moonshell", flags))?;
    let mut memory = File::from(memory);
    std::io::copy(&mut File::open(SELF)?, &mut memory)?;
    rustix::fs::fcntl_add_seals(&memory, SEALS)?;
    Ok(memory.into())
}
