//! What travels between the engine, the spawner, the monitor and the container's init.
//!
//! ```text
//! engine --(one message, descriptors)--> spawner --fork--> monitor --clone3--> init --execve--> the program
//! engine <------------- control socket: Order, Report -------> monitor <--socket: Note-- init
//! ```
//!
//! Everything is JSON, one value a message. The engine and its children are always the same
//! binary, so the form may change from version to version.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::super::error::{Error, ExitDetail, Kind};
use super::super::sys;

/// The order of the descriptors that come with a request.
pub const FD_REQUEST: usize = 0;
/// The monitor's end of the control socket.
pub const FD_CONTROL: usize = 1;
/// The descriptor that holds the container folder's lock.
pub const FD_LOCK: usize = 2;
/// A memory file with the seccomp program; empty for none.
pub const FD_SECCOMP: usize = 3;
/// Standard input, output and error follow here, unless there is a terminal.
pub const FD_STDIO: usize = 4;

/// Everything a monitor needs to start one container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The contract: what the container is, in the OCI runtime specification's words.
    pub spec: Spec,
    /// How its root file system comes about.
    pub rootfs: Rootfs,
    /// Where its cgroup is, if it has one of its own.
    pub cgroup: Option<super::cgroup::Plan>,
    /// Mount points outside the specification's reach: `/proc/self/fd`-style links need none, devices do.
    pub devices: Vec<String>,
}

/// An overlay of unpacked layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rootfs {
    /// Layer folders, topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where writes go.
    pub upper: PathBuf,
    /// Overlayfs' own work folder, on the same file system as `upper`.
    pub work: PathBuf,
    /// An empty folder to mount on, seen only in the container's own mount namespace.
    pub mount_point: PathBuf,
}

/// What the engine tells a monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Send a signal to the container's init.
    Signal(i32),
}

/// What a monitor tells the engine; the last one is `Failed` or `Exited`.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// Something the user should know.
    Warning(String),
    /// The terminal's master side comes with this message.
    Terminal,
    /// The program did not start.
    Failed(Failure),
    /// The program ended: its exit code, or the signal that killed it.
    Exited {
        /// 0-255; 128+n for signal n.
        code: i32,
        /// The signal, if one killed it.
        signal: Option<i32>,
    },
}

/// What a process that is being born tells its parent before it becomes the program.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// Something the user should know.
    Warning(String),
    /// The terminal's master side comes with this note.
    Terminal,
    /// The descriptor on which the filter's notifications arrive comes with this note.
    Listener,
    /// Its mounts are made: the parent runs the hooks that belong here, then says go once more. Only sent when the
    /// specification has such hooks.
    Mounted,
    /// Everything is set up; it waits at its gate.
    Ready,
    /// It cannot go on.
    Failed(Failure),
}

/// An error on its way between processes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
    code: Option<i32>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        let mut message = error.message().to_string();
        for cause in error.causes() {
            message = format!("{message}: {cause}");
        }
        Failure {
            kind: error.kind(),
            message,
            hint: error.hint().map(str::to_string),
            code: error.exit().map(|exit| exit.code),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let mut error = Error::new(failure.kind, failure.message);
        if let Some(hint) = failure.hint {
            error = error.with_hint(hint);
        }
        if let Some(code) = failure.code {
            error = error.with_exit(ExitDetail { code, stderr: String::new() });
        }
        error
    }
}

/// Sends one report, with a descriptor if the report speaks of one.
///
/// # Errors
/// The system's, when the engine is gone.
pub fn send(control: &OwnedFd, report: &Report, fd: Option<&OwnedFd>) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(report)?;
    let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
    sys::fd::send(control, &bytes, &fds)
}
