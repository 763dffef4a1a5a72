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

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that answers calls of one number with `value`, and allows the rest.
    fn program(number: i64, value: u32) -> Vec<u8> {
        let step = |code: u16, jt: u8, jf: u8, k: u32| [&code.to_ne_bytes()[..], &[jt, jf], &k.to_ne_bytes()].concat();
        [step(0x20, 0, 0, 0), step(0x15, 0, 1, number as u32), step(0x06, 0, 0, value), step(0x06, 0, 0, 0x7fff_0000)]
            .concat()
    }

    #[test]
    fn a_listener_hears_of_calls() {
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            let notify = program(libc::SYS_getpriority, libc::SECCOMP_RET_USER_NOTIF);
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
            send.send(load(&notify, flags).unwrap().expect("a listener")).unwrap();
            // SAFETY: the call has no pointers.
            let result = unsafe { libc::syscall(libc::SYS_getpriority, 0, 0) };
            (result, io::Error::last_os_error().raw_os_error())
        });
        let listener = receive.recv().unwrap();
        let mut events = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut events, None).unwrap(), 1);
        // Without a listener such calls fail.
        drop(listener);
        assert_eq!(thread.join().unwrap(), (-1, Some(libc::ENOSYS)));
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        let fails = |bytes: &[u8], flags: u32| load(bytes, flags).unwrap_err().raw_os_error();
        assert_eq!(fails(&[], 0), Some(libc::EINVAL));
        assert_eq!(fails(&[0; 7], 0), Some(libc::EINVAL));
        assert_eq!(fails(&[0xff; 8], 0), Some(libc::EINVAL));
        assert_eq!(fails(&program(0, 0), 1 << 30), Some(libc::EINVAL));
    }
}
