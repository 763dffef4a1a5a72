//! Loading a seccomp filter: seccomp(2).

use std::io;

/// Loads a compiled classic BPF program (8 bytes an instruction, native byte order) as this thread's filter.
///
/// Does not set no_new_privs (unlike most libraries): the caller needs CAP_SYS_ADMIN or sets it itself, else EACCES.
///
/// # Errors
/// The kernel's: EINVAL for a malformed program.
pub fn load(program: &[u8]) -> io::Result<()> {
    let count = program.len() / size_of::<libc::sock_filter>();
    let mut filter: Vec<libc::sock_filter> = program
        .chunks_exact(size_of::<libc::sock_filter>())
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let len = u16::try_from(count).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let header = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: header points to `len` valid instructions that outlive the call; the kernel copies and checks them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const header) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
