//! The cache of steps: what is known of a step by its key, and running one that is not known, once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::layer::LayerMeta;
use super::super::progress::Task;
use super::super::store::{Store, Workspace, random_id};
use super::parts::{Part, parts_of_json};
use super::record::{self, Draft, StepRecord};
use super::{State, in_a_line, key_of};

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

/// Makes the description of what a step reads: only asked for when the step is taken.
type Describe<'a> = Box<dyn Fn() -> Vec<Part> + 'a>;

/// A step about to be taken.
pub(super) struct Operation<'a> {
    /// Its kind, as the key has it: `run`, `copy`.
    pub kind: &'static str,
    /// The digest of what it reads besides its parent: the rest of the key.
    pub inputs: Digest,
    /// What it is, in a line, in a Dockerfile's words.
    pub step: String,
    /// What the history says of it.
    pub history: String,
    /// How it is shown and kept.
    pub manner: &'a Manner,
    /// What it reads besides its parent, part by part, for people who ask why it ran.
    pub describe: Describe<'a>,
    /// The state it takes the result of, where that is not the one it follows.
    pub made_of: Option<&'a State>,
    /// Ids of layers it reads besides its parent's; `None` when it reads no layer at all, not even those.
    pub layers: Option<Vec<String>>,
}

impl<'a> Operation<'a> {
    /// An operation of inputs that are few: they describe themselves. Its history says what the step is.
    ///
    /// # Errors
    /// `internal` when the inputs cannot be written as JSON.
    pub fn new(kind: &'static str, inputs: &impl Serialize, step: String, manner: &'a Manner) -> Result<Operation<'a>> {
        let inputs =
            serde_json::to_vec(inputs).map_err(|e| Error::new(Kind::Internal, format!("key of a build step: {e}")))?;
        let digest = Digest::of(&inputs);
        Ok(Operation::of_digest(kind, digest, step, manner, move || parts_of_json(&inputs)))
    }

    /// An operation of inputs that are many, and known by a digest of them all; `describe` makes their list when the
    /// step is taken. Its history says what the step is.
    pub fn of_digest(
        kind: &'static str,
        inputs: Digest,
        step: String,
        manner: &'a Manner,
        describe: impl Fn() -> Vec<Part> + 'a,
    ) -> Operation<'a> {
        Operation {
            kind,
            inputs,
            history: step.clone(),
            step: in_a_line(&step),
            manner,
            describe: Box::new(describe),
            made_of: None,
            layers: Some(Vec::new()),
        }
    }

    /// What it stands on. A step that was taken again has the key it had and another layer: what was made on the old
    /// one is not made on the new one.
    fn ground(&self, parent: &State) -> Option<Ground> {
        let others = self.layers.as_ref()?;
        let all = parent.layer_ids();
        let count = all.len().to_string();
        let parts: Vec<&str> = [&count].into_iter().chain(&all).chain(others).map(String::as_str).collect();
        Some(Ground { digest: key_of(&parts), is_fresh: parent.lineage().any(State::is_fresh) })
    }
}

/// The layers that a step reads.
struct Ground {
    digest: Digest,
    /// One of its parent's was made just now.
    is_fresh: bool,
}

impl Ground {
    /// Whether a result stands on it. Of one from elsewhere that is not known: it does if nothing here is newer.
    fn carries(&self, record: &StepRecord) -> bool {
        record.ground.map_or(!self.is_fresh, |ground| ground == self.digest)
    }
}

/// A step's result, from the cache or fresh.
pub(super) struct Done {
    pub key: Digest,
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
        if self.is_held() {
            // It is nobody's but the caller's, and so is what follows from it.
            let label = operation.manner.label.as_ref().unwrap_or(&operation.step);
            let task = Task::start(engine.progress(), "step", label, None);
            let _in_use = engine.store().shared(engine.cancel())?;
            let made = make(&task)?;
            task.end("done");
            let layer = match made {
                Some(layer) => layer,
                None => return Ok(self.clone()),
            };
            return self.holding(Arc::new(layer), operation.step);
        }
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
        let forced = !engine.config().use_cache || operation.manner.no_cache;
        let use_cache = !forced && !self.is_held();
        let ground = operation.ground(self);
        let task = Task::step(engine.progress(), &operation.step, operation.manner.label.as_deref());
        // Before the record is read: from then on nobody prunes it.
        store.pin(&key.hex())?;
        if use_cache && let Some(done) = look_up(engine, key, ground.as_ref(), with_output)? {
            task.end("CACHED");
            return Ok(done);
        }
        let _mine = store.lock_object(&format!("step-{}", key.hex()), engine.cancel())?;
        // Somebody may have made it while we waited.
        if use_cache && let Some(done) = look_up(engine, key, ground.as_ref(), with_output)? {
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
        let id = match &area {
            Some(_) => Some(format!("step-{}", &random_id()?[..32])),
            None => None,
        };
        let (layer, step) = (id.clone(), operation.step.clone());
        let ground = ground.map(|ground| ground.digest);
        let record = StepRecord { layer, created: now(engine), step, ground, remote: None };
        // Before the layer is made durable, which makes it so too.
        let draft = if self.is_held() { None } else { Some(record::draft(store, &record, output.as_deref())?) };
        match (id, area) {
            (Some(id), Some(area)) => keep_layer(store, &id, area)?,
            _ => draft.as_ref().map_or(Ok(()), Draft::sync)?,
        }
        if let Some(draft) = draft {
            if !with_output {
                self.note_inputs(store, key, operation, forced)?;
            }
            draft.keep(store, key, &record)?;
            engine.session().known().keys.insert(*key);
        }
        task.end("done");
        Ok(Done { key: *key, record, output, cached: false })
    }

    /// The key of the state that an operation leads to.
    pub(super) fn key_after(&self, operation: &Operation<'_>) -> Digest {
        key_of(&[&self.0.key.to_string(), operation.kind, &operation.inputs.to_string()])
    }
}

/// A finished step whose layer is still here, or can be fetched, and that was taken on this ground.
fn look_up(engine: &Engine, key: &Digest, ground: Option<&Ground>, with_output: bool) -> Result<Option<Done>> {
    let store = engine.store();
    let Some(record) = record::read(store, key)? else { return Ok(None) };
    if ground.is_some_and(|ground| !ground.carries(&record)) {
        return Ok(None);
    }
    let missing = record.layer.as_ref().filter(|layer| !store.has_layer(layer));
    let output = if with_output { record::read_output(store, key) } else { None };
    if with_output && output.is_none() || missing.is_some() && record.remote.is_none() {
        return Ok(None);
    }
    let mut known = engine.session().known();
    known.keys.insert(*key);
    if let (Some(layer), Some(remote)) = (missing, &record.remote) {
        known.remote.insert(layer.clone(), remote.clone());
    }
    drop(known);
    Ok(Some(Done { key: *key, record, output, cached: true }))
}

/// Installs the layer of a step. What is written is durable then, what things are called not yet: a power cut may undo
/// the step.
fn keep_layer(store: &Store, id: &str, area: Workspace) -> Result<()> {
    let mut meta = LayerMeta { diff_id: None, bytes: 0, entries: 0 };
    measure(&area.join("fs"), &mut meta)?;
    store.place_layer(id, area, &meta)
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
