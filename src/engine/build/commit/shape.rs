//! Which layers of a state its image has: some of them, or several as one.

use std::sync::Arc;

use super::super::super::Engine;
use super::super::super::error::{Error, Result};
use super::super::super::image::config::{History, ImageConfig};
use super::super::cache::{Manner, Operation};
use super::super::{Inner, State, StateLayer};

/// Which layers become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Squash {
    /// None.
    #[default]
    Nothing,
    /// Those above the image the build started from.
    New,
    /// All.
    All,
}

impl State {
    /// The state with only some of its layers, by number from 1, and the lines of history that belong to them.
    ///
    /// # Errors
    /// `invalid_argument` for a number it does not have or that comes twice.
    pub(super) fn chosen(&self, numbers: Option<&[usize]>) -> Result<State> {
        let Some(numbers) = numbers else { return Ok(self.clone()) };
        let count = self.0.layers.len();
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        if let Some(number) = sorted.iter().find(|number| !(1..=count).contains(*number)) {
            return Err(Error::invalid(format!("no layer {number}: the state has {count}")));
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(format!("layer {} is named twice", pair[0])));
        }
        let layers = sorted.iter().map(|number| self.0.layers[number - 1].clone()).collect();
        let mut config = self.0.config.clone();
        let known = config.history.iter().filter(|entry| !entry.empty_layer).count() == count;
        let mut number = 0;
        config.history.retain(|entry| {
            number += usize::from(!entry.empty_layer);
            known && (entry.empty_layer || sorted.contains(&number))
        });
        Ok(self.with_layers(layers, config))
    }

    /// The state with several layers as one. The history keeps its lines; the last of those that made a layer has it.
    ///
    /// # Errors
    /// `not_found` when a layer was pruned meanwhile; `os`, `interrupted`.
    pub(super) fn squashed(&self, engine: &Engine, squash: Squash) -> Result<State> {
        let below = match squash {
            Squash::Nothing => return Ok(self.clone()),
            Squash::All => 0,
            Squash::New => self.lineage().last().map_or(0, |first| first.0.layers.len()),
        };
        if self.0.layers.len() <= below + 1 {
            return Ok(self.clone());
        }
        let manner = Manner::default();
        let operation = Operation::new("squash", &below, "SQUASH".into(), &manner)?;
        let key = self.key_after(&operation);
        let done = self.cached(engine, &key, &operation, false, |_| Ok((self.flat(engine, below)?, None)))?;
        let layers: Vec<StateLayer> =
            self.0.layers[..below].iter().cloned().chain(done.record.layer.map(StateLayer::Step)).collect();
        let mut config = self.0.config.clone();
        let made = layers.len() > below;
        squash_history(&mut config.history, below, made);
        Ok(self.with_layers(layers, config))
    }

    fn with_layers(&self, layers: Vec<StateLayer>, config: ImageConfig) -> State {
        let (parent, base) = (self.0.parent.clone(), self.0.base.clone());
        State(Arc::new(Inner { key: self.key(), parent, base, layers, config, step: self.0.step.clone() }))
    }
}

/// Of the lines that made layers above number `below` only the last is said to have made one.
fn squash_history(history: &mut Vec<History>, below: usize, made: bool) {
    let mut number = 0;
    let mut last = None;
    for (at, entry) in history.iter_mut().enumerate().filter(|(_, entry)| !entry.empty_layer) {
        number += 1;
        if number > below {
            entry.empty_layer = true;
            last = Some(at);
        }
    }
    match last {
        Some(at) => history[at].empty_layer = !made,
        None if made && !history.is_empty() => {
            history.push(History { created_by: Some("SQUASH".into()), ..History::default() });
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_after_squashing() {
        let squashed = |flags: &str, below, made| {
            let line = |flag| History { empty_layer: flag == '-', ..History::default() };
            let mut history: Vec<History> = flags.chars().map(line).collect();
            squash_history(&mut history, below, made);
            history.iter().map(|entry| if entry.empty_layer { '-' } else { 'L' }).collect::<String>()
        };
        assert_eq!(squashed("LLL-", 0, true), "--L-");
        assert_eq!(squashed("L-LL", 1, true), "L--L");
        assert_eq!(squashed("L-LL", 1, false), "L---");
        assert_eq!(squashed("L-", 1, true), "L-L");
        assert_eq!(squashed("", 1, true), "");
    }
}
