//! Containers that exist only for their creator: a build's steps. No record, no log, no socket; the creator's own pipes
//! are the program's streams, and when the creator goes away the container is killed.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::super::super::error::{OsContext, Result};
use super::super::super::sys;
use super::super::birth::{self, Birth, Child};
use super::super::cgroups::Cgroup;
use super::super::overlay;
use super::super::wire::{Failure, Note, Order, Report, Rootfs, send};
use super::reap;

/// What else it is born with.
pub struct Ends {
    /// Its standard streams; none with a terminal.
    pub stdio: Vec<OwnedFd>,
    /// Mounts that no path leads to.
    pub mounts: Vec<OwnedFd>,
}

/// Runs one from birth to end.
pub fn supervise(
    spec: Spec,
    rootfs: &Rootfs,
    cgroup: Option<String>,
    control: &OwnedFd,
    seccomp: Vec<u8>,
    ends: Ends,
) -> Result<Report> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).unwrap_or_default();
    let cgroup = cgroup.map(|path| Cgroup::create(&path, &resources)).transpose()?;
    let result = live(&spec, rootfs, cgroup.as_ref(), control, seccomp, ends);
    match cgroup {
        Some(cgroup) => cgroup.remove().and(result),
        None => result,
    }
}

fn live(
    spec: &Spec,
    rootfs: &Rootfs,
    cgroup: Option<&Cgroup>,
    control: &OwnedFd,
    seccomp: Vec<u8>,
    ends: Ends,
) -> Result<Report> {
    let overlay = overlay::mount(rootfs)?;
    // The last reference to the overlay: the kernel takes it apart within this one's close, so that whoever is told
    // next finds the upper folder free.
    let copy = |fd: &OwnedFd| fd.try_clone().os(|| "duplicate a descriptor");
    let _held = (copy(&overlay)?, ends.mounts.iter().map(copy).collect::<Result<Vec<_>>>()?);
    let joining = cgroup.map(Cgroup::join).transpose()?.unwrap_or_default();
    let birth = Birth {
        spec,
        rootfs: overlay,
        mount_point: &rootfs.mount_point,
        seccomp,
        seccomp_flags: 0,
        stdio: ends.stdio,
        cgroup: joining.v1,
        cgroup_v2: joining.v2,
        bound: true,
        preserve_fds: 0,
        given: ends.mounts,
        gate: None,
        oci: birth::Oci::default(),
    };
    let mut child = birth::spawn(birth)?;
    child.go()?;
    watch(control, &child)
}

/// Waits for the end of init; meanwhile passes on its notes and obeys the engine.
fn watch(control: &OwnedFd, child: &Child) -> Result<Report> {
    let mut failure: Option<Failure> = None;
    let (mut notes_open, mut engine_here) = (true, true);
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(child.pidfd.as_fd(), PollFlags::IN)];
        if engine_here {
            fds.push(PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN));
        }
        if notes_open {
            fds.push(PollFd::from_borrowed_fd(child.notes.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.os(|| "poll")?,
        };
        let (ended, ordered) = (!fds[0].revents().is_empty(), engine_here && !fds[1].revents().is_empty());
        let noted = notes_open && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        if noted {
            match child.note()? {
                Some((Note::Warning(message), _)) => drop(send(control, &Report::Warning(message), None)),
                Some((Note::Terminal, master)) => drop(send(control, &Report::Terminal, master.as_ref())),
                Some((Note::Failed(why), _)) => failure = Some(why),
                Some((Note::Ready | Note::Mounted | Note::Listener, _)) => {}
                None => notes_open = false,
            }
        }
        if ordered {
            engine_here = obey(control, &child.pidfd);
        }
        // Notes first: init writes its note before it ends.
        if ended && (!noted || !notes_open) {
            let ending = reap(&child.pidfd)?;
            let exited = Report::Exited { code: ending.code, signal: ending.signal, oom: false };
            return Ok(failure.map_or(exited, Report::Failed));
        }
    }
}

/// Obeys one order; false when the engine is gone, after killing the container.
fn obey(control: &OwnedFd, pidfd: &OwnedFd) -> bool {
    let signal = match sys::fd::receive(control, 4096) {
        Ok((bytes, _)) if !bytes.is_empty() => match serde_json::from_slice(&bytes) {
            Ok(Order::Signal(number)) => Signal::from_named_raw(number),
            _ => None,
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
