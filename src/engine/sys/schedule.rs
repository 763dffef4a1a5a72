//! How a process is treated by schedulers, and its keyring and personality: calls neither rustix nor nix has.
//!
//! Source: ioprio_set(2), sched_setattr(2), personality(2), keyctl(2).

use std::io;

/// The parameters of sched_setattr(2), in their first published size (Linux 3.14).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes {
    /// Bytes of this structure; [`set_scheduler`] fills it in.
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19, for ordinary and batch processes.
    pub nice: i32,
    /// 1 to 99, for real-time ones.
    pub priority: u32,
    /// Nanoseconds of work in a period, for deadline ones.
    pub runtime: u64,
    /// By when that work is done, in nanoseconds.
    pub deadline: u64,
    /// The period in nanoseconds.
    pub period: u64,
}

fn outcome(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the scheduling policy of this process.
///
/// # Errors
/// The kernel's: EPERM, EINVAL for parameters that do not fit the policy.
pub fn set_scheduler(mut attributes: Attributes) -> io::Result<()> {
    attributes.size = size_of::<Attributes>() as u32;
    // SAFETY: the structure has the size it says and outlives the call, which only reads it (but for the size).
    outcome(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw mut attributes, 0) })
}

/// Sets the input and output priority of this process: class 1 real-time, 2 best effort, 3 idle; level 0 to 7.
///
/// # Errors
/// The kernel's: EPERM for real-time without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn set_io_priority(class: u32, level: u32) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    // SAFETY: three numbers; no memory is touched.
    outcome(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, (class << CLASS_SHIFT) | level) })
}

/// Sets the execution domain, such as that of a 32-bit machine.
///
/// # Errors
/// The kernel's.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: a number; it takes effect for what is executed next.
    outcome(unsafe { libc::personality(persona as libc::c_ulong) }.into())
}

/// Leaves the session keyring of the parent for a new one without a name.
///
/// # Errors
/// The kernel's: ENOSYS where it has no keyrings, EDQUOT for a user with too many.
pub fn join_new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an unnamed keyring.
    outcome(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) })
}
