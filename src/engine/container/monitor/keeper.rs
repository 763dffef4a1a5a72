//! The life of a container that is kept: started, watched, served, ended, perhaps started again.
//!
//! One loop around poll(2). Nothing in it waits for anything else, but for what the kernel does at once: making and
//! removing cgroups and mounts, freezing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::store::Store;
use super::super::super::store::running::{self, RunLock};
use super::super::super::sys;
use super::super::events::{self, Event};
use super::super::record::{self, Record, State, Status, Time};
use super::super::removal;
use super::super::streams::Ending;
use super::super::wire::{Failure, Report};
use super::backoff::Backoff;
use super::health::Checks;
use super::insider::Insider;
use super::log::Log;
use super::reap;
use super::relay::{Place, Relay};
use super::run::Run;
use super::service::{self, Clients};

/// After so long without work a monitor gives its memory back.
const IDLE_SECONDS: u64 = 1;

/// What a monitor is given to look after.
pub struct Charge {
    /// The state folder.
    pub root: PathBuf,
    /// The container.
    pub id: String,
    /// Its lock.
    pub lock: OwnedFd,
    /// Where its clients connect.
    pub listener: OwnedFd,
    /// Its system call filter; empty for none.
    pub seccomp: Vec<u8>,
    /// The filter's flags.
    pub seccomp_flags: u32,
    /// Its specification, where whoever asks for the start has it at hand.
    pub spec: Option<Spec>,
}

/// The client that asked for the start.
pub struct First {
    /// Its connection.
    pub control: OwnedFd,
    /// The container is killed when it goes away without a word.
    pub bound: bool,
    /// It gets the output.
    pub attach: bool,
    /// Where it wants output and error, with input first when there are three.
    pub stdio: Vec<OwnedFd>,
}

/// A monitor's whole state.
pub struct Keeper {
    pub(super) root: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) record: Record,
    pub(super) state: State,
    pub(super) seccomp: Vec<u8>,
    pub(super) seccomp_flags: u32,
    // For the first start only: the next ones read what is there then.
    pub(super) spec: Option<Spec>,
    pub(super) clients: Clients,
    pub(super) relay: Relay,
    pub(super) insiders: Vec<Insider>,
    pub(super) checks: Option<Checks>,
    pub(super) kill_at: Option<Instant>,
    lock: Option<RunLock>,
    listener: OwnedFd,
    pub(super) log: Option<Log>,
    pub(super) run: Option<Run>,
    // The last run's control group was removed.
    pub(super) cgroup_gone: bool,
    pub(super) restart_at: Option<Instant>,
    pub(super) backoff: Backoff,
    // Why the program did not start.
    pub(super) failed: Option<Failure>,
    // Whether there are descriptors for more clients.
    pub(super) accepts: bool,
}

/// What one turn of `poll` found.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Client(u64),
    Stream(Place),
    Init,
    InitNote,
    Insider(i32),
    InsiderNote(i32),
    Check,
}

/// Looks after a container until it has ended for good.
pub fn run(charge: Charge, first: First) {
    let control = first.control.try_clone();
    if let Err(error) = Keeper::begin(charge, first).and_then(Keeper::live)
        && let Ok(control) = control
    {
        // Nothing is left to serve; whoever asked for the start should know why.
        let _ = super::super::wire::send(&control, &Report::Failed(Failure::from(&error)), None);
    }
}

/// Reads a container's specification.
///
/// # Errors
/// `integrity` when it is damaged; `os`.
pub fn read_spec(folder: &Path) -> Result<Spec> {
    let path = folder.join("config.json");
    let text = std::fs::read(&path).os(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| Error::integrity(format!("{}: {e}", path.display())))
}

impl Keeper {
    fn begin(charge: Charge, first: First) -> Result<Keeper> {
        let Charge { root, id, lock, listener, seccomp, seccomp_flags, spec } = charge;
        let folder = record::folder(&root, &id);
        let lock = Some(RunLock::from_parts(lock.into(), running::path(&root, &id)));
        let record =
            record::read_record(&folder)?.ok_or_else(|| Error::not_found(format!("no such container: {id}")))?;
        let before = record::read_state(&folder)?;
        let state = State {
            monitor: rustix::process::getpid().as_raw_nonzero().get(),
            boot: record::boot_id(),
            started: before.started,
            finished: before.finished,
            ..State::default()
        };
        let log = record.log.keep.then(|| Log::open(&folder.join("container.log"), &record.log)).transpose()?;
        let mut keeper = Keeper {
            clients: Clients::default(),
            relay: Relay::default(),
            insiders: Vec::new(),
            checks: None,
            kill_at: None,
            run: None,
            cgroup_gone: false,
            restart_at: None,
            backoff: Backoff::default(),
            failed: None,
            accepts: true,
            root,
            folder,
            record,
            state,
            seccomp,
            seccomp_flags,
            spec,
            lock,
            listener,
            log,
        };
        let bound = first.bound;
        let id = keeper.clients.add(first.control, bound, true);
        keeper.relay.set_input_once(bound);
        if first.attach {
            keeper.attach(id, true, first.stdio)?;
        }
        Ok(keeper)
    }

    /// Adds a client's descriptors: output and error, with input before them when there are three.
    pub(super) fn attach(&mut self, client: u64, owner: bool, mut fds: Vec<OwnedFd>) -> Result<()> {
        let input = if fds.len() > 2 { Some(fds.remove(0)) } else { None };
        let [output, error] = <[OwnedFd; 2]>::try_from(fds)
            .map_err(|list| Error::invalid(format!("{} descriptors to attach to", list.len())))?;
        self.relay.attach(client, owner, input.filter(|_| self.record.interactive), output, error);
        Ok(())
    }

    fn live(mut self) -> Result<()> {
        if let Err(error) = self.start() {
            self.failed_to_start(&Failure::from(&error));
            return self.finish(None);
        }
        match self.watch() {
            Ok(ending) => self.finish(ending),
            Err(error) => {
                self.give_up(&error);
                Err(error)
            }
        }
    }

    /// Serves everybody until the container has ended for good; how its program ended, if it did so just now.
    fn watch(&mut self) -> Result<Option<Ending>> {
        loop {
            for source in self.wait()? {
                self.serve(source)?;
            }
            self.watch_clock();
            if let Some(ending) = self.take_end()?
                && !self.again(ending)
            {
                return Ok(Some(ending));
            }
            if self.run.is_none() && self.restart_at.is_none() {
                // Stopped while it waited for its next start.
                return Ok(None);
            }
        }
    }

    /// The monitor itself cannot go on (a full disk when the state is to be written, a kernel without memory): the
    /// container is killed, and nothing of it is left running.
    fn give_up(&mut self, error: &Error) {
        if let Some(run) = self.run.take() {
            run.child.abort();
            // What cannot be removed now is swept by the next start.
            let _ = run.cgroup.map(|cgroup| cgroup.kill_all().and_then(|()| cgroup.remove()));
        }
        let state = &mut self.state;
        (state.status, state.pid, state.monitor) = (Status::Exited, 0, 0);
        (state.exit_code, state.signal) = (128 + libc::SIGKILL, Some(libc::SIGKILL));
        (state.finished, state.error) = (Some(Time::now()), Some(error.message().to_string()));
        // The first cause is what everybody needs to hear, whatever else fails now.
        let _ = match self.record.auto_remove {
            true => removal::remove_folder(&Store::attach(&self.root), &self.record, true),
            false => self.write_state(),
        };
        let _ = std::fs::remove_file(self.folder.join("control"));
        let failed = Report::Failed(Failure::from(error));
        self.clients.started(&failed);
        drop(self.lock.take());
        self.clients.ended(&failed);
    }

    fn wait(&self) -> Result<Vec<Source>> {
        let mut list: Vec<(Source, BorrowedFd<'_>, PollFlags)> = Vec::new();
        if self.accepts {
            list.push((Source::Listener, self.listener.as_fd(), PollFlags::IN));
        }
        list.extend(self.clients.iter().map(|client| (Source::Client(client.id), client.conn.as_fd(), PollFlags::IN)));
        list.extend(self.relay.places().into_iter().map(|(place, fd, flags)| (Source::Stream(place), fd, flags)));
        if let Some(run) = &self.run {
            if run.ended.is_none() {
                list.push((Source::Init, run.child.pidfd.as_fd(), PollFlags::IN));
            }
            if run.notes_open {
                list.push((Source::InitNote, run.child.notes.as_fd(), PollFlags::IN));
            }
        }
        for insider in &self.insiders {
            let pid = insider.child.pid.as_raw_nonzero().get();
            if insider.notes_open {
                list.push((Source::InsiderNote(pid), insider.child.notes.as_fd(), PollFlags::IN));
            } else {
                list.push((Source::Insider(pid), insider.child.pidfd.as_fd(), PollFlags::IN));
            }
        }
        let output = self.checks.as_ref().and_then(Checks::output);
        list.extend(output.map(|fd| (Source::Check, fd.as_fd(), PollFlags::IN)));
        let mut fds: Vec<PollFd<'_>> =
            list.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let left = self.due().map(|at| at.saturating_duration_since(Instant::now()));
        // Rounded up, so that what is due is due when poll comes back.
        let left = left.map(|left| left + Duration::from_millis(1));
        let idle = Duration::from_secs(IDLE_SECONDS);
        let first = left.map_or(idle, |left| left.min(idle));
        let first = Timespec { tv_sec: first.as_secs() as i64, tv_nsec: first.subsec_nanos().into() };
        match poll(&mut fds, Some(&first)) {
            Ok(0) if left.is_none_or(|left| left > idle) => {
                if let Err(e) = sys::memory::rest(&mut fds, sys::memory::program(), left.map(|left| left - idle))
                    && e.kind() != std::io::ErrorKind::Interrupted
                {
                    return Err(e).os(|| "poll");
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).os(|| "poll"),
        }
        Ok(list.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|((source, ..), _)| *source).collect())
    }

    fn due(&self) -> Option<Instant> {
        let check = self.checks.as_ref().filter(|_| self.state.status == Status::Running).and_then(Checks::due);
        [self.kill_at, self.restart_at, check, self.relay.due()].into_iter().flatten().min()
    }

    fn serve(&mut self, source: Source) -> Result<()> {
        match source {
            Source::Listener => {
                match service::accept(&self.listener) {
                    Ok(Some(conn)) => drop(self.clients.add(conn, false, false)),
                    Ok(None) => {}
                    // Without descriptors to spare the next ones wait until somebody leaves.
                    Err(_) => self.accepts = false,
                }
            }
            Source::Client(id) => self.hear(id),
            Source::Stream(place) => self.relay.serve(place, self.log.as_mut()),
            Source::Init => {
                if let Some(run) = &mut self.run {
                    run.ended = Some(reap(&run.child.pidfd)?);
                }
            }
            Source::InitNote => self.hear_init()?,
            Source::InsiderNote(pid) => self.hear_insider(pid)?,
            Source::Insider(pid) => self.insider_ended(pid)?,
            Source::Check => self.checks.iter_mut().for_each(Checks::take_output),
        }
        Ok(())
    }

    /// Does what is due.
    fn watch_clock(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            self.kill();
        }
        if self.restart_at.is_some_and(|at| now >= at) {
            self.restart_at = None;
            if let Err(error) = self.start() {
                self.failed_to_start(&Failure::from(&error));
            }
        }
        for client in self.relay.let_go(now) {
            let error = Error::new(Kind::Timeout, "this client did not take the container's output and was let go");
            self.clients.tell(client, &Report::Refused(Failure::from(&error)), None);
        }
        if self.state.status == Status::Running {
            self.check_health();
        }
    }

    /// The container has ended for good.
    fn finish(mut self, ending: Option<Ending>) -> Result<()> {
        self.relay.end();
        self.state.monitor = 0;
        let removed = if self.record.auto_remove {
            let store = Store::attach(&self.root);
            match self.cgroup_gone {
                true => removal::remove_folder_alone(&store, &self.record, true),
                false => removal::remove_folder(&store, &self.record, true),
            }
        } else {
            let _ = std::fs::remove_file(self.folder.join("control"));
            self.write_state()
        };
        if let (Some(ending), None) = (ending, &self.failed) {
            self.tell_end(ending);
        }
        if self.record.auto_remove && removed.is_ok() {
            self.event("destroy", &[]);
        }
        // The lock is free before anybody hears of the end: whoever does may start it again at once.
        drop(self.lock.take());
        let report = match (self.failed.take(), &removed, ending) {
            (Some(failure), ..) => Report::Failed(failure),
            (None, Err(error), _) => Report::Failed(Failure::from(error)),
            (None, Ok(()), Some(ending)) => {
                Report::Exited { code: ending.code, signal: ending.signal, oom: self.state.oom_killed }
            }
            (None, Ok(()), None) => {
                Report::Exited { code: self.state.exit_code, signal: self.state.signal, oom: false }
            }
        };
        self.clients.ended(&report);
        Ok(())
    }

    /// Replaces `state.json`.
    pub(super) fn write_state(&self) -> Result<()> {
        record::write_state(&self.folder, &self.state)
    }

    /// Writes an event down; one that cannot be written is lost, the container matters more.
    pub(super) fn event(&self, action: &str, attributes: &[(&str, &str)]) {
        let _ = events::write(&self.root, &Event::of(action, &self.record, attributes));
    }
}

/// `/dev/null`, for reading and writing.
pub fn null() -> Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).os(|| "open /dev/null")
}
