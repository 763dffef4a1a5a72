//! A connection to a container's monitor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::monitor::address;
use super::streams::Ending;
use super::wire::{Order, Report};

/// One connection.
pub struct Client {
    conn: OwnedFd,
}

/// What a monitor said last.
#[derive(Debug)]
pub enum Answer {
    /// It did what was asked.
    Done,
    /// The program runs.
    Started(i32),
    /// The program ended.
    Ended(Ending),
    /// Nothing: it is gone. Either the container ended a moment ago, or its monitor was killed.
    Gone,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.conn.as_fd()
    }
}

impl Client {
    /// Connects to the monitor of the container in `folder`; `None` when there is none.
    ///
    /// # Errors
    /// `os`.
    pub fn connect(folder: &Path) -> Result<Option<Client>> {
        let dir = match File::open(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.os(|| format!("open {}", folder.display()))?,
        };
        let conn =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).os(|| "socket")?;
        match connect(&conn, &address(&dir.into())?) {
            Ok(()) => Ok(Some(Client { conn })),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
            Err(e) => Err(e).os(|| "connect to the container's monitor"),
        }
    }

    /// Takes an open connection.
    pub fn new(conn: OwnedFd) -> Client {
        Client { conn }
    }

    /// The connection.
    pub fn into_fd(self) -> OwnedFd {
        self.conn
    }

    /// Sends an order. That the monitor is gone is found out by the answer.
    ///
    /// # Errors
    /// `os`.
    pub fn order(&self, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let bytes = serde_json::to_vec(order).map_err(|e| Error::new(Kind::Internal, format!("an order: {e}")))?;
        match sys::fd::send(&self.conn, &bytes, fds) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
            other => other.map_err(|e| from_io(e, "tell the container's monitor")),
        }
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// What the monitor could not do; `interrupted`, `os`.
    pub fn answer(&self, cancel: &Cancel, warn: &dyn Fn(String)) -> Result<Answer> {
        loop {
            let mut fds =
                [PollFd::new(&self.conn, PollFlags::IN), PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if fds[0].revents().is_empty() => cancel.check()?,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e).os(|| "poll"),
            }
            if fds[0].revents().is_empty() {
                continue;
            }
            let (bytes, _) = match sys::fd::receive(self.conn.as_fd(), 64 << 10) {
                Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => return Ok(Answer::Gone),
                other => other.map_err(|e| from_io(e, "hear from the container's monitor"))?,
            };
            if bytes.is_empty() {
                return Ok(Answer::Gone);
            }
            let report: Report = serde_json::from_slice(&bytes)
                .map_err(|e| Error::new(Kind::Internal, format!("malformed report from the monitor: {e}")))?;
            match report {
                Report::Warning(message) => warn(message),
                Report::Terminal => {}
                Report::Started { pid } => return Ok(Answer::Started(pid)),
                Report::Done => return Ok(Answer::Done),
                Report::Failed(failure) | Report::Refused(failure) => return Err(failure.into()),
                Report::Exited { code, signal, .. } => return Ok(Answer::Ended(Ending { code, signal })),
            }
        }
    }
}
