//! Loading a seccomp filter: seccomp(2).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Loads a compiled classic BPF program (8 bytes an instruction, native byte order) as this thread's filter.
///
/// `flags` are `SECCOMP_FILTER_FLAG_*`. With NEW_LISTENER the listener of SECCOMP_RET_USER_NOTIF calls is returned
/// (close-on-exec; Linux 5.0), else nothing. TSYNC gives the filter to every thread of the process.
///
/// Does not set no_new_privs (unlike most libraries): the caller needs CAP_SYS_ADMIN or sets it itself, else EACCES.
///
/// # Errors
/// The kernel's: EINVAL for a malformed program or flags it does not know or that exclude each other, EBUSY for a
/// second listener; ESRCH when another thread has a filter of its own, so that TSYNC cannot be.
pub fn load(program: &[u8], flags: u32) -> io::Result<Option<OwnedFd>> {
    let (instructions, rest) = program.as_chunks::<{ size_of::<libc::sock_filter>() }>();
    let mut filter: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|[a, b, jt, jf, c, d, e, f]| libc::sock_filter {
            code: u16::from_ne_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes([*c, *d, *e, *f]),
        })
        .collect();
    let len = u16::try_from(filter.len()).ok().filter(|_| rest.is_empty());
    let len = len.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let header = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: header points to `len` valid instructions that outlive the call; the kernel copies and checks them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) };
    let wants_listener = libc::c_ulong::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
    match RawFd::try_from(result) {
        // SAFETY: with this flag the kernel returns a new descriptor, which nobody else knows.
        Ok(fd) if fd >= 0 && wants_listener => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        Ok(0) => Ok(None),
        // Without a listener TSYNC returns the thread it could not bring along.
        Ok(thread) if thread > 0 => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Err(io::Error::last_os_error()),
    }
}
