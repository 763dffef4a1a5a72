//! The process's own memory.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::PollFd;

/// Waits in poll(2), at most for `limit`, as a process that is about to rest long: it first gives back the memory its
/// allocator keeps for later, and the pages of its program, which are read from the page cache again when needed.
///
/// `ranges` are the ones [`program`] found. Between giving back and waiting nothing else is executed, as every function
/// that runs brings its pages back.
///
/// # Errors
/// The kernel's, EINTR among them.
pub fn rest(fds: &mut [PollFd<'_>], ranges: &[(usize, usize)], limit: Option<Duration>) -> io::Result<()> {
    // Rounded up; a wait beyond what poll can count ends early, which costs a look.
    let limit = limit.map_or(-1, |limit| i32::try_from(limit.as_millis() + 1).unwrap_or(i32::MAX));
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) only touches the allocator's own free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    let (list, count) = (fds.as_mut_ptr().cast::<libc::pollfd>(), fds.len() as libc::nfds_t);
    for (start, end) in ranges {
        // SAFETY: the range is a mapping of this process, as the kernel said, of a file and never writable: no page of
        // it differs from the file, so the kernel may drop all of them (madvise(2), MADV_DONTNEED).
        unsafe {
            libc::madvise(*start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }
    // SAFETY: PollFd has the layout of pollfd, and the slice lives through the call.
    let result = unsafe { libc::poll(list, count, limit) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The ranges of this process that hold its program: code, and the constants at the program's head. Read once; a
/// forked process has the same.
pub fn program() -> &'static [(usize, usize)] {
    static RANGES: OnceLock<Vec<(usize, usize)>> = OnceLock::new();
    RANGES.get_or_init(|| {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        maps.lines().filter_map(program_pages).collect()
    })
}

/// The range of a line of proc_pid_maps(5), if it is code, or the constants at the head of the program: what the
/// loader never writes to.
fn program_pages(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (flags, offset, _device, inode) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let constant = flags == "r-xp" || (flags == "r--p" && offset.bytes().all(|byte| byte == b'0'));
    if inode == "0" || !constant {
        return None;
    }
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_is_dropped() {
        let pages = |line: &str| program_pages(line).is_some();
        assert!(pages("00401000-00402000 r-xp 00001000 fe:00 42 /bin/x"));
        assert!(pages("00400000-00401000 r--p 00000000 fe:00 42 /bin/x"));
        assert!(!pages("00403000-00404000 r--p 00003000 fe:00 42 /bin/x"));
        assert!(!pages("00404000-00405000 rw-p 00004000 fe:00 42 /bin/x"));
        assert!(!pages("7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]"));
        assert!(!pages("rubbish"));
        assert!(!program().is_empty());
    }
}
