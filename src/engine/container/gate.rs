//! Where a container that is set up waits to be started.
//!
//! The gate is a descriptor from which one byte lets the process pass: a pipe, or a listening socket. From a socket a
//! connection is accepted; whoever started the container hears there why its program could not be executed, and
//! hears the connection end when it was.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::super::error::{Error, OsContext, Result};
use super::super::sys;
use super::wire::Failure;

/// A gate that has opened.
pub struct Open(Option<OwnedFd>);

/// Waits for the byte.
///
/// # Errors
/// `interrupted` when the other side of a pipe is gone; `os`.
pub fn wait(gate: OwnedFd) -> Result<Open> {
    if !rustix::net::sockopt::socket_acceptconn(&gate).unwrap_or(false) {
        return match read_byte(&gate).os(|| "wait at the gate")? {
            0 => Err(Error::interrupted()),
            _ => Ok(Open(None)),
        };
    }
    loop {
        let caller = match accept_with(&gate, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            other => other.os(|| "wait at the gate")?,
        };
        // Somebody who connects and goes away has started nothing.
        if read_byte(&caller).is_ok_and(|count| count == 1) {
            return Ok(Open(Some(caller)));
        }
    }
}

fn read_byte(fd: &OwnedFd) -> rustix::io::Result<usize> {
    loop {
        match rustix::io::read(fd, &mut [0; 1]) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl Open {
    /// Does the last step, and tells whoever opened the gate if it fails.
    ///
    /// # Errors
    /// Those of `step`.
    pub fn pass(self, step: impl FnOnce() -> Result<Infallible>) -> Result<Infallible> {
        step().inspect_err(|error| {
            if let Some(caller) = &self.0
                && let Ok(bytes) = serde_json::to_vec(&Failure::from(error))
            {
                // Gone meanwhile: the exit status tells too.
                let _ = sys::fd::send(caller, &bytes, &[]);
            }
        })
    }
}
