//! The monitor: one process a container, from before its start to after its end.
//!
//! It makes the cgroup and the overlay mount, lets init be born, holds the container's streams and its log, serves
//! whoever connects, and reports how the container ended. It holds the container's lock, so nobody sweeps what is the
//! container's while anything of it lives. The overlay is never mounted in the host's mount namespace: killing
//! everybody leaves no mount behind.

mod backoff;
mod given;
mod health;
mod insider;
mod keeper;
mod log;
mod orders;
mod passing;
mod relay;
mod run;
mod service;

pub use keeper::{null, read_spec};
pub use service::{address, listen_in};

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::super::error::{Error, Kind, OsContext, Result};
use super::super::sys;
use super::streams::Ending;
use super::wire::{FD_CONTROL, FD_LOCK, FD_REQUEST, FD_SECCOMP, FD_STDIO, Failure, Report, Request, send};

/// What came with a request, by its roles.
struct Parts {
    control: OwnedFd,
    lock: OwnedFd,
    seccomp: Vec<u8>,
    stdio: Vec<OwnedFd>,
}

/// Runs one container to its end; returns the monitor's own exit status.
pub fn run(fds: Vec<OwnedFd>) -> i32 {
    sys::process::wait_for_children();
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"moonshell-mon");
    let (request, parts) = match receive(fds) {
        Ok(parts) => parts,
        Err(_) => return 1,
    };
    match request {
        Request::Passing { spec, rootfs, cgroup, given } => {
            let (control, mut stdio) = (parts.control, parts.stdio);
            let tty = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
            let mut more = stdio.split_off(if tty { 0 } else { 3.min(stdio.len()) });
            let mounts = given::make(&given, &mut more, &rootfs.mount_point);
            let outcome = mounts.and_then(|mounts| {
                passing::supervise(*spec, &rootfs, cgroup, &control, parts.seccomp, passing::Ends { stdio, mounts })
            });
            let report = outcome.unwrap_or_else(|error| Report::Failed(Failure::from(&error)));
            // Held only for its lock, until here.
            drop((parts.lock, more));
            // The engine may be gone; then there is nobody to tell.
            let _ = send(&control, &report, None);
        }
        Request::Kept { root, id, bound, attach, seccomp_flags, spec } => {
            let Parts { control, lock, seccomp, mut stdio } = parts;
            if stdio.is_empty() {
                return 1;
            }
            let listener = stdio.remove(0);
            let first = keeper::First { control, bound, attach, stdio };
            let spec = spec.map(|spec| *spec);
            keeper::run(keeper::Charge { root, id, lock, listener, seccomp, seccomp_flags, spec }, first);
        }
    }
    0
}

fn receive(fds: Vec<OwnedFd>) -> Result<(Request, Parts)> {
    let mut slots: Vec<Option<OwnedFd>> = fds.into_iter().map(Some).collect();
    let mut take = |at: usize| {
        slots.get_mut(at).and_then(Option::take).ok_or_else(|| Error::invalid(format!("request lacks descriptor {at}")))
    };
    let request = serde_json::from_slice(&read_all(take(FD_REQUEST)?)?)
        .map_err(|e| Error::invalid(format!("malformed request: {e}")))?;
    let control = take(FD_CONTROL)?;
    let lock = take(FD_LOCK)?;
    let seccomp = read_all(take(FD_SECCOMP)?)?;
    let stdio = slots.drain(FD_STDIO.min(slots.len())..).flatten().collect();
    Ok((request, Parts { control, lock, seccomp, stdio }))
}

/// Reads a shared memory file from its start, whatever its position.
fn read_all(fd: OwnedFd) -> Result<Vec<u8>> {
    let size = rustix::fs::fstat(&fd).os(|| "stat a memory file")?.st_size as usize;
    let mut content = vec![0; size];
    let mut done = 0;
    while done < size {
        match rustix::io::pread(&fd, &mut content[done..], done as u64).os(|| "read a memory file")? {
            0 => break,
            count => done += count,
        }
    }
    content.truncate(done);
    Ok(content)
}

/// Waits for the end of a child.
fn reap(pidfd: &OwnedFd) -> Result<Ending> {
    let status = loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.os(|| "wait for a process")?,
        }
    };
    let status = status.ok_or_else(|| Error::new(Kind::Internal, "a process ended without a status"))?;
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending { code, signal: None },
        (None, Some(signal)) => Ending { code: 128 + signal, signal: Some(signal) },
        (None, None) => Ending { code: 255, signal: None },
    })
}
