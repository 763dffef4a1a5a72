//! Finding containers: by name, id or the beginning of an id; all of them, or those that pass filters. And finding out
//! what became of those whose monitor is gone.

use std::collections::HashSet;
use std::fs;

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::store::running::RunLock;
use super::super::store::small::shared_out;
use super::claim::Claim;
use super::events::{self, Event};
use super::record::{self, Reader, Record, State, Status, Time};
use super::streams::MONITOR_KILLED;
use super::{cgroups, names, removal};

/// A container and what it is doing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What was asked for.
    pub record: Record,
    /// What became of it.
    pub state: State,
}

impl Engine {
    /// Finds a container by name, id, or the beginning of its id.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when several ids begin so; `integrity`, `os`.
    pub fn container(&self, text: &str) -> Result<Record> {
        let missing = || Error::not_found(format!("no such container: {text}"));
        self.container_find(text)?.ok_or_else(missing)
    }

    /// The same; `None` when there is none.
    ///
    /// # Errors
    /// `invalid_argument` when several ids begin so; `integrity`, `os`.
    pub fn container_find(&self, text: &str) -> Result<Option<Record>> {
        let root = self.store().root();
        // Only what can be a name is looked up as a file.
        if names::check(text).is_ok()
            && let Some(id) = names::owner(self.store(), text)?
            && let Some(record) = record::read_record(&record::folder(root, &id))?
            // Whoever gave it another name may have been killed before he gave this one up.
            && record.name == text
        {
            return Ok(Some(record));
        }
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        if text.len() == 64 {
            return record::read_record(&record::folder(root, text));
        }
        let found: Vec<String> = self.container_ids()?.into_iter().filter(|id| id.starts_with(text)).collect();
        match &found[..] {
            [] => Ok(None),
            [id] => record::read_record(&record::folder(root, id)),
            several => {
                let message = format!("'{text}' is the beginning of {} container ids", several.len());
                Err(Error::invalid(message).with_hint("give more digits of it"))
            }
        }
    }

    fn container_ids(&self) -> Result<Vec<String>> {
        let folder = self.store().join("containers");
        let entries = fs::read_dir(&folder).os(|| format!("list {}", folder.display()))?;
        entries
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()
            .os(|| format!("list {}", folder.display()))
    }

    /// What a container is doing now.
    ///
    /// # Errors
    /// `os`.
    pub fn container_state(&self, id: &str) -> Result<State> {
        let state = record::read_state(&record::folder(self.store().root(), id))?;
        if (state.status.is_live() || state.status == Status::Restarting) && !self.store().is_running(id) {
            self.settle_one(id)?;
            let settled = record::read_state(&record::folder(self.store().root(), id))?;
            // On a full disk it could not be written down; somebody may have started it again, too.
            let dead = settled == state && !self.store().is_running(id);
            return Ok(if dead { fate(settled) } else { settled });
        }
        Ok(state)
    }

    /// All containers, newest first.
    ///
    /// # Errors
    /// `os`.
    pub fn container_list(&self) -> Result<Vec<Listed>> {
        let held = self.settle_all()?;
        let ids = self.container_ids()?;
        // Reading many small files is all there is to do: two threads do it in half the time.
        let mut list = shared_out(&ids, |ids| {
            let mut reader = Reader::new(self.store().root())?;
            let mut list = Vec::with_capacity(ids.len());
            for id in ids {
                match reader.record(id) {
                    Ok(Some(record)) => {
                        let mut state = reader.state(id)?;
                        // One of another boot, or whose monitor could not write its last word.
                        if (state.status.is_live() || state.status == Status::Restarting) && !held.contains(id) {
                            state = self.container_state(id)?;
                        }
                        list.push(Listed { record, state });
                    }
                    // One may be removed meanwhile.
                    Ok(None) => {}
                    Err(error) if error.kind() == Kind::Integrity => self.warn_once(error.message().to_string()),
                    Err(error) => return Err(error),
                }
            }
            Ok(list)
        })?;
        list.sort_by_cached_key(|listed| std::cmp::Reverse(listed.record.created));
        Ok(list)
    }

    /// Finds out what became of containers whose monitor is gone, writes it down, and sweeps what they left.
    ///
    /// # Errors
    /// `os`.
    pub fn settle(&self) -> Result<()> {
        self.settle_all().map(drop)
    }

    /// The same; returns those that have a monitor.
    fn settle_all(&self) -> Result<HashSet<String>> {
        let (held, dead): (Vec<_>, Vec<_>) = self.store().runs()?.into_iter().partition(|(_, held)| *held);
        dead.iter().try_for_each(|(id, _)| self.settle_one(id))?;
        Ok(held.into_iter().map(|(id, _)| id).collect())
    }

    fn settle_one(&self, id: &str) -> Result<()> {
        // Somebody else may be at it, or start it anew.
        let Some(lock) = self.store().try_run_lock(id)? else { return Ok(()) };
        self.settle_locked(id, &lock)
    }

    /// The same for a container that the caller has claimed.
    pub(super) fn settle_claimed(&self, id: &str, claim: &Claim) -> Result<()> {
        self.settle_locked(id, &claim.run)
    }

    fn settle_locked(&self, id: &str, _lock: &RunLock) -> Result<()> {
        let folder = record::folder(self.store().root(), id);
        match record::read_record(&folder)? {
            // Its maker or remover was killed.
            None => {
                cgroups::sweep(&format!("/moonshell/{id}"))?;
                names::forget(self.store(), id)?;
            }
            Some(record) => {
                self.settle_held(id)?;
                if record.auto_remove {
                    removal::remove_folder(self.store(), &record, true)?;
                    self.event("destroy", &record, &[]);
                }
            }
        }
        Ok(())
    }

    /// Writes down what became of a container whose lock the caller holds, if its monitor was killed, and sweeps what
    /// it left.
    ///
    /// # Errors
    /// `os`.
    pub(super) fn settle_held(&self, id: &str) -> Result<()> {
        cgroups::sweep(&format!("/moonshell/{id}"))?;
        let folder = record::folder(self.store().root(), id);
        let Some(record) = record::read_record(&folder)? else { return Ok(()) };
        let mut state = record::read_state(&folder)?;
        if state.status.is_live() || state.status == Status::Restarting {
            state = fate(state);
            match record::write_state(&folder, &state) {
                // Whoever asks is told all the same, and can make room.
                Err(error) if record::is_full(&error) => return Ok(()),
                other => other?,
            }
            let code = state.exit_code.to_string();
            // An event that cannot be written is lost: what happened matters more.
            let _ = events::write(self.store().root(), &Event::of("die", &record, &[("exitCode", &code)]));
        }
        match fs::remove_file(folder.join("control")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).os(|| format!("sweep container {id}")),
            _ => {}
        }
        Ok(())
    }
}

/// What became of a container whose monitor is gone.
fn fate(mut state: State) -> State {
    let same_boot = state.boot == record::boot_id();
    (state.exit_code, state.signal) = if same_boot { (128 + libc::SIGKILL, Some(libc::SIGKILL)) } else { (255, None) };
    state.error = Some(if same_boot { MONITOR_KILLED } else { "the host was restarted" }.into());
    (state.status, state.pid, state.monitor) = (Status::Exited, 0, 0);
    state.finished = Some(Time::now());
    state
}
