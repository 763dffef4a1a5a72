//! Why a step had to run: what it read is compared with what the same step read the last time it ran.
//!
//! ```text
//! cache/inputs/KEY        Inputs of the step that has the key: JSON, compressed with zstd
//! cache/inputs/last-HEX   the keys of the last steps with the same words, newest first
//! ```
//!
//! Both are written when a step was taken, and only help to explain: what is damaged or gone explains nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::Result;
use super::super::store::Store;
use super::cache::Operation;
use super::parts::{Part, PartKind, parts_of_json};
use super::{State, in_a_short_line, key_of};

/// Differences that are named; more are counted.
const MOST_NAMED: usize = 100;
/// Differences in a sentence.
const MOST_SAID: usize = 5;
/// The characters of a step in a sentence.
const STEP_SAID: usize = 80;
/// Steps with the same words that are remembered.
const MOST_LAST: usize = 8;
/// Longer lists of inputs are not compared.
const INPUT_BYTES: u64 = 256 << 20;
/// As far as a cause is looked for.
const MOST_PARENTS: usize = 1000;

/// What a step that was taken had read.
#[derive(Serialize, Deserialize)]
struct Inputs {
    kind: String,
    step: String,
    parent: Ancestor,
    /// The configuration it ran with.
    config: Vec<Part>,
    parts: Vec<Part>,
    /// The cache was not asked.
    forced: bool,
    /// The key under which the same step ran before.
    before: Option<Digest>,
}

/// The last step before this one that is not only a setting, or what the build starts from.
#[derive(Serialize, Deserialize)]
struct Ancestor {
    key: Digest,
    step: String,
}

/// One reason for which a step had to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The step that reads what differs: the step itself, or one before it.
    pub step: String,
    /// `file`, `env`, `command`, `option`, `parent`, `first`, `cached`, `disabled` or `gone`.
    pub kind: &'static str,
    /// What differs: a path, a variable, an option, the parent's step.
    pub name: String,
    /// What it was; `None` for what is new.
    pub before: Option<String>,
    /// What it is; `None` for what is gone.
    pub after: Option<String>,
}

/// Why a step had to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The step.
    pub step: String,
    /// The reasons: those of the step itself, then those of its parents.
    pub reasons: Vec<Reason>,
}

impl State {
    /// Why the last step that was not in the cache had to run. If all were, that is what it says.
    ///
    /// # Errors
    /// `os`.
    pub fn why(&self, engine: &Engine) -> Result<Why> {
        let chain = std::iter::successors(Some(self), |state| state.parent());
        let ran = chain.map(State::step).find(|step| step.created.is_some() && !step.cached);
        let Some(step) = ran else {
            let words = self.step().words.clone();
            return Ok(Why { reasons: vec![plain(&words, "cached")], step: words });
        };
        let known = step.key.and_then(|key| Some((key, read(engine.store(), &key)?)));
        let reasons = match known {
            None => vec![plain(&step.words, "first")],
            Some((_, inputs)) if inputs.forced => vec![plain(&step.words, "disabled")],
            Some((key, inputs)) if inputs.before == Some(key) => {
                let before =
                    self.lineage().skip_while(|state| state.step() != step).skip(1).find(|state| state.is_fresh());
                vec![match before {
                    Some(parent) => Reason { name: parent.step().words.clone(), ..plain(&step.words, "parent") },
                    None => plain(&step.words, "gone"),
                }]
            }
            Some((_, inputs)) => match inputs.before.and_then(|key| read(engine.store(), &key)) {
                None => vec![plain(&step.words, "first")],
                Some(before) => compare(engine.store(), before, inputs),
            },
        };
        Ok(Why { step: step.words.clone(), reasons })
    }

    /// Keeps what a step reads, which is about to be taken under this key.
    pub(super) fn note_inputs(
        &self,
        store: &Store,
        key: &Digest,
        operation: &Operation<'_>,
        forced: bool,
    ) -> Result<()> {
        let is_step = |state: &&State| state.step().created.is_some() || state.parent().is_none();
        let mut ancestor = std::iter::successors(operation.made_of.or(Some(self)), |state| state.parent());
        let ancestor = ancestor.find(is_step).unwrap_or(self);
        let config = serde_json::to_vec(&self.config().config).unwrap_or_default();
        let last = last_path(store, operation);
        let mut list: Vec<(Digest, Digest)> =
            fs::read(&last).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let place = self.standing();
        let before = list.iter().find(|(_, at)| *at == place).or(list.first()).map(|(key, _)| *key);
        let inputs = Inputs {
            kind: operation.kind.into(),
            step: operation.step.clone(),
            parent: Ancestor {
                key: ancestor.step().key.unwrap_or(ancestor.key()),
                step: ancestor.step().words.clone(),
            },
            config: parts_of_json(&config),
            parts: (operation.describe)(),
            forced,
            before,
        };
        let text = serde_json::to_vec(&inputs).unwrap_or_default();
        let text = zstd::bulk::compress(&text, 1).unwrap_or_default();
        store.write_expendable(&path(store, key), &text)?;
        list.retain(|(known, _)| known != key);
        list.insert(0, (*key, place));
        list.truncate(MOST_LAST);
        store.write_expendable(&last, &serde_json::to_vec(&list).unwrap_or_default())
    }

    /// Where in a build this is, by the words of the steps so far: the same in the next run of the same script.
    fn standing(&self) -> Digest {
        let words: Vec<&str> =
            std::iter::successors(Some(self), |state| state.parent()).map(|state| &*state.step().words).collect();
        key_of(&words)
    }
}

/// Where the inputs of a step are.
pub(super) fn path(store: &Store, key: &Digest) -> PathBuf {
    store.join("cache/inputs").join(key.hex())
}

fn last_path(store: &Store, operation: &Operation<'_>) -> PathBuf {
    let name = format!("last-{}", key_of(&[operation.kind, &operation.step]).hex());
    store.join("cache/inputs").join(name)
}

fn read(store: &Store, key: &Digest) -> Option<Inputs> {
    let file = fs::File::open(path(store, key)).ok()?;
    let mut text = Vec::new();
    zstd::Decoder::new(file).ok()?.take(INPUT_BYTES + 1).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn plain(step: &str, kind: &'static str) -> Reason {
    Reason { step: step.into(), kind, name: String::new(), before: None, after: None }
}

/// What differs, going up the parents until a step is found that reads something else.
fn compare(store: &Store, mut before: Inputs, mut after: Inputs) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for _ in 0..MOST_PARENTS {
        reasons.extend(differences(&after.step, &before.config, &after.config));
        reasons.extend(differences(&after.step, &before.parts, &after.parts));
        let (old, new) = (&before.parent, &after.parent);
        if old.key == new.key && !reasons.is_empty() {
            break;
        }
        let same_words = old.step == new.step;
        let shown = |of: &Ancestor| if same_words { of.key.short() } else { of.step.clone() };
        reasons.push(Reason {
            step: after.step.clone(),
            kind: "parent",
            name: new.step.clone(),
            before: Some(shown(old)),
            after: Some(shown(new)),
        });
        if !same_words || old.key == new.key {
            break;
        }
        match (read(store, &old.key), read(store, &new.key)) {
            (Some(old), Some(new)) => (before, after) = (old, new),
            _ => break,
        }
    }
    reasons
}

fn differences(step: &str, before: &[Part], after: &[Part]) -> Vec<Reason> {
    let map = |parts: &'_ [Part]| -> BTreeMap<(PartKind, String), String> {
        parts.iter().map(|Part(kind, name, value)| ((*kind, name.clone()), value.clone())).collect()
    };
    let (old, new) = (map(before), map(after));
    let gone = old.iter().filter(|(key, _)| !new.contains_key(key)).map(|(key, value)| (key, Some(value), None));
    let other = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let mut all: Vec<_> = gone.chain(other.map(|(key, value)| (key, old.get(key), Some(value)))).collect();
    all.sort_by_key(|(key, ..)| *key);
    let more = all.len().saturating_sub(MOST_NAMED);
    let reason = |((kind, name), before, after): (&(PartKind, String), Option<&String>, Option<&String>)| Reason {
        step: step.into(),
        kind: kind.word(),
        name: name.clone(),
        before: before.cloned(),
        after: after.cloned(),
    };
    let mut reasons: Vec<Reason> = all.into_iter().take(MOST_NAMED).map(reason).collect();
    if more > 0 {
        let kind = reasons.last().map_or("file", |last| last.kind);
        reasons.push(Reason { name: format!("{more} more"), ..plain(step, kind) });
    }
    reasons
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self.reasons.first().map(|reason| reason.kind) {
            Some("cached") => Some("was in the cache"),
            Some("first") => Some("ran for the first time"),
            Some("disabled") => Some("ran because the cache was not asked"),
            Some("gone") => Some("ran because its result was gone from the cache"),
            _ => None,
        };
        let step = in_a_short_line(&self.step, STEP_SAID);
        if let Some(text) = plain {
            return write!(f, "{step}: {text}");
        }
        write!(f, "{step}: ran because ")?;
        let mut said = 0;
        let mut first = true;
        for (index, reason) in self.reasons.iter().enumerate() {
            if reason.kind == "parent" {
                let follows = self.reasons.get(index + 1).is_some_and(|next| next.step != reason.step);
                let repeated = follows && self.reasons[index + 1].kind == "parent";
                if repeated {
                    // Only the parent that reads something else is worth a word.
                    continue;
                }
                let parent = in_a_short_line(&reason.name, STEP_SAID);
                let and = if first { "" } else { ", and " };
                match (reason.before == reason.after, follows) {
                    (true, false) if reason.before.is_none() => write!(f, "{and}its parent ran again: {parent}")?,
                    (_, true) => write!(f, "{and}its parent changed: {parent}: ")?,
                    (true, _) => write!(f, "{and}its parent's settings changed: {parent}")?,
                    (false, _) => write!(f, "{and}its parent changed: {parent}")?,
                }
                (first, said) = (true, 0);
                continue;
            }
            said += 1;
            if said == MOST_SAID + 1 {
                let rest = self.reasons[index..].iter().take_while(|other| other.step == reason.step).count();
                write!(f, " and {rest} more")?;
            }
            if said <= MOST_SAID {
                write!(f, "{}{}", if first { "" } else { ", " }, Said(reason))?;
                first = false;
            }
        }
        Ok(())
    }
}

struct Said<'a>(&'a Reason);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { kind, name, before, after, .. } = self.0;
        let name = if name.is_empty() { *kind } else { name };
        match (before, after) {
            (None, None) => write!(f, "{name}"),
            (None, Some(_)) => write!(f, "{name} added"),
            (Some(_), None) => write!(f, "{name} removed"),
            _ => write!(f, "{name} changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(step: &str, parent: &str, parts: &[(&str, &str)]) -> Inputs {
        let parts = parts.iter().map(|(path, value)| Part::file(*path, *value)).collect();
        let parent = Ancestor { key: Digest::of(parent), step: "from base".into() };
        Inputs { kind: "copy".into(), step: step.into(), parent, config: vec![], parts, forced: false, before: None }
    }

    #[test]
    fn differences_are_named_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let before = inputs("COPY . /src", "a", &[("/src/a", "1"), ("/src/b", "1"), ("/src/c", "1")]);
        let after = inputs("COPY . /src", "a", &[("/src/a", "1"), ("/src/b", "2"), ("/src/d", "1")]);
        let why = Why { step: after.step.clone(), reasons: compare(&store, before, after) };
        assert_eq!(why.to_string(), "COPY . /src: ran because /src/b changed, /src/c removed, /src/d added");
        let many: Vec<(String, String)> = (0..500).map(|n| (format!("/f{n:03}"), n.to_string())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (&**a, &**b)).collect();
        let reasons = compare(&store, inputs("COPY", "a", &[]), inputs("COPY", "a", &many));
        assert_eq!((reasons.len(), reasons[100].name.as_str()), (101, "400 more"));
        let text = Why { step: "COPY".into(), reasons }.to_string();
        assert!(text.ends_with("/f004 added and 96 more"), "{text}");
        let reasons = compare(&store, inputs("COPY", "a", &[]), inputs("COPY", "b", &[]));
        assert_eq!(Why { step: "COPY".into(), reasons }.to_string(), "COPY: ran because its parent changed: from base");
    }
}
