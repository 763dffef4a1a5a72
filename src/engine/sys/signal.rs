//! Sending any signal by number, real-time ones included: pidfd_send_signal(2), since Linux 5.1.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sends a signal to the process behind a descriptor.
///
/// # Errors
/// The kernel's: ESRCH once it has ended, EINVAL for a number that is no signal.
pub fn send(process: impl AsFd, number: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open for the call, no signal information is passed, the flags are none.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_fd().as_raw_fd(), number, info, 0 as libc::c_uint)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
