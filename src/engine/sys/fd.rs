//! Descriptors: passing them over sockets, memory files, and closing what must not be inherited.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};

/// The most descriptors one message carries here.
const MOST: usize = 128;

/// A message of at most so many bytes is received without asking for its size first. Of a stream no more is read at once.
const SMALL: usize = 4096;

/// Sends one message with descriptors over a unix socket.
///
/// # Errors
/// The system's.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Receives one message of at most `limit` bytes with its descriptors (close-on-exec); no bytes at all mean that the
/// other side is gone.
///
/// # Errors
/// The system's.
pub fn receive(socket: impl AsFd, limit: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // Usually far less than the most there may be: room is made for what is there.
    let size = match limit {
        0..=SMALL => limit,
        _ => loop {
            match recv(&socket, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::TRUNC) {
                // A stream has no messages, and tells no size.
                Ok((_, size)) => break size.clamp(SMALL, limit),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        },
    };
    let mut bytes = vec![0; size];
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Ok(received) => break received,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    bytes.truncate(received.bytes);
    Ok((bytes, fds))
}

/// A memory file with this content, its position at the start.
///
/// # Errors
/// The system's.
pub fn memory_file(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut written = 0;
    while written < content.len() {
        written += rustix::io::pwrite(&fd, &content[written..], written as u64)?;
    }
    Ok(fd)
}

/// A path by which this process finds what the descriptor stands for.
pub fn path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Marks every descriptor from `first` up as close-on-exec: close_range(2), since Linux 5.11 with this flag.
///
/// # Errors
/// The kernel's.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: only the flag of descriptors changes.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from `first` up but those of `keep`: close_range(2), since Linux 5.9.
///
/// For a new child that never returns: whatever of its parent's still owns a closed descriptor is not used again.
///
/// # Errors
/// The kernel's.
pub fn close_all_but(first: RawFd, keep: &mut [RawFd]) -> io::Result<()> {
    keep.sort_unstable();
    let mut from = first;
    for fd in keep.iter().copied().filter(|fd| *fd >= first) {
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = fd + 1;
    }
    close_range(from, RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: the caller's contract says that nothing uses these descriptors any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, last as libc::c_uint, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the descriptors `first..first + count` open for the program that is executed next.
///
/// # Errors
/// EBADF when one is not open.
pub fn keep_on_exec(first: RawFd, count: u32) -> io::Result<()> {
    for fd in first..first + count as RawFd {
        // SAFETY: only the flag of a descriptor changes; one that is not open is an error.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes over the descriptor the process was started with as standard input.
///
/// Call once, at the start of a process that knows what its parent put there.
pub fn take_standard_input() -> OwnedFd {
    // SAFETY: the caller owns descriptor 0 by the contract between it and the process that started it.
    unsafe { OwnedFd::from_raw_fd(0) }
}
