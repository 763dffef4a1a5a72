//! Obeying clients: signals, stopping, freezing, attaching, programs run inside, health checks.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use oci_spec::runtime::Process;
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys;
use super::super::record::{self, Status};
use super::super::wire::{Failure, Note, Order, Report};
use super::insider::{Insider, Surroundings};
use super::keeper::{self, Keeper};
use super::{read_all, reap};

impl Keeper {
    /// Takes one order of a client.
    pub(super) fn hear(&mut self, id: u64) {
        let Some((order, fds)) = self.clients.receive(id) else { return self.client_gone(id) };
        let Some(order) = order else {
            let refused = Error::invalid("an order this monitor does not understand");
            return self.clients.tell(id, &Report::Refused(Failure::from(&refused)), None);
        };
        match self.obey(id, order, fds) {
            Ok(true) => self.clients.tell(id, &Report::Done, None),
            Ok(false) => {}
            Err(error) => self.clients.tell(id, &Report::Refused(Failure::from(&error)), None),
        }
    }

    /// A connection ended. Whoever owned the container takes it along; a program it ran inside goes on.
    fn client_gone(&mut self, id: u64) {
        self.accepts = true;
        self.relay.detach(id);
        if self.clients.remove(id).is_some_and(|client| client.bound) {
            self.state.stopped = true;
            self.call_off_restart();
            self.kill();
        }
        self.insiders.iter_mut().filter(|insider| insider.client == Some(id)).for_each(|insider| insider.client = None);
    }

    /// Does what is asked; true when the client is to be told so.
    fn obey(&mut self, id: u64, order: Order, fds: Vec<OwnedFd>) -> Result<bool> {
        match order {
            Order::Signal(number) => return self.pass_signal(id, number),
            Order::Stop { signal, timeout } => return self.stop(signal, timeout),
            Order::Attach { input } => {
                if fds.len() != if input { 3 } else { 2 } {
                    return Err(Error::invalid("descriptors to attach to are missing"));
                }
                self.attach(id, false, fds)?;
                self.event("attach", &[]);
            }
            Order::Resize { rows, columns } => {
                self.relay.resize(rows, columns);
                return Ok(false);
            }
            Order::Detach => {
                self.relay.detach(id);
                if let Some(client) = self.clients.get_mut(id) {
                    client.bound = false;
                }
                self.event("detach", &[]);
            }
            Order::Exec { privileged } => {
                self.exec(id, privileged, fds)?;
                return Ok(false);
            }
            Order::Await => {
                if self.is_being_born() {
                    self.clients.get_mut(id).into_iter().for_each(|client| client.awaits_start = true);
                    return Ok(false);
                }
            }
            Order::Pause => {
                self.must_run("pause")?;
                if self.state.status == Status::Paused {
                    return Err(Error::new(Kind::InUse, "the container is paused already"));
                }
                self.pause()?;
                self.event("pause", &[]);
            }
            Order::Resume => {
                if self.state.status != Status::Paused {
                    return Err(Error::new(Kind::InvalidArgument, "the container is not paused"));
                }
                self.resume()?;
                self.event("unpause", &[]);
            }
            Order::Reload => {
                if let Some(record) = record::read_record(&self.folder)? {
                    self.record = record;
                }
            }
        }
        Ok(true)
    }

    fn must_run(&self, what: &str) -> Result<()> {
        if self.is_live() {
            return Ok(());
        }
        let message = format!("cannot {what} a container that is {}", self.state.status.name());
        Err(Error::new(Kind::InvalidArgument, message))
    }

    /// To the program a connection runs inside, or to the container's.
    fn pass_signal(&mut self, id: u64, number: i32) -> Result<bool> {
        if let Some(insider) = self.insiders.iter().find(|insider| insider.client == Some(id)) {
            // It may have ended: the client is about to hear so.
            let _ = sys::signal::send(&insider.child.pidfd, number);
            return Ok(false);
        }
        self.must_run("signal")?;
        self.event("kill", &[("signal", &number.to_string())]);
        if number == libc::SIGKILL {
            // As somebody asked for its end, no policy starts it again.
            self.state.stopped = true;
            self.kill();
        } else {
            self.signal(number);
        }
        Ok(true)
    }

    /// Asks the program to end. The client hears of the end itself.
    fn stop(&mut self, signal: Option<i32>, timeout: Option<u64>) -> Result<bool> {
        self.state.stopped = true;
        self.call_off_restart();
        if self.is_live() {
            self.signal(signal.unwrap_or(self.record.stop_signal));
            if self.state.status == Status::Paused {
                self.resume()?;
            }
            let wait = timeout.unwrap_or(self.record.stop_timeout.saturating_mul(1000));
            // Beyond what the clock can say is for ever.
            let at = Instant::now().checked_add(Duration::from_millis(wait)).filter(|_| wait != u64::MAX);
            self.kill_at = [self.kill_at, at].into_iter().flatten().min();
        } else {
            // Its program has not begun: there is nothing to be asked.
            self.kill();
        }
        Ok(false)
    }

    /// Starts a program inside for a client.
    fn exec(&mut self, id: u64, privileged: bool, fds: Vec<OwnedFd>) -> Result<()> {
        self.must_run("run a program in")?;
        if self.state.status == Status::Paused {
            return Err(Error::new(Kind::InUse, "the container is paused: unpause it first"));
        }
        let mut fds = fds.into_iter();
        let memory = fds.next().ok_or_else(|| Error::invalid("no process came with the order"))?;
        let process: Process = serde_json::from_slice(&read_all(memory)?)
            .map_err(|e| Error::invalid(format!("malformed process: {e}")))?;
        let at =
            self.surroundings().ok_or_else(|| Error::new(Kind::InvalidArgument, "the container is not running"))?;
        let at = Surroundings { seccomp: if privileged { &[] } else { at.seccomp }, ..at };
        let insider = Insider::start(&at, &process, fds.collect(), Some(id), false)?;
        if let Some(client) = self.clients.get_mut(id) {
            client.runs = Some(insider.child.pid.as_raw_nonzero().get());
        }
        self.insiders.push(insider);
        self.event("exec_start", &[]);
        Ok(())
    }

    /// Takes a note of a program that is being started inside.
    pub(super) fn hear_insider(&mut self, pid: i32) -> Result<()> {
        let Some(insider) = self.insiders.iter_mut().find(|other| other.child.pid.as_raw_nonzero().get() == pid) else {
            return Ok(());
        };
        let report = match insider.note()? {
            Some((Note::Warning(message), _)) => (Report::Warning(message), None),
            Some((Note::Terminal, Some(master))) => (Report::Terminal, Some(master)),
            Some(_) => return Ok(()),
            None if insider.failure.is_none() => (Report::Started { pid }, None),
            None => return Ok(()),
        };
        if let Some(client) = insider.client {
            self.clients.tell(client, &report.0, report.1.as_ref());
        }
        Ok(())
    }

    /// A program inside has ended (or is about to: the container has): tell whoever asked for it.
    pub(super) fn insider_ended(&mut self, pid: i32) -> Result<()> {
        let Some(at) = self.insiders.iter().position(|other| other.child.pid.as_raw_nonzero().get() == pid) else {
            return Ok(());
        };
        let mut insider = self.insiders.remove(at);
        while insider.notes_open {
            insider.note()?;
        }
        let ending = reap(&insider.child.pidfd)?;
        if insider.is_check {
            self.check_ended(ending.code, insider.failure.as_ref());
            return Ok(());
        }
        self.event("exec_die", &[("exitCode", &ending.code.to_string())]);
        if let Some(client) = insider.client {
            let exited = Report::Exited { code: ending.code, signal: ending.signal, oom: false };
            self.clients.tell(client, &insider.failure.map_or(exited, Report::Failed), None);
            self.clients.remove(client);
            self.accepts = true;
        }
        Ok(())
    }

    /// Starts the check that is due, or ends the one that takes too long.
    pub(super) fn check_health(&mut self) {
        let Some(checks) = &mut self.checks else { return };
        if checks.is_late() {
            for insider in self.insiders.iter().filter(|insider| insider.is_check) {
                let _ = sys::signal::send(&insider.child.pidfd, libc::SIGKILL);
            }
        } else if checks.wants_start()
            && let Err(error) = self.start_check()
        {
            self.check_ended(125, Some(&Failure::from(&error)));
        }
    }

    fn start_check(&mut self) -> Result<()> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).os(|| "pipe")?;
        let Some(argv) = self.checks.as_ref().map(|checks| checks.argv().to_vec()) else { return Ok(()) };
        let spec = keeper::read_spec(&self.folder)?;
        let mut process = spec.process().clone().ok_or_else(|| Error::invalid("the specification has no process"))?;
        process.set_args(Some(argv));
        process.set_terminal(Some(false));
        let Some(at) = self.surroundings() else { return Ok(()) };
        let error = writer.try_clone().os(|| "duplicate a descriptor")?;
        let insider = Insider::start(&at, &process, vec![keeper::null()?, writer, error], None, true)?;
        self.insiders.push(insider);
        if let Some(checks) = &mut self.checks {
            checks.started(reader);
        }
        Ok(())
    }

    /// Writes down what came of a check.
    fn check_ended(&mut self, code: i32, failure: Option<&Failure>) {
        let Some(checks) = &mut self.checks else { return };
        let why = failure.map(|failure| Error::from(failure.clone()).message().to_string());
        let changed = checks.ended(code, why.as_deref());
        self.state.health = Some(checks.state.clone());
        // A disk that takes no state must not end the container.
        let _ = self.write_state();
        if changed && let Some(health) = &self.state.health {
            self.event("health_status", &[("health", &health.status)]);
        }
    }
}
