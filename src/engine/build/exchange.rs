//! The cache of steps, to a registry and back: an artifact whose document lists records of steps, and whose blobs are
//! the layers they made and what they printed.
//!
//! Nothing of an artifact is believed: keys, digests, sizes and types are checked before anything is written; a layer
//! is unpacked under the digest of its own content; an image is never taken for a cache (CVE-2024-24557). What cannot
//! be checked is that a step makes the layer its record names: import only from where you would pull images.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::super::image::{Artifact, Content, Layer};
use super::super::progress::Task;
use super::super::reference::Reference;
use super::record::{self, StepRecord};
use super::remote::{self, RemoteLayer};
use super::run::OUTPUT_BYTES;
use super::{State, commit};

/// The media type of the document.
const CACHE: &str = "application/vnd.moonshell.cache.v1+json";
/// The media type of what a step printed.
const OUTPUT: &str = "application/vnd.moonshell.cache.output.v1";
/// The version of the document.
const VERSION: u32 = 1;
/// Longer words of a step are refused.
const WORDS_BYTES: usize = 64 << 10;

/// The document.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// Of each blob its diff id; null for one that is no layer.
    blobs: Vec<Option<Digest>>,
    steps: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
struct Step {
    /// 64 hexadecimal digits.
    key: String,
    step: String,
    created: String,
    /// Which blob is its layer; none if it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    /// Which blob is what it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<usize>,
}

/// Which steps to export.
#[derive(Debug, Clone, Default)]
pub enum Exported {
    /// Those this process has taken or known.
    #[default]
    Taken,
    /// Those on the way to these states.
    States(Vec<State>),
    /// All that are known.
    All,
}

/// What went to a registry, or came from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchanged {
    /// Records of steps.
    pub steps: usize,
    /// Layers.
    pub layers: usize,
    /// Bytes of the blobs.
    pub bytes: u64,
    /// The digest of the artifact's manifest.
    pub digest: Option<Digest>,
}

/// Blobs by their number, each once.
#[derive(Default)]
struct Blobs {
    numbers: BTreeMap<String, usize>,
    diff_ids: Vec<Option<Digest>>,
    contents: Vec<(Content, String)>,
}

impl Blobs {
    fn add(&mut self, name: String, diff_id: Option<Digest>, content: Content, media_type: String) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.diff_ids.push(diff_id);
            self.contents.push((content, media_type));
            self.contents.len() - 1
        })
    }
}

impl Engine {
    /// Pushes records of steps and what they made.
    ///
    /// # Errors
    /// `not_found` when there is no step to export; `permission`, `network`, `timeout`, `interrupted`, `os`.
    pub fn cache_export(&self, to: &Reference, what: &Exported) -> Result<Exchanged> {
        let result = self.export(to, what);
        result.map_err(|e| e.with_op("cache.export").with_subject(to.familiar()))
    }

    fn export(&self, to: &Reference, what: &Exported) -> Result<Exchanged> {
        let store = self.store();
        let _shared = store.shared(self.cancel())?;
        let mut blobs = Blobs::default();
        let mut steps = Vec::new();
        for key in self.exported(what)? {
            self.cancel().check()?;
            // From now on nobody prunes it.
            store.pin(&key.hex())?;
            let Some(record) = record::read(store, &key)? else { continue };
            let layer = record.layer.as_ref().map(|id| self.export_layer(id, &record, &mut blobs)).transpose();
            let layer = match layer {
                // Gone from everywhere: the step is not known any more.
                Err(e) if e.kind() == Kind::NotFound => continue,
                other => other?,
            };
            let output = record::read_output(store, &key).map(|text| -> Result<usize> {
                let content = Content { digest: store.put_blob(&text)?, size: text.len() as u64 };
                Ok(blobs.add(content.digest.to_string(), None, content, OUTPUT.into()))
            });
            let output = output.transpose()?;
            steps.push(Step { key: key.hex(), step: record.step, created: record.created, layer, output });
        }
        if steps.is_empty() {
            return Err(
                Error::not_found("there is no step to export").with_hint("build something first, or name states")
            );
        }
        let layers = blobs.diff_ids.iter().flatten().count();
        let bytes = blobs.contents.iter().map(|(content, _)| content.size).sum();
        let count = steps.len();
        let document = Document { version: VERSION, blobs: blobs.diff_ids, steps };
        let text = serde_json::to_vec(&document)
            .map_err(|e| Error::new(Kind::Internal, format!("the document of a cache: {e}")))?;
        if text.len() as u64 > self.config().limits.metadata_bytes {
            return Err(Error::invalid(format!("{count} steps are too many for one cache"))
                .with_hint("export the states you need, or prune first"));
        }
        let digest = self.artifact_push(to, CACHE, &text, &blobs.contents)?;
        Ok(Exchanged { steps: count, layers, bytes, digest: Some(digest) })
    }

    fn exported(&self, what: &Exported) -> Result<BTreeSet<Digest>> {
        Ok(match what {
            Exported::Taken => self.session().known().keys.clone(),
            Exported::States(states) => states
                .iter()
                .flat_map(|state| std::iter::successors(Some(state), |state| state.parent()))
                .filter_map(|state| state.step().key)
                .collect(),
            Exported::All => self.cache_list()?.iter().filter_map(|entry| Digest::from_hex(&entry.key)).collect(),
        })
    }

    fn export_layer(&self, id: &str, record: &StepRecord, blobs: &mut Blobs) -> Result<usize> {
        if let Some(number) = blobs.numbers.get(id) {
            return Ok(*number);
        }
        let (diff_id, content, media_type) = match &record.remote {
            Some(layer) if !self.store().has_layer(id) => {
                self.session().known().remote.insert(id.into(), layer.clone());
                let layer = remote::bring_blob(self, id, &layer.media_type)?.unwrap_or_else(|| layer.clone());
                (layer.diff_id, layer.content(), layer.media_type)
            }
            _ => {
                let packed = commit::pack_step(self, id)?;
                (packed.diff_id, Content { digest: packed.digest, size: packed.size }, packed.media_type)
            }
        };
        Ok(blobs.add(id.into(), Some(diff_id), content, media_type))
    }

    /// Learns the records of a cache in a registry. Layers are fetched when a step is first built on, or with `now` at
    /// once. Records that are here stay.
    ///
    /// # Errors
    /// `unsupported` when it is something else than a cache; `integrity` when it is damaged: nothing is learnt then;
    /// `not_found`, `permission`, `network`, `timeout`, `interrupted`, `os`.
    pub fn cache_import(&self, from: &Reference, now: bool) -> Result<Exchanged> {
        let result = self.import(from, now);
        result.map_err(|e| e.with_op("cache.import").with_subject(from.familiar()))
    }

    fn import(&self, from: &Reference, now: bool) -> Result<Exchanged> {
        let store = self.store();
        let task = Task::start(self.progress(), "import", from.familiar(), None);
        let artifact = self.artifact_read(from, CACHE)?;
        let checked = self.check(from, &artifact)?;
        let _shared = store.shared(self.cancel())?;
        let outputs: BTreeSet<usize> = checked.iter().filter_map(|step| step.output).collect();
        let outputs: Vec<Content> = outputs.into_iter().map(|number| artifact.blobs[number].0).collect();
        self.fetch_blobs(from, &outputs)?;
        let mut layers: Vec<Layer> = Vec::new();
        for remote in checked.iter().filter_map(|step| step.record.remote.as_ref()) {
            if !layers.contains(&remote.layer()) {
                layers.push(remote.layer());
            }
        }
        if now {
            self.fetch_layers(from, &layers)?;
        }
        let mut steps = 0;
        for step in &checked {
            let is_here = |known: StepRecord| match &known.layer {
                Some(layer) => store.has_layer(layer) || known.remote == step.record.remote,
                None => true,
            };
            if record::read(store, &step.key)?.is_some_and(is_here) {
                continue;
            }
            let output =
                step.output.map(|number| store.read_blob(&artifact.blobs[number].0.digest, OUTPUT_BYTES as u64));
            let draft = record::draft(store, &step.record, output.transpose()?.as_deref())?;
            draft.sync()?;
            draft.keep(store, &step.key, &step.record)?;
            steps += 1;
        }
        task.end("done");
        let bytes = artifact.blobs.iter().map(|(content, _)| content.size).sum();
        Ok(Exchanged { steps, layers: layers.len(), bytes, digest: None })
    }

    fn check(&self, from: &Reference, artifact: &Artifact) -> Result<Vec<Checked>> {
        let damaged = |what: String| Error::integrity(format!("the cache {} is damaged: {what}", from.familiar()));
        let document: Document =
            serde_json::from_slice(&artifact.document).map_err(|e| damaged(format!("its list of steps: {e}")))?;
        if document.version != VERSION {
            return Err(Error::new(Kind::Unsupported, format!("the cache has version {}", document.version))
                .with_hint("export it again with this version of moonshell"));
        }
        if document.blobs.len() != artifact.blobs.len() {
            return Err(damaged("its manifest has other blobs than its list".into()));
        }
        let reader = Reader { limit: self.config().limits.layer_bytes, from, artifact, diff_ids: &document.blobs };
        let mut keys = BTreeSet::new();
        let mut checked = Vec::with_capacity(document.steps.len());
        for step in document.steps {
            let step = reader.step(step).map_err(damaged)?;
            if !keys.insert(step.key) {
                return Err(damaged(format!("it has the step {} twice", step.key.hex())));
            }
            checked.push(step);
        }
        Ok(checked)
    }
}

/// A step of an artifact that may be written.
struct Checked {
    key: Digest,
    record: StepRecord,
    output: Option<usize>,
}

struct Reader<'a> {
    limit: u64,
    from: &'a Reference,
    artifact: &'a Artifact,
    diff_ids: &'a [Option<Digest>],
}

impl Reader<'_> {
    fn step(&self, step: Step) -> Result<Checked, String> {
        let key = Digest::from_hex(&step.key).filter(|key| key.hex() == step.key);
        let key = key.ok_or_else(|| format!("'{}' is no key", step.key.escape_debug()))?;
        if step.step.len() > WORDS_BYTES {
            return Err(format!("the step {} has {} bytes of words", step.key, step.step.len()));
        }
        humantime::parse_rfc3339(&step.created).map_err(|_| format!("'{}' is no time", step.created.escape_debug()))?;
        let remote = step.layer.map(|number| self.layer(number)).transpose()?;
        if let Some(number) = step.output {
            self.check_output(number)?;
        }
        let layer = remote.as_ref().map(|remote| remote.diff_id.hex());
        let record = StepRecord { layer, created: step.created, step: shown(&step.step), ground: None, remote };
        Ok(Checked { key, record, output: step.output })
    }

    fn layer(&self, number: usize) -> Result<RemoteLayer, String> {
        let (Some((content, media_type)), Some(Some(diff_id))) =
            (self.artifact.blobs.get(number), self.diff_ids.get(number))
        else {
            return Err(format!("there is no layer {number}"));
        };
        let is_tar = media_type
            .strip_prefix("application/vnd.oci.image.layer.v1.tar")
            .is_some_and(|end| ["", "+gzip", "+zstd"].contains(&end));
        if !is_tar {
            return Err(format!("layer {number} has type {}", media_type.escape_debug()));
        }
        if content.size > self.limit {
            return Err(format!("layer {number} has {} bytes, more than {}", content.size, self.limit));
        }
        let (digest, size, media_type) = (content.digest, content.size, media_type.clone());
        Ok(RemoteLayer { from: self.from.to_string(), diff_id: *diff_id, digest, size, media_type })
    }

    fn check_output(&self, number: usize) -> Result<(), String> {
        match self.artifact.blobs.get(number) {
            Some((content, kind)) if kind == OUTPUT && content.size <= OUTPUT_BYTES as u64 => Ok(()),
            _ => Err(format!("there is no output {number}, or it is too long")),
        }
    }
}

/// Words for people, as a terminal may have them: they come from elsewhere.
fn shown(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        match c.is_control() && !matches!(c, '\n' | '\t') {
            true => text.extend(c.escape_debug()),
            false => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_is_refused() {
        let content = |size| Content { digest: Digest::of("blob"), size };
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip".to_string();
        let artifact = Artifact {
            document: Vec::new(),
            blobs: vec![
                (content(10), tar.clone()),
                (content(10), OUTPUT.into()),
                (content(1 << 60), tar),
                (content(1 << 60), OUTPUT.into()),
                (content(10), "text/html".into()),
            ],
        };
        let from: Reference = "127.0.0.1:5000/cache:1".parse().unwrap();
        let diff_ids = [Some(Digest::of("tar")), None, Some(Digest::of("tar")), None, Some(Digest::of("page"))];
        let reader = Reader { limit: 1 << 30, from: &from, artifact: &artifact, diff_ids: &diff_ids };
        let good = || Step {
            key: "a".repeat(64),
            step: "RUN make".into(),
            created: "2026-01-01T00:00:00Z".into(),
            layer: Some(0),
            output: Some(1),
        };
        let checked = reader.step(good()).unwrap();
        assert_eq!(checked.record.layer, Some(Digest::of("tar").hex()));
        let step = Step { step: "RUN\tx\n\u{1b}[31m\u{9b}\r".into(), ..good() };
        assert_eq!(reader.step(step).unwrap().record.step, "RUN\tx\n\\u{1b}[31m\\u{9b}\\r");
        for key in ["", "../../etc/passwd", "a", &"A".repeat(64), &format!("{}/", "a".repeat(63)), &"a".repeat(65)] {
            assert!(reader.step(Step { key: key.into(), ..good() }).is_err(), "{key}");
        }
        for layer in [1, 2, 3, 4, 5, usize::MAX] {
            assert!(reader.step(Step { layer: Some(layer), ..good() }).is_err(), "layer {layer}");
        }
        for output in [0, 3, 4, 99] {
            assert!(reader.step(Step { output: Some(output), ..good() }).is_err(), "output {output}");
        }
        assert!(reader.step(Step { created: "\u{1b}[2J".into(), ..good() }).is_err());
        assert!(reader.step(Step { step: "x".repeat(1 << 20), ..good() }).is_err());
    }
}
