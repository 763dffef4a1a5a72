//! Processes: fork, clone3 and what a child needs before it executes another program.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// CLONE_INTO_CGROUP of linux/sched.h.
const INTO_CGROUP: u64 = 1 << 33;

/// Which side of a fork this is.
pub enum Side {
    /// The new process.
    Child,
    /// The old one, with the child's id and a descriptor that becomes readable when it ends.
    Parent(Pid, OwnedFd),
}

/// Makes a child process with the given `CLONE_NEW*` namespaces.
///
/// # Errors
/// The kernel's; EPERM without the capabilities namespaces need.
pub fn fork_into(namespaces: u64) -> io::Result<Side> {
    clone(namespaces, None)
}

/// Makes a child process: clone3(2), since Linux 5.3; `cgroup`, the folder of a v2 cgroup it is born in, since 5.7.
///
/// `flags` are `CLONE_NEW*` and `CLONE_PARENT`, which makes it a child of this process's parent.
///
/// # Errors
/// The kernel's; EPERM without the capabilities namespaces need.
pub fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    let into_cgroup = if cgroup.is_some() { INTO_CGROUP } else { 0 };
    // A child of somebody else's tells its parent what this process would: the kernel wants 0 then.
    let exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 };
    let mut arguments = libc::clone_args {
        flags: flags | into_cgroup | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: called only from single-threaded processes (the spawner, its children, `moonshell oci`), so the copy of the address
    // space is consistent: no lock can be held by a thread that does not exist in the child. No stack is given, so
    // the child goes on with a copy of this one, as after fork(2).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match result {
        0 => Ok(Side::Child),
        pid if pid > 0 => {
            let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
            // SAFETY: the kernel wrote a new descriptor there that nothing else owns.
            Ok(Side::Parent(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts all signals back to their default action and unblocks them, as a new program expects to find them.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is a valid disposition; the C library refuses the numbers it keeps for itself.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    let empty = nix::sys::signal::SigSet::empty();
    // Cannot fail: the arguments are valid by their types.
    let _ = nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&empty), None);
}

/// Lets the kernel reap children by itself.
pub fn ignore_children() {
    // SAFETY: SIG_IGN is a valid disposition for SIGCHLD.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
    }
}

/// Undoes [`ignore_children`].
pub fn wait_for_children() {
    // SAFETY: SIG_DFL is a valid disposition for SIGCHLD.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Ends this process at once, without running destructors or exit handlers that belong to the parent's copy.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory.
    unsafe { libc::_exit(status) }
}
