//! Where a container that is set up waits to be started.
//!
//! The gate is a pipe from which one byte lets the process pass. What goes wrong from then on is written to a second
//! one, whose end is closed when the program is executed. Only read and write are needed, which no filter forbids that
//! a program could run under.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::super::error::{Error, OsContext, Result};
use super::wire::Failure;

/// Waits for the byte.
///
/// # Errors
/// `interrupted` when nobody is left at the other end; `os`.
pub fn wait(gate: &OwnedFd) -> Result<()> {
    loop {
        match rustix::io::read(gate, &mut [0; 1]) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Error::interrupted()),
            other => return other.map(drop).os(|| "wait at the gate"),
        }
    }
}

/// Does the last step, and writes down why it failed.
///
/// # Errors
/// Those of `step`.
pub fn pass(report: Option<&OwnedFd>, step: impl FnOnce() -> Result<Infallible>) -> Result<Infallible> {
    step().inspect_err(|error| {
        if let Some(report) = report
            && let Ok(bytes) = serde_json::to_vec(&Failure::from(error))
        {
            // Nobody may be there to read it: the exit status tells too.
            let _ = rustix::io::write(report, &bytes);
        }
    })
}
