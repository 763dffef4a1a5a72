//! A container's terminal: opened in its own devpts, its master handed to the parent.
//!
//! Source: pts(4), ioctl_tty(2); TIOCGPTPEER since Linux 4.13.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};

use super::super::error::{Error, OsContext, Result};
use super::birth::Line;
use super::wire::Note;

/// Opens a new terminal below the root file system `root`; its master goes to the parent, its slave is returned.
///
/// # Errors
/// `integrity` when `/dev/pts` is no devpts; `not_found`, `os`.
pub fn open(root: BorrowedFd<'_>, process: &Process, line: &Line) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let master = openat2(root, "dev/pts/ptmx", flags, Mode::empty(), inside).os(|| "open a terminal")?;
    let is_devpts = rustix::fs::fstatfs(&master).is_ok_and(|stat| stat.f_type == libc::DEVPTS_SUPER_MAGIC);
    if !is_devpts {
        return Err(Error::integrity("/dev/pts of the container is not a devpts file system"));
    }
    rustix::pty::unlockpt(&master).os(|| "unlock a terminal")?;
    let slave_flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, slave_flags).os(|| "open a terminal")?;
    if let Some(size) = process.console_size() {
        let cells = |number: u64| u16::try_from(number).map_err(|_| Error::invalid("consoleSize is out of range"));
        let size = Winsize { ws_row: cells(size.height())?, ws_col: cells(size.width())?, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).os(|| "set the terminal's size")?;
    }
    line.tell(&Note::Terminal, Some(master.as_fd()));
    Ok(slave)
}

/// Makes it the controlling terminal and all three standard streams of this process, the leader of its session.
///
/// # Errors
/// `os`.
pub fn take(slave: OwnedFd, uid: u32) -> Result<()> {
    super::process::give_to(&slave, uid)?;
    rustix::process::ioctl_tiocsctty(&slave).os(|| "take the terminal")?;
    rustix::stdio::dup2_stdin(&slave).os(|| "dup2")?;
    rustix::stdio::dup2_stdout(&slave).os(|| "dup2")?;
    rustix::stdio::dup2_stderr(&slave).os(|| "dup2")
}
