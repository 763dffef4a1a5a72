//! Network interfaces: switching loopback on, by netdevice(7)'s ioctls.

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Switches the loopback interface of this network namespace on; the kernel gives it 127.0.0.1 and ::1.
///
/// # Errors
/// The kernel's: EPERM without CAP_NET_ADMIN.
pub fn loopback_up() -> io::Result<()> {
    // Any socket will do, and this family is there without IPv4 too.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    // SAFETY: both requests read and write no more than the ifreq they are given, which outlives the calls.
    let done = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) == 0 && {
            request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) == 0
        }
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
