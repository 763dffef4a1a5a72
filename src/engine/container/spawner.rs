//! The spawner: a second, single-threaded process of the same binary that forks a monitor for each container.
//!
//! The engine may have threads, so it must not fork and go on (a lock held by another thread would stay held for ever
//! in the child). It starts itself again once, from a read-only view of its own executable, and asks that process to
//! fork. The read-only view is what `/proc/PID/exe` leads to inside a container: it cannot be opened for writing, so
//! no container can overwrite the engine (CVE-2019-5736).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::error::{OsContext, Result, from_io};
use super::super::sys;
use super::{cgroups, monitor};

/// The program name that makes the binary a spawner.
pub const NAME: &str = "moonshell-spawner";

/// A running spawner; ends when dropped (its socket closes).
#[derive(Debug)]
pub struct Spawner {
    socket: OwnedFd,
    child: Mutex<Child>,
}

impl Spawner {
    /// Starts one from `executable`.
    ///
    /// # Errors
    /// `os` when it cannot be started.
    pub fn start(executable: &Path) -> Result<Spawner> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).os(|| "socketpair")?;
        let view = read_only_view(executable)?;
        let program = match &view {
            Some(fd) => Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string()),
            None => executable.to_path_buf(),
        };
        let child = Command::new(program)
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            // Monitors live on: a reader of the caller's output must see its end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .os(|| format!("start {NAME}"))?;
        Ok(Spawner { socket: ours, child: Mutex::new(child) })
    }

    /// Asks for a monitor that works on these descriptors (in the order of `wire::FD_*`).
    ///
    /// # Errors
    /// `os` when the spawner is gone.
    pub fn request(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        sys::fd::send(&self.socket, b"run", fds).map_err(|e| from_io(e, format!("ask {NAME}")))
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // It would end by itself when the socket closes, but then nobody could reap it. It owns nothing: monitors
        // are processes of their own.
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A detached read-only mount of just the executable; `None` where the caller may not make one (without
/// CAP_SYS_ADMIN, or before Linux 5.12).
fn read_only_view(executable: &Path) -> Result<Option<OwnedFd>> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let Ok(tree) = open_tree(rustix::fs::CWD, executable, flags) else { return Ok(None) };
    match sys::mount::set_attributes(&tree, false, libc::MOUNT_ATTR_RDONLY, 0, 0) {
        Ok(()) => Ok(Some(tree)),
        Err(_) => Ok(None),
    }
}

/// The spawner's whole life: fork a monitor for each message until the engine closes the socket. Returns the exit
/// status.
pub fn serve() -> i32 {
    // What the caller's caller left open is not ours to keep.
    if sys::fd::close_all_but(3, &mut Vec::new()).is_err() {
        return 1;
    }
    let socket = sys::fd::take_standard_input();
    sys::process::ignore_children();
    // A terminal's Ctrl-C is the engine's to handle; it tells the monitors.
    if rustix::process::setsid().is_err() {
        return 1;
    }
    // Found out once for all monitors, who inherit it.
    cgroups::host();
    sys::memory::program();
    loop {
        let (bytes, fds) = match sys::fd::receive(socket.as_fd(), 64) {
            Ok(message) => message,
            Err(_) => return 1,
        };
        if bytes.is_empty() {
            return 0;
        }
        match sys::process::fork_into(0) {
            Ok(sys::process::Side::Child) => {
                drop(socket);
                let status = monitor::run(fds);
                sys::process::exit_now(status);
            }
            // A fork that failed closes the descriptors here, and the engine sees its control socket end.
            Ok(sys::process::Side::Parent(..)) | Err(_) => {}
        }
    }
}
