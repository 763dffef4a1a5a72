//! The cache of steps: what is known of a step by its key, and running one that is not known, once.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::layer::LayerMeta;
use super::super::progress::Task;
use super::super::store::{Store, Workspace, random_id};
use super::{State, key_of};

/// How a step is shown and kept, whatever it does.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// What progress shows instead of the step's own words.
    pub label: Option<String>,
    /// The history entry instead of the step's own words; empty for none.
    pub history: Option<String>,
    /// Take the step even if its result is known.
    pub no_cache: bool,
}

/// A step about to be taken.
pub(super) struct Operation<'a> {
    /// Its kind, as the key has it: `run`, `copy`.
    pub kind: &'static str,
    /// What it reads besides its parent, as JSON: the rest of the key.
    pub inputs: Vec<u8>,
    /// What it is, in a line, in a Dockerfile's words.
    pub step: String,
    /// What the history says of it.
    pub history: String,
    /// How it is shown and kept.
    pub manner: &'a Manner,
}

impl<'a> Operation<'a> {
    /// An operation whose history says what the step is.
    ///
    /// # Errors
    /// `internal` when the inputs cannot be written as JSON.
    pub fn new(kind: &'static str, inputs: &impl Serialize, step: String, manner: &'a Manner) -> Result<Operation<'a>> {
        let inputs =
            serde_json::to_vec(inputs).map_err(|e| Error::new(Kind::Internal, format!("key of a build step: {e}")))?;
        Ok(Operation { kind, inputs, history: step.clone(), step, manner })
    }
}

/// What the cache knows of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StepRecord {
    /// The layer it made; none if it changed nothing.
    pub layer: Option<String>,
    /// When it ran, RFC 3339.
    pub created: String,
    /// What it was.
    pub step: String,
}

/// A step's result, from the cache or fresh.
pub(super) struct Done {
    pub record: StepRecord,
    pub output: Option<Vec<u8>>,
    /// It was known.
    pub cached: bool,
}

/// What a step made: the work area whose `fs/` is the new layer, and what it printed.
pub(super) type Made = (Option<Workspace>, Option<Vec<u8>>);

impl State {
    /// The state after a step: from the cache, or made by `make` while nobody else makes it.
    ///
    /// # Errors
    /// Those of `make`; `os`. The cache is then as it was.
    pub(super) fn take(
        &self,
        engine: &Engine,
        operation: Operation<'_>,
        make: impl FnOnce(&Task) -> Result<Option<Workspace>>,
    ) -> Result<State> {
        let key = self.key_after(&operation);
        let done = self.cached(engine, &key, &operation, false, |task| Ok((make(task)?, None)))?;
        Ok(self.after(key, Some(done), operation))
    }

    /// A step's result: from the cache, or made by `make` while nobody else makes it.
    ///
    /// # Errors
    /// As [`State::take`].
    pub(super) fn cached(
        &self,
        engine: &Engine,
        key: &Digest,
        operation: &Operation<'_>,
        with_output: bool,
        make: impl FnOnce(&Task) -> Result<Made>,
    ) -> Result<Done> {
        let store = engine.store();
        let use_cache = engine.config().use_cache && !operation.manner.no_cache && !self.is_held();
        let task = Task::step(engine.progress(), &operation.step, operation.manner.label.as_deref());
        if use_cache && let Some(done) = look_up(store, key, with_output)? {
            task.end("CACHED");
            return Ok(done);
        }
        let _mine = store.lock_object(&format!("step-{}", key.hex()), engine.cancel())?;
        // Somebody may have made it while we waited.
        if use_cache && let Some(done) = look_up(store, key, with_output)? {
            task.end("CACHED");
            return Ok(done);
        }
        let _in_use = store.shared(engine.cancel())?;
        let (area, output) = match make(&task) {
            Err(error) if error.kind() == Kind::Interrupted => {
                task.end("stopped");
                return Err(error);
            }
            other => other?,
        };
        let layer = match area {
            Some(area) => Some(keep_layer(store, area)?),
            None => None,
        };
        let record = StepRecord { layer, created: now(engine), step: operation.step.clone() };
        write_record(store, key, &record, output.as_deref())?;
        task.end("done");
        Ok(Done { record, output, cached: false })
    }

    /// The key of the state that an operation leads to.
    pub(super) fn key_after(&self, operation: &Operation<'_>) -> Digest {
        key_of(&[&self.0.key.to_string(), operation.kind, &Digest::of(&operation.inputs).to_string()])
    }
}

fn record_path(store: &Store, key: &Digest) -> std::path::PathBuf {
    store.join("cache/steps").join(key.hex())
}

/// A finished step whose layer is still here. A record that cannot be read counts as none: the cache is expendable.
fn look_up(store: &Store, key: &Digest, with_output: bool) -> Result<Option<Done>> {
    let path = record_path(store, key);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).os(|| format!("read {}", path.display())),
    };
    let Ok(record) = serde_json::from_slice::<StepRecord>(&text) else { return Ok(None) };
    if record.layer.as_deref().is_some_and(|layer| !store.has_layer(layer)) {
        return Ok(None);
    }
    let output = if with_output {
        match fs::read(path.with_extension("out")) {
            Ok(output) => Some(output),
            Err(_) => return Ok(None),
        }
    } else {
        None
    };
    Ok(Some(Done { record, output, cached: true }))
}

fn write_record(store: &Store, key: &Digest, record: &StepRecord, output: Option<&[u8]>) -> Result<()> {
    let path = record_path(store, key);
    if let Some(output) = output {
        store.write_file(&path.with_extension("out"), output)?;
    }
    let text = serde_json::to_vec(record).map_err(|e| Error::new(Kind::Internal, format!("a step's record: {e}")))?;
    store.write_file(&path, &text)
}

/// Installs a layer under a fresh id, durably.
pub(super) fn keep_layer(store: &Store, area: Workspace) -> Result<String> {
    let id = format!("step-{}", &random_id()?[..32]);
    let mut meta = LayerMeta { diff_id: None, bytes: 0, entries: 0 };
    measure(&area.join("fs"), &mut meta)?;
    store.install_layer(&id, area, &meta)?;
    Ok(id)
}

fn measure(dir: &Path, meta: &mut LayerMeta) -> Result<()> {
    for entry in fs::read_dir(dir).os(|| format!("list {}", dir.display()))? {
        let entry = entry.os(|| format!("list {}", dir.display()))?;
        meta.entries += 1;
        let kind = entry.file_type().os(|| format!("stat {}", entry.path().display()))?;
        if kind.is_dir() {
            measure(&entry.path(), meta)?;
        } else if kind.is_file() {
            meta.bytes += entry.metadata().os(|| format!("stat {}", entry.path().display()))?.len();
        }
    }
    Ok(())
}

/// The time for records and configurations: now, or the fixed one builds were asked to use.
pub(in super::super) fn now(engine: &Engine) -> String {
    let time = match engine.config().source_date_epoch {
        Some(epoch) => SystemTime::UNIX_EPOCH + Duration::from_secs(epoch.max(0) as u64),
        None => SystemTime::now(),
    };
    humantime::format_rfc3339_nanos(time).to_string()
}
