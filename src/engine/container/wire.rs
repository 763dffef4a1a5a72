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
/// The monitor's end of the first client's connection.
pub const FD_CONTROL: usize = 1;
/// The descriptor that holds the container's lock, or its work area's.
pub const FD_LOCK: usize = 2;
/// A memory file with the seccomp program; empty for none.
pub const FD_SECCOMP: usize = 3;
/// Standard input, output and error follow here: the program's own. Of a container that is kept its listening socket
/// comes first, and the streams are the first client's.
pub const FD_STDIO: usize = 4;

/// The source, in a specification, of a mount that no path leads to: `given:N`, by its place in [`Request::Passing`].
pub const GIVEN: &str = "given:";

/// How a mount comes about that no path leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Given {
    /// The file or folder that the next descriptor stands for.
    Descriptor,
    /// An overlay; without lower layers, the folder that the next descriptor stands for is the only one.
    Overlay(Rootfs),
    /// A file in memory, with the content of the next descriptor.
    File {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Everything a monitor needs to start one container.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// One that exists only for its creator, whose streams it uses directly: a build's step.
    Passing {
        /// The contract: what the container is, in the OCI runtime specification's words.
        spec: Box<Spec>,
        /// How its root file system comes about.
        rootfs: Rootfs,
        /// The path of its cgroup, if it has one of its own.
        cgroup: Option<String>,
        /// Mounts that no path leads to. Their descriptors follow the streams; what comes after those is only kept
        /// open until the container has ended.
        given: Vec<Given>,
    },
    /// One with a record in the state folder.
    Kept {
        /// The state folder.
        root: PathBuf,
        /// The container's id.
        id: String,
        /// Kill it when the first client goes away without a word.
        bound: bool,
        /// The first client gets the output, and gives the input if it sent three descriptors.
        attach: bool,
        /// Flags of the system call filter.
        seccomp_flags: u32,
        /// The contract, where its maker has it at hand, without the filter's source; else it is read.
        spec: Option<Box<Spec>>,
    },
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
    /// Sync nothing, not even when a program asks for it: for what is not to outlive its first run.
    pub volatile: bool,
}

/// What a client tells a monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Send a signal to the container's init; on a connection that runs a program inside, to that program.
    Signal(i32),
    /// Ask it to end with a signal, and kill it when that takes too long. It is not started again.
    Stop {
        /// The signal; the container's own when not given.
        signal: Option<i32>,
        /// Milliseconds from the signal to the end; the container's own when not given, `Some(u64::MAX)` for ever.
        timeout: Option<u64>,
    },
    /// From now on get its output into the descriptors that come along (output, error); with a third one first, give
    /// it input from there.
    Attach {
        /// Whether the first descriptor is one to read input from.
        input: bool,
    },
    /// The client's terminal has this size now.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
    /// The client goes away, and the container shall live on.
    Detach,
    /// Run a program inside. Descriptors: a memory file with the OCI process, then the program's own three unless it
    /// gets a terminal.
    Exec {
        /// Without the container's system call filter.
        privileged: bool,
    },
    /// Say when the program runs, if it is being started.
    Await,
    /// Freeze.
    Pause,
    /// Thaw.
    Resume,
    /// Read the container's record anew: its name, policy or limits have changed.
    Reload,
}

/// What a monitor tells a client. The last one is `Failed`, `Refused` or `Exited`.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// Something the user should know.
    Warning(String),
    /// The terminal's master side comes with this message (for a program run inside).
    Terminal,
    /// The program runs.
    Started {
        /// On the host.
        pid: i32,
    },
    /// The program did not start.
    Failed(Failure),
    /// What was asked has been done.
    Done,
    /// What was asked cannot be done.
    Refused(Failure),
    /// The program ended: its exit code, or the signal that killed it.
    Exited {
        /// 0-255; 128+n for signal n.
        code: i32,
        /// The signal, if one killed it.
        signal: Option<i32>,
        /// Whether the kernel killed a process of the container for lack of memory.
        #[serde(default)]
        oom: bool,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
