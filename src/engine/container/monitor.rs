//! The monitor: one process a container, from before its start to after its end.
//!
//! It makes the cgroup and the overlay mount, clones init into fresh namespaces, watches both init and the engine,
//! and reports how the container ended. When the engine goes away it kills the container. It holds the lock of the
//! container's folder, so nobody sweeps that while anything of the container lives. The overlay is never mounted in
//! the host's mount namespace: killing everybody leaves no mount behind.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::super::error::{Error, OsContext, Result};
use super::super::sys;
use super::birth::{self, Birth, Child, Oci};
use super::wire::{FD_CONTROL, FD_LOCK, FD_REQUEST, FD_SECCOMP, FD_STDIO, Failure, Note, Order, Report, Request, send};
use super::{cgroup, overlay};

/// The descriptors of one request, by their roles.
struct Descriptors {
    control: OwnedFd,
    // Held only for its lock.
    _lock: OwnedFd,
    seccomp: Vec<u8>,
    stdio: Vec<OwnedFd>,
}

/// Runs one container to its end; returns the monitor's own exit status.
pub fn run(fds: Vec<OwnedFd>) -> i32 {
    sys::process::wait_for_children();
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"moonshell-mon");
    let (request, descriptors) = match receive(fds) {
        Ok(parts) => parts,
        Err(_) => return 1,
    };
    let control = descriptors.control;
    let outcome = supervise(request, &control, descriptors.seccomp, descriptors.stdio);
    let report = outcome.unwrap_or_else(|error| Report::Failed(Failure::from(&error)));
    // The engine may be gone; then there is nobody to tell.
    let _ = send(&control, &report, None);
    0
}

fn receive(fds: Vec<OwnedFd>) -> Result<(Request, Descriptors)> {
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
    Ok((request, Descriptors { control, _lock: lock, seccomp, stdio }))
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

fn supervise(request: Request, control: &OwnedFd, seccomp: Vec<u8>, stdio: Vec<OwnedFd>) -> Result<Report> {
    let cgroup = request.cgroup.as_ref().map(cgroup::Cgroup::create).transpose()?;
    let rootfs = overlay::mount(&request.rootfs)?;
    let mut child = birth::spawn(Birth {
        spec: &request.spec,
        rootfs: rootfs.try_clone().os(|| "copy a descriptor")?,
        mount_point: &request.rootfs.mount_point,
        seccomp,
        seccomp_flags: 0,
        stdio,
        cgroup: Vec::new(),
        cgroup_v2: None,
        bound: true,
        preserve_fds: 0,
        gate: None,
        oci: Oci::default(),
    })?;
    if let Some(cgroup) = &cgroup
        && let Err(error) = cgroup.add(child.pid)
    {
        child.abort();
        return Err(error);
    }
    child.go()?;
    let result = watch(control, &child);
    // Last reference to the overlay: the kernel takes it apart within this close, so that whoever is told next
    // finds the upper folder free.
    drop(rootfs);
    if let Some(cgroup) = cgroup {
        cgroup.remove()?;
    }
    result
}

/// Waits for the end of init; meanwhile passes on its notes and obeys the engine.
fn watch(control: &OwnedFd, child: &Child) -> Result<Report> {
    let (notes, pidfd) = (&child.notes, &child.pidfd);
    let mut failure = None;
    let (mut notes_open, mut engine_here) = (true, true);
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        if engine_here {
            fds.push(PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN));
        }
        if notes_open {
            fds.push(PollFd::from_borrowed_fd(notes.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.os(|| "poll")?,
        };
        let (ended, ordered) = (!fds[0].revents().is_empty(), engine_here && !fds[1].revents().is_empty());
        let noted = notes_open && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        if noted {
            notes_open = read_note(child, control, &mut failure)?;
        }
        if ordered {
            engine_here = obey(control, pidfd);
        }
        // Notes first: init writes its note before it ends.
        if ended && (!noted || !notes_open) {
            let report = reap(pidfd)?;
            return Ok(failure.map_or(report, Report::Failed));
        }
    }
}

/// Takes one note of init's; false at their end (it executed the program, or died).
fn read_note(child: &Child, control: &OwnedFd, failure: &mut Option<Failure>) -> Result<bool> {
    let (report, fd) = match child.note()? {
        None => return Ok(false),
        Some((Note::Warning(message), _)) => (Report::Warning(message), None),
        Some((Note::Terminal, fd)) => (Report::Terminal, fd),
        Some((Note::Failed(why), _)) => {
            *failure = Some(why);
            return Ok(true);
        }
        Some((Note::Ready | Note::Mounted | Note::Listener, _)) => return Ok(true),
    };
    // The engine may be gone, which the next turn of the loop finds.
    let _ = send(control, &report, fd.as_ref());
    Ok(true)
}

/// Obeys one order; false when the engine is gone, after killing the container.
fn obey(control: &OwnedFd, pidfd: &OwnedFd) -> bool {
    let signal = match sys::fd::receive(control, 4096) {
        Ok((bytes, _)) if !bytes.is_empty() => match serde_json::from_slice(&bytes) {
            Ok(Order::Signal(number)) => Signal::from_named_raw(number),
            Err(_) => None,
        },
        _ => {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
            return false;
        }
    };
    if let Some(signal) = signal {
        // It may have ended meanwhile, which the next turn of the loop finds.
        let _ = pidfd_send_signal(pidfd, signal);
    }
    true
}

fn reap(pidfd: &OwnedFd) -> Result<Report> {
    let status = loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.os(|| "wait for init")?,
        }
    };
    let status =
        status.ok_or_else(|| Error::new(super::super::error::Kind::Internal, "init ended without a status"))?;
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited { code, signal: None },
        (None, Some(signal)) => Report::Exited { code: 128 + signal, signal: Some(signal) },
        (None, None) => Report::Exited { code: 255, signal: None },
    })
}
