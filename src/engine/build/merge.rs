//! States made of states: several steps in one layer, and one state's files on top of another's.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Result};
use super::super::image::config::History;
use super::super::store::Workspace;
use super::cache::{Manner, Operation};
use super::flatten::flatten;
use super::{Inner, State, StateLayer, Step};

impl State {
    /// The state `end`, which was made from this one, with all layers between the two as one. The result is cached by
    /// both, and has one line of history.
    ///
    /// # Errors
    /// `invalid_argument` when `end` was not made from this state or stands on a failed step; `not_found` when a layer
    /// was pruned meanwhile; `os`, `interrupted`.
    pub fn group(&self, engine: &Engine, end: &State, manner: &Manner) -> Result<State> {
        let Some(base) = end.lineage().find(|state| *state == self) else {
            return Err(Error::invalid("the state was not made from the one the layer starts at")
                .with_hint("return the last state of steps that begin with the given one"));
        };
        if end == base {
            return Ok(end.clone());
        }
        let inputs = Digest::of(end.key().to_string());
        let mut operation = Operation::of_digest("layer", inputs, "LAYER".into(), manner, Vec::new);
        let history = end.config().history.iter().skip(base.config().history.len());
        let words: Vec<&str> = history.filter_map(|entry| entry.created_by.as_deref()).collect();
        operation.history = format!("LAYER {}", words.join("; "));
        operation.made_of = Some(end);
        operation.layers = Some(end.layer_ids());
        let key = base.key_after(&operation);
        let below = base.0.layers.len();
        let done = base.cached(engine, &key, &operation, false, |_| Ok((end.flat(engine, below)?, None)))?;
        let after = base.after(key, Some(done), operation);
        Ok(after.with_config(key, end.0.config.config.clone()))
    }

    /// A work area whose `fs/` is all layers from number `below` on as one; `None` when they change nothing.
    ///
    /// # Errors
    /// `invalid_argument` for a state of a failed step; as [`flatten`].
    pub(super) fn flat(&self, engine: &Engine, below: usize) -> Result<Option<Workspace>> {
        self.refuse_held()?;
        let lowers = self.ready_lowers(engine)?;
        let area = engine.store().workspace()?;
        let changed = flatten(&lowers[..below], &lowers[below..], &area.join("fs"), engine.cancel())?;
        Ok(changed.then_some(area))
    }

    /// This state with the files of `other` on top: its layers above those both have. What those layers remove is
    /// removed. The configuration is this state's.
    ///
    /// # Errors
    /// `invalid_argument` for a state of a failed step; `os`, `interrupted`.
    pub fn merge(&self, engine: &Engine, other: &State, manner: &Manner) -> Result<State> {
        self.refuse_held()?;
        other.refuse_held()?;
        let (mine, others) = (self.layer_ids(), other.layer_ids());
        let shared = mine.iter().zip(&others).take_while(|(one, two)| one == two).count();
        let added = &others[shared..];
        let words = format!("MERGE {}", other.step().words);
        let inputs = json!({ "other": other.key().to_string() });
        let mut operation = Operation::new("merge", &inputs, words, manner)?;
        operation.layers = Some(others.clone());
        let key = self.key_after(&operation);
        // Overlayfs takes a folder once only: what is here already comes again as one layer of its own.
        if !mine.ends_with(added) && added.iter().any(|id| mine.contains(id)) {
            let done = self.cached(engine, &key, &operation, false, |_| Ok((other.flat(engine, shared)?, None)))?;
            return Ok(self.after(key, Some(done), operation));
        }
        let layers: &[StateLayer] = if mine.ends_with(added) { &[] } else { &other.0.layers[shared..] };
        let mut config = self.0.config.clone();
        config.created = config.created.max(other.0.config.created.clone());
        config.history.extend(merged_history(other, layers.len(), manner, &operation.history));
        let fresh = other.lineage().any(State::is_fresh);
        let step = Step { cached: !fresh, layer: layers.last().map(StateLayer::id), ..Step::start(operation.step) };
        let layers = self.0.layers.iter().chain(layers).cloned().collect();
        Ok(State(Arc::new(Inner { key, parent: Some(self.clone()), base: None, layers, config, step })))
    }

    /// This state and those it was made of, newest first.
    pub(super) fn lineage(&self) -> impl Iterator<Item = &State> {
        std::iter::successors(Some(self), |state| state.parent())
    }

    pub(super) fn layer_ids(&self) -> Vec<String> {
        self.0.layers.iter().map(StateLayer::id).collect()
    }

    /// # Errors
    /// `invalid_argument` for a state of a failed step.
    pub(super) fn refuse_held(&self) -> Result<()> {
        if !self.is_held() {
            return Ok(());
        }
        Err(Error::invalid("a state of a failed step cannot become an image")
            .with_hint("copy out of it, or run something in it"))
    }

    /// The layer folders of the whole state as one tree in a work area's `fs/`.
    ///
    /// # Errors
    /// As [`State::flat`].
    pub(super) fn tree_of_all(&self, engine: &Engine) -> Result<Workspace> {
        let _in_use = engine.store().shared(engine.cancel())?;
        if let Some(area) = self.flat(engine, 0)? {
            return Ok(area);
        }
        let area = engine.store().workspace()?;
        let nothing: [PathBuf; 0] = [];
        flatten(&nothing, &nothing, &area.join("fs"), engine.cancel())?;
        Ok(area)
    }
}

/// A line of history for each layer that comes from `other`: its own where they are known.
fn merged_history(other: &State, count: usize, manner: &Manner, words: &str) -> Vec<History> {
    let made: Vec<&History> = other.0.config.history.iter().filter(|entry| !entry.empty_layer).collect();
    let known = made.len() == other.0.layers.len();
    (made.len().saturating_sub(count)..)
        .take(count)
        .map(|at| {
            let mut entry = if known { made[at].clone() } else { History::default() };
            entry.created_by = manner.history.clone().or(entry.created_by).or_else(|| Some(words.to_string()));
            History { empty_layer: false, ..entry }
        })
        .collect()
}
