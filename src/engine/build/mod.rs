//! Builds: immutable states, each a file system and a configuration, and the steps that lead from one to the next.
//!
//! A state's key is a hash of its parent's key, of the operation, and of the content of what the operation reads.
//! Same key, same result: a step whose key is in the cache is not run again, by any process on this state folder.
//!
//! ```text
//! ROOT/cache/steps/KEY       StepRecord: the layer a step made, when, and what it was
//! ROOT/cache/steps/KEY.out   what a step printed, for steps asked for their output
//! ROOT/layers/step-ID/       the layer itself: the folder the step wrote, renamed
//! ```

pub(super) mod commit;
mod copy;
mod files;
mod host;
pub mod settings;
pub(super) mod step;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::Engine;
use super::digest::Digest;
use super::error::{Error, Result};
use super::image::config::{History, ImageConfig};
use super::image::{Image, Layer};
use super::store::Store;

pub use commit::CommitOptions;
pub use copy::{CopyOptions, CopySource};
pub use files::FileEntry;
pub use step::StepOptions;

/// One layer of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StateLayer {
    /// From the image the build started from: its blob is known, and the blob's media type.
    Image(Layer, String),
    /// Made by a step here; its id in the store.
    Step(String),
}

impl StateLayer {
    fn id(&self) -> String {
        match self {
            StateLayer::Image(layer, _) => layer.diff_id.hex(),
            StateLayer::Step(id) => id.clone(),
        }
    }
}

#[derive(Debug)]
struct Inner {
    key: Digest,
    layers: Vec<StateLayer>,
    // Without diff ids, which are known when an image is committed.
    config: ImageConfig,
    // The parent state's key and what made this one of it, for people.
    step: String,
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
        State::make(key_of(&["scratch", &config.os, &config.architecture]), Vec::new(), config, "scratch".into())
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
        let name = image.names.first().map_or_else(|| image.id.to_string(), |name| name.familiar());
        Ok(State::make(key_of(&["image", &image.id.to_string()]), layers.collect(), config, format!("from {name}")))
    }

    fn make(key: Digest, layers: Vec<StateLayer>, config: ImageConfig, step: String) -> State {
        State(Arc::new(Inner { key, layers, config, step }))
    }

    /// The key: equal keys mean equal states.
    pub fn key(&self) -> Digest {
        self.0.key
    }

    /// The step that made it, in a line.
    pub fn step(&self) -> &str {
        &self.0.step
    }

    /// The configuration so far.
    pub fn config(&self) -> &ImageConfig {
        &self.0.config
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.0.layers.len()
    }

    /// Layer folders, base first.
    fn lowers(&self, store: &Store) -> Vec<PathBuf> {
        self.0.layers.iter().map(|layer| store.layer_fs(&layer.id())).collect()
    }

    /// Makes sure that every layer is unpacked, and returns the folders, base first.
    pub(super) fn ready_lowers(&self, engine: &Engine) -> Result<Vec<PathBuf>> {
        let missing: Vec<Layer> = self
            .0
            .layers
            .iter()
            .filter(|layer| !engine.store().has_layer(&layer.id()))
            .map(|layer| match layer {
                StateLayer::Image(layer, _) => Ok(layer.clone()),
                StateLayer::Step(id) => Err(Error::not_found(format!("layer {id} of this build is gone"))
                    .with_hint("run the build again: its cache was pruned meanwhile")),
            })
            .collect::<Result<_>>()?;
        if !missing.is_empty() {
            let _in_use = engine.store().shared(engine.cancel())?;
            engine.unpack_layers(&missing)?;
        }
        Ok(self.lowers(engine.store()))
    }

    /// The state after a step: perhaps a layer more, a changed configuration, a line of history.
    fn after(
        &self,
        key: Digest,
        layer: Option<String>,
        created: Option<String>,
        step: String,
        history: String,
    ) -> State {
        let mut config = self.0.config.clone();
        if created > config.created {
            config.created = created;
        }
        config.history.push(History {
            created: config.created.clone(),
            created_by: Some(history),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        let layers = self.0.layers.iter().cloned().chain(layer.map(StateLayer::Step)).collect();
        State::make(key, layers, config, step)
    }

    /// The key of a step that follows this state.
    fn key_after(&self, operation: &str, inputs: &impl Serialize) -> Result<Digest> {
        let inputs = serde_json::to_vec(inputs)
            .map_err(|e| Error::new(super::error::Kind::Internal, format!("key of a build step: {e}")))?;
        Ok(key_of(&[&self.0.key.to_string(), operation, &Digest::of(&inputs).to_string()]))
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
