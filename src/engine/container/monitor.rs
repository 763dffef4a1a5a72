//! The monitor: one process a container, from before its start to after its end.
//!
//! It makes the cgroup and the overlay mount, clones init into fresh namespaces, watches both init and the engine,
//! and reports how the container ended. When the engine goes away it kills the container. It holds the lock of the
//! container's folder, so nobody sweeps that while anything of the container lives. The overlay is never mounted in
//! the host's mount namespace: killing everybody leaves no mount behind.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::super::error::{Error, OsContext, Result, from_io};
use super::super::sys;
use super::super::sys::process::Side;
use super::wire::{FD_CONTROL, FD_LOCK, FD_REQUEST, FD_SECCOMP, FD_STDIO, Failure, Note, Order, Report, Request, send};
use super::{cgroup, init, overlay};

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
    let (notes, note_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).os(|| "pipe")?;
    let (go_reader, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).os(|| "pipe")?;
    let side = sys::process::fork_into(namespaces(&request.spec)).map_err(|e| from_io(e, "create namespaces"))?;
    let (pid, pidfd) = match side {
        Side::Child => {
            drop((notes, go));
            init::run(init::Start { request, rootfs, seccomp, stdio }, control, &note_writer, go_reader)
        }
        Side::Parent(pid, pidfd) => (pid, pidfd),
    };
    drop((note_writer, go_reader, stdio));
    if let Some(cgroup) = &cgroup
        && let Err(error) = cgroup.add(pid)
    {
        // Without its go-ahead init ends by itself.
        drop(go);
        reap(&pidfd)?;
        return Err(error);
    }
    // A failed write means that init is gone already; its note or its status tells why.
    let _ = rustix::io::write(&go, b"g");
    drop(go);
    let result = watch(control, &notes, &pidfd);
    // Last reference to the overlay: the kernel takes it apart within this close, so that whoever is told next
    // finds the upper folder free.
    drop(rootfs);
    if let Some(cgroup) = cgroup {
        cgroup.remove()?;
    }
    result
}

/// Which namespaces the specification asks to create.
fn namespaces(spec: &Spec) -> u64 {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    list.into_iter().flatten().fold(0, |flags, namespace| {
        flags
            | match namespace.typ() {
                LinuxNamespaceType::Mount => libc::CLONE_NEWNS as u64,
                LinuxNamespaceType::Pid => libc::CLONE_NEWPID as u64,
                LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC as u64,
                LinuxNamespaceType::Uts => libc::CLONE_NEWUTS as u64,
                LinuxNamespaceType::Network => libc::CLONE_NEWNET as u64,
                LinuxNamespaceType::User => libc::CLONE_NEWUSER as u64,
                // Init makes its own, when it is where the namespace's root shall be.
                LinuxNamespaceType::Cgroup | LinuxNamespaceType::Time => 0,
            }
    })
}

/// Waits for the end of init; meanwhile passes on its notes and obeys the engine.
fn watch(control: &OwnedFd, notes: &OwnedFd, pidfd: &OwnedFd) -> Result<Report> {
    let mut failure = None;
    let mut text = Vec::new();
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
            notes_open = read_notes(notes, &mut text, control, &mut failure)?;
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

/// Takes what init wrote; false at the end of the pipe (it executed the program, or died).
fn read_notes(notes: &OwnedFd, text: &mut Vec<u8>, control: &OwnedFd, failure: &mut Option<Failure>) -> Result<bool> {
    let mut buffer = [0; 4096];
    let count = rustix::io::read(notes, &mut buffer).os(|| "read init's notes")?;
    text.extend_from_slice(&buffer[..count]);
    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = text.drain(..=end).collect();
        match serde_json::from_slice(&line) {
            Ok(Note::Warning(message)) => {
                let _ = send(control, &Report::Warning(message), None);
            }
            Ok(Note::Failed(why)) => *failure = Some(why),
            Err(e) => *failure = Some(Failure::from(&Error::invalid(format!("malformed note from init: {e}")))),
        }
    }
    Ok(count > 0)
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
