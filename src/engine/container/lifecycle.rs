//! What is done to containers as wholes: start, stop, kill, restart, pause, wait, remove, rename, update, prune, boot.

use std::time::Duration;

use super::super::Engine;
use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, Result};
use super::super::image::Policy;
use super::cgroups::Cgroup;
use super::claim::{Claim, Claimed};
use super::client::{Answer, Client};
use super::create::{Made, Target};
use super::find::Listed;
use super::options::{Command, Limits, Options, Restart};
use super::record::{self, Record, Status};
use super::streams::Ending;
use super::wire::Order;
use super::{names, removal, spec};

/// What an update changes; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Limits.
    pub limits: Limits,
    /// When to start it again.
    pub restart: Option<Restart>,
}

/// What a prune took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The containers' ids.
    pub ids: Vec<String>,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Engine {
    /// Makes a container and starts it; returns when its program runs.
    ///
    /// # Errors
    /// Those of [`Engine::container_create`], and of the start: then the container stays, unless it was to be removed.
    pub fn container_start_new(
        &self,
        target: &Target,
        command: Option<&Command>,
        options: &Options,
        pull: Policy,
    ) -> Result<Record> {
        let Made { record, claim, spec } = self.make_container(target, command, options, pull)?;
        let started = self.start_detached(&record, claim, Some(spec));
        match started {
            Ok(_) => Ok(record),
            Err(error) => {
                if error.kind() == Kind::Interrupted {
                    self.undo_start(&record);
                }
                self.discard(&record);
                Err(error)
            }
        }
    }

    /// Takes a container away that was being started when its caller was interrupted.
    fn undo_start(&self, record: &Record) {
        // What was interrupted is not to be undone half: this is brief. The first cause is what the caller needs.
        let _ = Cancel::new().and_then(|cancel| self.with_cancel(cancel).container_remove(&record.id, true, true));
    }

    /// Removes a container that is to be removed at its end, and has not got as far as a monitor that could do it.
    pub(super) fn discard(&self, record: &Record) {
        let remove = || -> Result<()> {
            // Whatever was interrupted: this is brief.
            let engine = self.with_cancel(Cancel::new()?);
            if let (true, Claimed::Mine(claim)) = (record.auto_remove, engine.claim(&record.id)?)
                && engine.container_find(&record.id)?.is_some()
            {
                removal::remove_folder(self.store(), record, true)?;
                self.event("destroy", record, &[]);
                drop(claim);
            }
            Ok(())
        };
        // The first cause is what the caller needs.
        let _ = remove();
    }

    /// Starts a container; one that runs already stays as it is.
    ///
    /// # Errors
    /// `not_found`; what kept the program from starting.
    pub fn container_start(&self, name: &str) -> Result<()> {
        let (record, claim) = self.take_for_start(name)?;
        match claim {
            Some(claim) => self.start_detached(&record, claim, None).map(drop),
            None if self.container_state(&record.id)?.status == Status::Paused => {
                let message = format!("container '{}' is paused", record.name);
                Err(Error::new(Kind::InUse, message).with_hint("unpause it"))
            }
            None => Ok(()),
        }
    }

    /// The container and the right to start it; none when it runs already.
    pub(super) fn take_for_start(&self, name: &str) -> Result<(Record, Option<Claim>)> {
        let record = self.container(name)?;
        let claim = match self.claim(&record.id)? {
            Claimed::Mine(claim) => claim,
            Claimed::Served(client, turn) => {
                client.order(&Order::Await, &[])?;
                match self.hear(&client)? {
                    // Its monitor was in its last steps, or was killed.
                    Answer::Gone => self.claim_after(&record.id, turn)?,
                    // One that has ended meanwhile was started, too.
                    _ => return Ok((record, None)),
                }
            }
        };
        // What a killed monitor left goes before anything new comes.
        self.settle_held(&record.id)?;
        // It may have been removed or renamed while we waited.
        Ok((self.container(&record.id)?, Some(claim)))
    }

    /// A connection to the monitor; `None` when there is none.
    pub(super) fn connect(&self, record: &Record) -> Result<Option<Client>> {
        Client::connect(&record::folder(self.store().root(), &record.id))
    }

    /// Has the monitor obey an order; the connection it did so on.
    fn tell(&self, record: &Record, order: &Order, what: &str) -> Result<Client> {
        let Some(client) = self.connect(record)? else {
            let state = self.container_state(&record.id)?;
            let message = format!("cannot {what} container '{}': it is {}", record.name, state.status.name());
            return Err(Error::invalid(message));
        };
        client.order(order, &[])?;
        match client.answer(self.cancel(), &|message| self.warn_once(message)) {
            Ok(Answer::Done) => Ok(client),
            Ok(_) => Err(Error::invalid(format!("cannot {what} container '{}': it has ended", record.name))),
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            Err(error) => Err(error.context(format!("cannot {what} container '{}'", record.name))),
        }
    }

    /// Asks a container to end with a signal, and kills it when it still runs after the time-out. One that does not run
    /// stays as it is. `None` stands for the container's own.
    ///
    /// # Errors
    /// `not_found`, `interrupted`: it goes on ending then.
    pub fn container_stop(&self, name: &str, signal: Option<i32>, timeout: Option<Duration>) -> Result<()> {
        let record = self.container(name)?;
        self.stop_record(&record, signal, timeout).map(drop)
    }

    fn stop_record(&self, record: &Record, signal: Option<i32>, timeout: Option<Duration>) -> Result<bool> {
        let Some(client) = self.connect(record)? else { return Ok(false) };
        let timeout = timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        client.order(&Order::Stop { signal, timeout }, &[])?;
        self.await_end(record, &client)?;
        self.event("stop", record, &[]);
        Ok(true)
    }

    /// The next answer of a monitor.
    fn hear(&self, client: &Client) -> Result<Answer> {
        client.answer(self.cancel(), &|message| self.warn_once(message))
    }

    /// Waits until a monitor says that its container ended, or is gone.
    fn await_end(&self, record: &Record, client: &Client) -> Result<Option<Ending>> {
        loop {
            match self.hear(client)? {
                Answer::Ended(ending) => return Ok(Some(ending)),
                Answer::Gone => {
                    self.bury(&record.id)?;
                    return Ok(None);
                }
                Answer::Done | Answer::Started(_) => {}
            }
        }
    }

    /// Sends a signal to a container's program; for KILL it waits for the end.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when it does not run.
    pub fn container_kill(&self, name: &str, signal: i32) -> Result<()> {
        let record = self.container(name)?;
        let client = self.tell(&record, &Order::Signal(signal), "kill")?;
        // On the same connection: by another one could wait for the end of a later run.
        if signal == libc::SIGKILL {
            self.await_end(&record, &client)?;
        }
        Ok(())
    }

    /// Stops a container, if it runs, and starts it.
    ///
    /// # Errors
    /// As [`Engine::container_stop`] and [`Engine::container_start`].
    pub fn container_restart(&self, name: &str, signal: Option<i32>, timeout: Option<Duration>) -> Result<()> {
        let record = self.container(name)?;
        if record.auto_remove && self.connect(&record)?.is_some() {
            let message = format!("cannot restart container '{}': it is removed when it ends", record.name);
            return Err(Error::invalid(message));
        }
        self.stop_record(&record, signal, timeout)?;
        self.container_start(&record.id)?;
        self.event("restart", &record, &[]);
        Ok(())
    }

    /// Freezes a container's processes.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when it does not run, `in_use` when it is paused already.
    pub fn container_pause(&self, name: &str) -> Result<()> {
        self.tell(&self.container(name)?, &Order::Pause, "pause").map(drop)
    }

    /// Thaws them.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when it is not paused.
    pub fn container_unpause(&self, name: &str) -> Result<()> {
        self.tell(&self.container(name)?, &Order::Resume, "unpause").map(drop)
    }

    /// Waits for a container's end and returns its exit code; at once for one that does not run.
    ///
    /// # Errors
    /// `not_found`, `interrupted`.
    pub fn container_wait(&self, name: &str) -> Result<i32> {
        let record = self.container(name)?;
        if let Some(client) = self.connect(&record)?
            && let Some(ending) = self.await_end(&record, &client)?
        {
            return Ok(ending.code);
        }
        match self.container_find(&record.id)? {
            Some(record) => Ok(self.container_state(&record.id)?.exit_code),
            // Its monitor was killed, and it was one to be removed.
            None => Ok(128 + libc::SIGKILL),
        }
    }

    /// Removes a container. One that runs is killed first with `force`; `data` takes its data folders along.
    ///
    /// # Errors
    /// `not_found`; `in_use` when it runs and `force` is not set.
    pub fn container_remove(&self, name: &str, force: bool, data: bool) -> Result<()> {
        let record = self.container(name)?;
        let claim = match self.claim(&record.id)? {
            Claimed::Mine(claim) => claim,
            Claimed::Served(client, turn) => {
                if !force {
                    return Err(self.cannot_remove(&record)?);
                }
                client.order(&Order::Stop { signal: Some(libc::SIGKILL), timeout: Some(0) }, &[])?;
                // Not [`Engine::await_end`], which takes a turn of its own: ours is not over.
                while !matches!(self.hear(&client)?, Answer::Ended(_) | Answer::Gone) {}
                let claim = self.claim_after(&record.id, turn)?;
                self.settle_claimed(&record.id, &claim)?;
                // Its monitor has removed it already if it was one for that.
                if self.container_find(&record.id)?.is_none() {
                    return Ok(());
                }
                claim
            }
        };
        // Somebody else may have removed or renamed it while we waited.
        let record = self.container(&record.id)?;
        removal::remove_folder(self.store(), &record, data)?;
        self.event("destroy", &record, &[]);
        drop(claim);
        Ok(())
    }

    fn cannot_remove(&self, record: &Record) -> Result<Error> {
        let status = self.container_state(&record.id)?.status;
        let doing = if status.is_live() || status == Status::Restarting { status.name() } else { "starting" };
        let message = format!("cannot remove container '{}': it is {doing}", record.name);
        Ok(Error::new(Kind::InUse, message).with_hint("stop it first, or remove it by force"))
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// `not_found`, `already_exists`, `invalid_argument`; the old name stays then.
    pub fn container_rename(&self, name: &str, new: &str) -> Result<()> {
        let record = self.container(name)?;
        if record.name == new {
            return Err(Error::invalid(format!("container '{new}' has that name already")));
        }
        let _turn = self.turn(&record.id)?;
        let old = self.container(&record.id)?;
        names::reserve(self.store(), Some(new), &old.id, self.cancel())?;
        let renamed = Record { name: new.into(), ..old.clone() };
        let path = record::folder(self.store().root(), &old.id).join("container.json");
        if let Err(error) = record::write(&path, &renamed) {
            names::release(self.store(), new, &old.id)?;
            return Err(error);
        }
        names::release(self.store(), &old.name, &old.id)?;
        self.reload(&renamed)?;
        self.event("rename", &renamed, &[("oldName", &old.name)]);
        Ok(())
    }

    /// Changes limits and restart policy, of a running container at once.
    ///
    /// # Errors
    /// `not_found`, `invalid_argument`, and what the kernel refuses: then everything is as it was.
    pub fn container_update(&self, name: &str, update: &Update) -> Result<()> {
        let record = self.container(name)?;
        let _turn = self.turn(&record.id)?;
        let mut record = self.container(&record.id)?;
        if let Some(restart) = update.restart {
            if record.auto_remove && restart != Restart::No {
                return Err(Error::invalid("a container that is removed at its end cannot be started again"));
            }
            record.restart = restart;
            record.options.restart = restart;
        }
        let limits = record.options.limits.with(&update.limits);
        limits.check()?;
        record.options.limits = limits;
        let folder = record::folder(self.store().root(), &record.id);
        let mut spec = super::monitor::read_spec(&folder)?;
        // The control group of one that is being born or is in its last steps is not whole.
        if self.is_here(&record)?
            && let Some(cgroup) = Cgroup::open(&format!("/moonshell/{}", record.id))?
            && let Err(error) = cgroup.apply(&spec::limits(&update.limits)?)
            && self.is_here(&record)?
        {
            return Err(error);
        }
        if let Some(linux) = spec.linux_mut() {
            let devices = linux.resources().as_ref().and_then(|resources| resources.devices().clone());
            let mut resources = spec::limits(&record.options.limits)?;
            resources.set_devices(devices);
            linux.set_resources(Some(resources));
        }
        record::write(&folder.join("config.json"), &spec)?;
        record::write(&folder.join("container.json"), &record)?;
        self.reload(&record)?;
        self.event("update", &record, &[]);
        Ok(())
    }

    /// Whether a container has a monitor that goes on; waits for the end of a birth.
    fn is_here(&self, record: &Record) -> Result<bool> {
        let Some(client) = self.connect(record)? else { return Ok(false) };
        client.order(&Order::Await, &[])?;
        match self.hear(&client) {
            Ok(Answer::Done | Answer::Started(_)) => Ok(true),
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            // It did not start, or has ended.
            Ok(Answer::Ended(_) | Answer::Gone) | Err(_) => Ok(false),
        }
    }

    /// Has a monitor read the container's record anew.
    fn reload(&self, record: &Record) -> Result<()> {
        let Some(client) = self.connect(record)? else { return Ok(()) };
        client.order(&Order::Reload, &[])?;
        // If it ended meanwhile it reads the new record at its next start.
        client.answer(self.cancel(), &|message| self.warn_once(message)).map(drop)
    }

    /// Removes the containers that do not run and that `wanted` agrees to.
    ///
    /// # Errors
    /// `os`; what was removed before stays removed.
    pub fn container_prune(&self, wanted: &dyn Fn(&Listed) -> bool) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for listed in self.container_list()? {
            if !matches!(listed.state.status, Status::Created | Status::Exited) || !wanted(&listed) {
                continue;
            }
            // One that somebody has just started is none of ours any more.
            let Claimed::Mine(claim) = self.claim(&listed.record.id)? else { continue };
            let Some(record) = self.container_find(&listed.record.id)? else { continue };
            if self.container_state(&record.id)? != listed.state {
                continue;
            }
            pruned.bytes += self.container_size(&record)?;
            removal::remove_folder(self.store(), &record, false)?;
            self.event("destroy", &record, &[]);
            drop(claim);
            pruned.ids.push(record.id);
        }
        Ok(pruned)
    }

    /// After a boot of the host: writes down what the boot ended, and starts what its policy wants started. Returns the
    /// names of those; what cannot be started is warned about.
    ///
    /// # Errors
    /// `os`.
    pub fn container_boot(&self) -> Result<Vec<String>> {
        let mut started = Vec::new();
        for Listed { record, state } in self.container_list()?.into_iter().rev() {
            let wanted = match record.restart {
                Restart::Always => state.started.is_some(),
                Restart::UnlessStopped => state.started.is_some() && !state.stopped,
                Restart::No | Restart::OnFailure(_) => false,
            };
            if !wanted || state.status != Status::Exited {
                continue;
            }
            match self.container_start(&record.id) {
                Ok(()) => started.push(record.name),
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => self.warn(format!("container '{}' did not start: {}", record.name, error.message())),
            }
        }
        Ok(started)
    }
}
