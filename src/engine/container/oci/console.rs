//! Sockets of the caller's to which descriptors are handed: a terminal's master, a seccomp listener.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{ContainerProcessState, Spec, State};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::super::sys;

/// Where a process's standard streams come from.
#[derive(Debug)]
pub enum Stdio {
    /// This process's own.
    Inherit,
    /// A terminal, whose master is sent to this socket.
    Socket(OwnedFd),
    /// A terminal, whose master this process keeps.
    Keep,
}

impl Stdio {
    /// Decides by what the process wants and what the caller gave.
    ///
    /// # Errors
    /// `invalid_argument` when they do not fit together; `os` when the socket cannot be reached.
    pub fn new(terminal: bool, socket: Option<&Path>, detached: bool) -> Result<Stdio> {
        match (terminal, socket, detached) {
            (true, Some(path), true) => stream_to(path).map(Stdio::Socket),
            (true, None, true) => Err(Error::invalid(
                "the process wants a terminal: --console-socket says where it is sent when nobody waits here",
            )),
            (true, None, false) => Ok(Stdio::Keep),
            (false, None, _) => Ok(Stdio::Inherit),
            (false, Some(_), _) => Err(Error::invalid("--console-socket is for a process with a terminal")),
            (true, Some(_), false) => Err(Error::invalid("--console-socket is for a process nobody waits for here")),
        }
    }

    /// The streams for the new process; none for a terminal.
    pub(super) fn streams(&self) -> Result<Vec<OwnedFd>> {
        if !matches!(self, Stdio::Inherit) {
            return Ok(Vec::new());
        }
        let copy =
            |fd: std::os::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).os(|| "copy a standard stream");
        Ok(vec![copy(rustix::stdio::stdin())?, copy(rustix::stdio::stdout())?, copy(rustix::stdio::stderr())?])
    }

    /// Passes the terminal's master on; returns it when this process keeps it.
    pub(super) fn terminal(&self, master: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        let master = master.ok_or_else(|| Error::new(Kind::Internal, "no terminal came with its note"))?;
        match self {
            Stdio::Socket(socket) => {
                sys::fd::send(socket, b"/dev/ptmx", &[master.as_fd()])
                    .map_err(|e| from_io(e, "send the terminal to the console socket"))?;
                Ok(None)
            }
            _ => Ok(Some(master)),
        }
    }
}

fn stream_to(path: &Path) -> Result<OwnedFd> {
    let what = || format!("connect to {}", path.display());
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).os(|| "socket")?;
    connect(&socket, &SocketAddrUnix::new(path).os(what)?).os(what)?;
    Ok(socket)
}

/// Hands a seccomp listener to the agent the specification names, with the state of the container.
pub(super) fn send_listener(spec: &Spec, state: &State, pid: i32, listener: Option<OwnedFd>) -> Result<()> {
    let listener = listener.ok_or_else(|| Error::new(Kind::Internal, "no listener came with its note"))?;
    let filter = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let Some((filter, path)) = filter.and_then(|filter| Some((filter, filter.listener_path().as_deref()?))) else {
        return Err(Error::invalid("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath"));
    };
    let mut state = state.clone();
    state.set_pid(Some(pid));
    let mut message = ContainerProcessState::default();
    message
        .set_version(super::VERSION.into())
        .set_fds(vec!["seccompFd".into()])
        .set_pid(pid)
        .set_metadata(Some(filter.listener_metadata().clone().unwrap_or_default()))
        .set_state(state);
    let text = serde_json::to_vec(&message).map_err(|e| Error::new(Kind::Internal, format!("state: {e}")))?;
    sys::fd::send(stream_to(path)?, &text, &[listener.as_fd()])
        .map_err(|e| from_io(e, format!("send the seccomp listener to {}", path.display())))
}
