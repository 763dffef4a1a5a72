//! Builds: immutable states, each a file system and a configuration, and the steps that lead from one to the next.
//!
//! A state's key is a hash of its parent's key, of the operation, and of the content of what the operation reads.
//! Same key, same result: a step whose key is in the cache is not run again, by any process on this state folder.
//!
//! ```text
//! ROOT/cache/steps/KEY       StepRecord: the layer a step made, when, and what it was
//! ROOT/cache/steps/KEY.out   what a step printed, for steps asked for their output
//! ROOT/cache/inputs/KEY      what a step had read, to say why the next one ran
//! ROOT/layers/step-ID/       the layer itself: the folder the step wrote, renamed
//! ```

mod add;
pub(super) mod cache;
pub(super) mod commit;
mod context;
mod copy;
mod exchange;
mod expand;
mod files;
mod flatten;
mod git;
mod globs;
mod history;
mod host;
mod ignore;
mod listing;
mod merge;
mod mode;
pub mod mounts;
mod out;
mod parts;
mod prune;
mod reading;
pub(super) mod record;
mod remote;
mod run;
pub mod settings;
mod source;
mod stat_cache;
mod tree;
mod unpack;
mod web;
mod why;

use std::path::PathBuf;
use std::sync::Arc;

use super::Engine;
use super::digest::Digest;
use super::error::Result;
use super::image::config::{History, ImageConfig, RunConfig};
use super::image::{Image, Layer};
use super::store::{Workspace, random_id};

pub use add::AddOptions;
pub use cache::Manner;
pub use commit::{CommitOptions, Output, Squash, compression, time};
pub use context::{Context, ContextOptions, ContextSource};
pub use copy::{CopyOptions, CopySource};
pub use exchange::{Exchanged, Exported};
pub use files::{FileEntry, WriteOptions};
pub use history::{Difference, StateHistory, TreeStep};
pub use mode::ModeChange;
pub use prune::{CacheEntry, EntryKind, PruneOptions, Pruned};
pub use run::{StepFailure, StepOptions};
pub use why::{Reason, Why};

use cache::{Done, Operation};

/// One layer of a state.
#[derive(Debug, Clone)]
enum StateLayer {
    /// From the image the build started from: its blob is known, and the blob's media type.
    Image(Layer, String),
    /// Made by a step here; its id in the store.
    Step(String),
    /// What a failed step had written: the `fs/` of a work area that lives as long as a state needs it.
    Held(Arc<Workspace>),
}

impl StateLayer {
    /// What tells it from others: the name of its folder.
    fn id(&self) -> String {
        match self {
            StateLayer::Image(layer, _) => layer.diff_id.hex(),
            StateLayer::Step(id) => id.clone(),
            StateLayer::Held(area) => area.path().display().to_string(),
        }
    }

    /// Its folder.
    fn folder(&self, engine: &Engine) -> PathBuf {
        match self {
            StateLayer::Image(layer, _) => engine.store().layer_fs(&layer.diff_id.hex()),
            StateLayer::Step(id) => engine.store().layer_fs(id),
            StateLayer::Held(area) => area.join("fs"),
        }
    }
}

#[derive(Debug)]
struct Inner {
    key: Digest,
    // The state it was made of.
    parent: Option<State>,
    // Of a first state: the image it is.
    base: Option<Base>,
    layers: Vec<StateLayer>,
    // Without diff ids, which are known when an image is committed.
    config: ImageConfig,
    step: Step,
}

/// The image a build started from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    name: Option<String>,
    digest: Digest,
}

/// What made a state of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// In a line, for people.
    pub words: String,
    /// The key its record is under; `None` for what is not run.
    pub key: Option<Digest>,
    /// The id of the layer it made.
    pub layer: Option<String>,
    /// When it ran, RFC 3339; `None` for what is not run.
    pub created: Option<String>,
    /// Its result was known.
    pub cached: bool,
}

/// A text of several lines in one, without the blanks around them.
pub fn in_a_line(text: &str) -> String {
    let lines = text.split(|c: char| c.is_control() && c != '\t').map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// The beginning of a text in a line of at most so many characters, with `…` where something is missing.
pub fn in_a_short_line(text: &str, most: usize) -> String {
    let line = in_a_line(text);
    match line.char_indices().nth(most) {
        Some(_) => line.chars().take(most - 1).chain(['…']).collect(),
        None => line,
    }
}

impl Step {
    fn start(words: String) -> Step {
        Step { words, key: None, layer: None, created: None, cached: false }
    }
}

impl Drop for Inner {
    /// A long chain of states goes one by one, not one inside the other.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(State(state)) = next {
            next = Arc::into_inner(state).and_then(|mut inner| inner.parent.take());
        }
    }
}

/// An immutable snapshot: a file system and a configuration. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct State(Arc<Inner>);

impl State {
    /// An empty file system for this machine's kind.
    pub fn scratch() -> State {
        let mut config = ImageConfig::default();
        let host = super::image::Platform::host();
        (config.os, config.architecture, config.variant) = (host.os, host.architecture, host.variant);
        let key = key_of(&["scratch", &config.os, &config.architecture]);
        State::start(key, None, Vec::new(), config, "scratch".into())
    }

    /// The file system and configuration of an image in the store.
    ///
    /// # Errors
    /// `integrity` when its manifest is damaged.
    pub fn from_image(engine: &Engine, image: &Image) -> Result<State> {
        let types = commit::media_types(engine, image)?;
        let layers = image.layers.iter().zip(types).map(|(layer, kind)| StateLayer::Image(layer.clone(), kind));
        let mut config = image.config.clone();
        config.rootfs.diff_ids.clear();
        let name = image.names.first().map_or_else(|| image.id.short(), |name| name.familiar());
        let key = key_of(&["image", &image.id.to_string()]);
        let digest = super::image::Content::of(&image.manifest)?.digest;
        let base = Base { name: image.names.first().map(ToString::to_string), digest };
        Ok(State::start(key, Some(base), layers.collect(), config, format!("from {name}")))
    }

    fn start(key: Digest, base: Option<Base>, layers: Vec<StateLayer>, config: ImageConfig, words: String) -> State {
        State(Arc::new(Inner { key, parent: None, base, layers, config, step: Step::start(words) }))
    }

    /// The key: equal keys mean equal states.
    pub fn key(&self) -> Digest {
        self.0.key
    }

    /// The step that made it, in a line.
    pub fn step(&self) -> &Step {
        &self.0.step
    }

    /// The state it was made of; none of an image's or the empty one.
    pub fn parent(&self) -> Option<&State> {
        self.0.parent.as_ref()
    }

    /// It stands on what a failed step had written: nothing of it is kept in the cache.
    pub(super) fn is_held(&self) -> bool {
        self.0.layers.iter().any(|layer| matches!(layer, StateLayer::Held(_)))
    }

    /// Its step made a layer just now.
    fn is_fresh(&self) -> bool {
        self.0.step.layer.is_some() && !self.0.step.cached
    }

    /// The state with a layer that nobody keeps, under a key that nothing else has.
    fn holding(&self, layer: Arc<Workspace>, words: String) -> Result<State> {
        let key = key_of(&["held", &random_id()?]);
        let layers = self.0.layers.iter().cloned().chain([StateLayer::Held(layer)]).collect();
        let (parent, config) = (Some(self.clone()), self.0.config.clone());
        Ok(State(Arc::new(Inner { key, parent, base: self.0.base.clone(), layers, config, step: Step::start(words) })))
    }

    /// The configuration so far.
    pub fn config(&self) -> &ImageConfig {
        &self.0.config
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.0.layers.len()
    }

    /// Makes sure that every layer is unpacked, and returns the folders, base first.
    pub(super) fn ready_lowers(&self, engine: &Engine) -> Result<Vec<PathBuf>> {
        let store = engine.store();
        let (mut missing, mut remote) = (Vec::new(), Vec::new());
        for layer in &self.0.layers {
            match layer {
                StateLayer::Image(layer, _) if !store.has_layer(&layer.diff_id.hex()) => missing.push(layer.clone()),
                StateLayer::Step(id) if !store.has_layer(id) => remote.push(remote::find(engine, id)?),
                _ => {}
            }
        }
        if !missing.is_empty() || !remote.is_empty() {
            let _in_use = store.shared(engine.cancel())?;
            engine.unpack_layers(&missing)?;
            remote::bring(engine, &remote)?;
        }
        Ok(self.0.layers.iter().map(|layer| layer.folder(engine)).collect())
    }

    /// The state after a step: perhaps a layer more and a line of history. `done` is none for what is not run.
    fn after(&self, key: Digest, done: Option<Done>, operation: Operation<'_>) -> State {
        let mut config = self.0.config.clone();
        let mut step = Step::start(operation.step);
        if let Some(done) = done {
            step.key = Some(done.key);
            (step.layer, step.created, step.cached) = (done.record.layer, Some(done.record.created), done.cached);
        }
        if step.created > config.created {
            config.created = step.created.clone();
        }
        let words = operation.manner.history.clone().unwrap_or(operation.history);
        if !words.is_empty() || step.layer.is_some() {
            config.history.push(History {
                created: config.created.clone(),
                created_by: Some(words),
                empty_layer: step.layer.is_none(),
                ..History::default()
            });
        }
        let layers = self.0.layers.iter().cloned().chain(step.layer.clone().map(StateLayer::Step)).collect();
        State(Arc::new(Inner { key, parent: Some(self.clone()), base: None, layers, config, step }))
    }

    /// The same state with another configuration for its containers, under the key that belongs to both.
    fn with_config(&self, key: Digest, run: RunConfig) -> State {
        let mut config = self.0.config.clone();
        config.config = run;
        State(Arc::new(Inner {
            key,
            parent: self.0.parent.clone(),
            base: self.0.base.clone(),
            layers: self.0.layers.clone(),
            config,
            step: self.0.step.clone(),
        }))
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.0.key == other.0.key
    }
}

/// A key of parts: each with its length, so that no two lists of parts look alike. The number is the version of what
/// keys mean; a change of meaning changes it.
fn key_of(parts: &[&str]) -> Digest {
    let mut text = String::from("moonshell 1\n");
    for part in parts {
        text.push_str(&format!("{} {part}\n", part.len()));
    }
    Digest::of(text)
}
