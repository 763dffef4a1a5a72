//! One run of a container's program: its birth, what is done to it, its end.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use oci_spec::runtime::{LinuxIdMapping, Spec};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys;
use super::super::birth::{self, Birth, Child};
use super::super::cgroups::Cgroup;
use super::super::options::Share;
use super::super::record::{Status, Time};
use super::super::streams::Ending;
use super::super::wire::{Failure, Note, Report};
use super::super::{namespaces, overlay};
use super::health::Checks;
use super::insider::Surroundings;
use super::keeper::{Keeper, null, read_spec};
use super::log::Log;

/// One run of the container's program.
pub struct Run {
    pub(super) child: Child,
    pub(super) cgroup: Option<Cgroup>,
    // The last reference to the overlay.
    rootfs: OwnedFd,
    began: Instant,
    pub(super) notes_open: bool,
    pub(super) failure: Option<Failure>,
    pub(super) ended: Option<Ending>,
}

impl Keeper {
    /// Starts the program.
    pub(super) fn start(&mut self) -> Result<()> {
        let spec = self.spec.take().map_or_else(|| read_spec(&self.folder), Ok)?;
        let linux = spec.linux().as_ref();
        let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
        let path = linux.and_then(|linux| linux.cgroups_path().clone());
        self.cgroup_gone = false;
        let cgroup = path.map(|path| Cgroup::create(&path.to_string_lossy(), &resources)).transpose()?;
        match self.give_birth(&spec, cgroup.as_ref()) {
            Ok((child, rootfs)) => {
                let began = Instant::now();
                self.run = Some(Run { child, cgroup, rootfs, began, notes_open: true, failure: None, ended: None });
                Ok(())
            }
            Err(error) => {
                // The first cause is what everybody needs; a cgroup that cannot go is swept by the next start.
                let _ = cgroup.map(|cgroup| cgroup.remove());
                Err(error)
            }
        }
    }

    fn give_birth(&mut self, spec: &Spec, cgroup: Option<&Cgroup>) -> Result<(Child, OwnedFd)> {
        let overlay = self.root(spec)?;
        let rootfs = overlay.try_clone().os(|| "duplicate a descriptor")?;
        let stdio = if self.record.tty { Vec::new() } else { self.pipes()? };
        let place = (overlay, self.record.rootfs.mount_point.as_path());
        let filter = (self.seccomp.clone(), self.seccomp_flags);
        let mut child = birth::spawn(Birth::watched(spec, place, filter, stdio, cgroup)?)?;
        child.go()?;
        Ok((child, rootfs))
    }

    /// Mounts the root file system, its owners mapped where the container has users of its own.
    fn root(&self, spec: &Spec) -> Result<OwnedFd> {
        let linux = spec.linux().as_ref();
        let maps = linux.and_then(|linux| linux.uid_mappings().as_ref().zip(linux.gid_mappings().as_ref()));
        match maps {
            Some((uids, gids)) => {
                let ids = namespaces::user_with_maps(uids, gids)?;
                let of_root = |maps: &[LinuxIdMapping]| {
                    maps.iter().find(|map| map.container_id() == 0).map_or(0, LinuxIdMapping::host_id)
                };
                overlay::mount_mapped(&self.record.rootfs, ids.as_fd(), (of_root(uids), of_root(gids)))
            }
            None => overlay::mount(&self.record.rootfs),
        }
    }

    /// Makes the program's standard streams; our ends go to the relay.
    fn pipes(&mut self) -> Result<Vec<OwnedFd>> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).os(|| "pipe");
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        let (input, ours) = if self.record.interactive {
            let (reader, writer) = pipe()?;
            (reader, Some(writer))
        } else {
            (null()?, None)
        };
        self.relay.pipes(ours, out_read, err_read);
        Ok(vec![input, out_write, err_write])
    }

    pub(super) fn hear_init(&mut self) -> Result<()> {
        let Some(run) = &mut self.run else { return Ok(()) };
        match run.child.note()? {
            Some((Note::Warning(message), _)) => {
                let report = Report::Warning(message);
                let waiting: Vec<u64> =
                    self.clients.iter().filter(|client| client.awaits_start).map(|c| c.id).collect();
                waiting.into_iter().for_each(|id| self.clients.tell(id, &report, None));
            }
            Some((Note::Terminal, Some(master))) => self.relay.terminal(master),
            Some((Note::Failed(why), _)) => run.failure = Some(why),
            Some(_) => {}
            None => {
                run.notes_open = false;
                if run.failure.is_none() {
                    let pid = run.child.pid.as_raw_nonzero().get();
                    self.started(pid)?;
                }
            }
        }
        Ok(())
    }

    fn started(&mut self, pid: i32) -> Result<()> {
        (self.state.status, self.state.pid, self.state.started) = (Status::Running, pid, Some(Time::now()));
        (self.state.error, self.state.exit_code, self.state.signal, self.state.oom_killed) = (None, 0, None, false);
        self.checks = self.record.health.as_ref().map(Checks::new);
        self.state.health = self.checks.as_ref().map(|checks| checks.state.clone());
        self.write_state()?;
        self.event("start", &[]);
        self.clients.started(&Report::Started { pid });
        Ok(())
    }

    /// What of a run is over once everything of it is: init reaped, its last note heard, its output taken.
    pub(super) fn take_end(&mut self) -> Result<Option<Ending>> {
        let Some(run) = &mut self.run else { return Ok(None) };
        let Some(ending) = run.ended else { return Ok(None) };
        if run.notes_open {
            return Ok(None);
        }
        // Without process ids of its own others may have outlived init; they hold its streams.
        if let Some(cgroup) = &run.cgroup
            && !self.relay.has_ended()
        {
            cgroup.kill_all()?;
        }
        if !self.relay.is_drained() {
            return Ok(None);
        }
        let Some(run) = self.run.take() else { return Ok(None) };
        self.clean_up(run, ending)?;
        Ok(Some(ending))
    }

    /// Gives back what one run used, and writes down how it ended.
    fn clean_up(&mut self, run: Run, ending: Ending) -> Result<()> {
        let Run { child, cgroup, rootfs, began, failure, .. } = run;
        if let Some(cgroup) = &cgroup {
            // With process ids of its own the kernel has killed everybody along with init.
            if self.record.options.pid != Share::Private {
                cgroup.kill_all()?;
            }
            self.state.oom_killed = cgroup.oom_kills().unwrap_or(0) > 0;
        }
        let insiders: Vec<i32> = self.insiders.iter().map(|insider| insider.child.pid.as_raw_nonzero().get()).collect();
        for pid in insiders {
            self.insider_ended(pid)?;
        }
        drop(child);
        drop(rootfs);
        self.relay.end();
        self.accepts = true;
        self.log.iter_mut().for_each(Log::end);
        if let Some(cgroup) = cgroup {
            match cgroup.remove() {
                // Somebody from outside has moved in.
                Err(error) if error.kind() == Kind::InUse => cgroup.kill_all().and_then(|()| cgroup.remove())?,
                other => other?,
            }
            self.cgroup_gone = true;
        }
        self.checks = None;
        self.kill_at = None;
        match failure {
            Some(failure) => self.failed_to_start(&failure),
            None => {
                let state = &mut self.state;
                (state.status, state.pid, state.finished) = (Status::Exited, 0, Some(Time::now()));
                (state.exit_code, state.signal) = (ending.code, ending.signal);
                if let Some(health) = &mut self.state.health {
                    health.status = "unhealthy".into();
                }
                self.restart_at = self
                    .backoff
                    .next(self.record.restart, ending.code, self.state.stopped, began.elapsed())
                    .map(|wait| Instant::now() + wait);
            }
        }
        Ok(())
    }

    pub(super) fn failed_to_start(&mut self, failure: &Failure) {
        let error = Error::from(failure.clone());
        (self.state.status, self.state.pid) =
            (if self.state.started.is_some() { Status::Exited } else { Status::Created }, 0);
        self.state.exit_code = error.exit().map_or(128, |exit| exit.code);
        self.state.error = Some(error.message().to_string());
        // Whoever waits for the start hears of it when nothing of it is left.
        self.failed = Some(failure.clone());
    }

    /// Tells of the end of a run, once that is written down: whoever hears of it may look.
    pub(super) fn tell_end(&self, ending: Ending) {
        if self.state.oom_killed {
            self.event("oom", &[]);
        }
        self.event("die", &[("exitCode", &ending.code.to_string())]);
    }

    /// Prepares the next run, if there is to be one.
    pub(super) fn again(&mut self, ending: Ending) -> bool {
        if self.restart_at.is_none() {
            return false;
        }
        self.state.status = Status::Restarting;
        self.state.restarts += 1;
        let oom = self.state.oom_killed;
        // A disk that takes no state must not end a service that could run.
        let _ = self.write_state();
        self.tell_end(ending);
        self.clients.ended(&Report::Exited { code: ending.code, signal: ending.signal, oom });
        true
    }

    /// Kills the container's program, frozen or not.
    pub(super) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        if self.state.status == Status::Paused {
            let _ = self.resume();
        }
    }

    /// Sends a signal to the container's program. One that has ended needs none.
    pub(super) fn signal(&self, number: i32) {
        if let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) {
            let _ = sys::signal::send(&run.child.pidfd, number);
        }
    }

    /// No further start: the policy's, or the one that is waited for.
    pub(super) fn call_off_restart(&mut self) {
        self.restart_at = None;
        if self.state.status == Status::Restarting {
            self.state.status = Status::Exited;
        }
    }

    /// True while the program runs (or is frozen).
    pub(super) fn is_live(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.ended.is_none()) && self.state.status.is_live()
    }

    /// True from the birth of the first process to the start of the program.
    pub(super) fn is_being_born(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.notes_open)
    }

    /// Freezes the container's processes.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.cgroup()?.freeze()?;
        self.state.status = Status::Paused;
        self.write_state()
    }

    /// Thaws them.
    pub(super) fn resume(&mut self) -> Result<()> {
        self.cgroup()?.thaw()?;
        self.state.status = Status::Running;
        self.checks.iter_mut().for_each(Checks::postpone);
        self.write_state()
    }

    fn cgroup(&self) -> Result<&Cgroup> {
        let cgroup = self.run.as_ref().and_then(|run| run.cgroup.as_ref());
        cgroup.ok_or_else(|| Error::new(Kind::Unsupported, "the container has no control group"))
    }

    /// What an insider is started with.
    pub(super) fn surroundings(&self) -> Option<Surroundings<'_>> {
        let run = self.run.as_ref().filter(|run| run.ended.is_none())?;
        let (folder, seccomp) = (self.folder.as_path(), self.seccomp.as_slice());
        let cgroup = run.cgroup.as_ref();
        Some(Surroundings { folder, init: &run.child, cgroup, seccomp, seccomp_flags: self.seccomp_flags })
    }
}
