//! Records of steps: one small file a step, found by the step's key.
//!
//! ```text
//! cache/steps/KEY            StepRecord; its time is when it was last used, to some minutes
//! cache/steps/KEY.out        what the step printed, of one asked for its output
//! cache/steps/KEY.old-LAYER  a record that another one replaced while somebody stood on its layer
//! ```
//!
//! A record that cannot be read counts as none: the cache is expendable.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::store::Store;
use super::super::store::temporary::TemporaryFile;
use super::remote::RemoteLayer;

/// The use of a record is noted at most this often: a hit shall cost no write.
const NOTE_USE: Duration = Duration::from_secs(600);
/// Longer files are no records.
const RECORD_BYTES: u64 = 1 << 20;

/// What the cache knows of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepRecord {
    /// The layer it made; none if it changed nothing.
    pub layer: Option<String>,
    /// When it ran, RFC 3339.
    pub created: String,
    /// What it was.
    pub step: String,
    /// The digest of the layers it read; none if that is not known, as of a record from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Digest>,
    /// Where the layer can be had from if it is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteLayer>,
}

/// What an engine's builds have in common.
#[derive(Debug, Default)]
pub(in super::super) struct Session(Mutex<Known>);

#[derive(Debug, Default)]
pub(super) struct Known {
    /// The keys of the steps that were taken or known.
    pub keys: BTreeSet<Digest>,
    /// Layers that are not here, but can be fetched.
    pub remote: HashMap<String, RemoteLayer>,
}

impl Session {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the record of a key is.
pub(super) fn path(store: &Store, key: &Digest) -> PathBuf {
    store.join("cache/steps").join(key.hex())
}

/// The record of a key, if there is a sound one, and a note that it was used.
///
/// # Errors
/// `os`.
pub(super) fn read(store: &Store, key: &Digest) -> Result<Option<StepRecord>> {
    let path = path(store, key);
    let read = || -> io::Result<Option<StepRecord>> {
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > RECORD_BYTES {
            return Ok(None);
        }
        let mut text = vec![0; meta.len() as usize];
        if (&file).read_exact(&mut text).is_err() {
            return Ok(None);
        }
        let record = serde_json::from_slice(&text).ok();
        if record.is_some() && meta.modified()?.elapsed().map_or(true, |age| age > NOTE_USE) {
            // Only what is pruned first depends on it; a file system that cannot be written to is no reason to fail.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(record)
    };
    read().os(|| format!("read {}", path.display()))
}

/// What a step printed.
pub(super) fn read_output(store: &Store, key: &Digest) -> Option<Vec<u8>> {
    fs::read(path(store, key).with_extension("out")).ok()
}

/// A record that is written, but not in the cache.
pub(super) struct Draft {
    record: TemporaryFile,
    output: Option<TemporaryFile>,
}

/// Writes a record and what its step printed.
///
/// # Errors
/// `os`.
pub(super) fn draft(store: &Store, record: &StepRecord, output: Option<&[u8]>) -> Result<Draft> {
    let text = serde_json::to_vec(record).map_err(|e| Error::new(Kind::Internal, format!("a step's record: {e}")))?;
    let write = |bytes: &[u8]| -> Result<TemporaryFile> {
        let mut file = store.temporary_file()?;
        file.write_all(bytes).os(|| "write the record of a step")?;
        Ok(file)
    };
    Ok(Draft { record: write(&text)?, output: output.map(write).transpose()? })
}

impl Draft {
    /// Makes its bytes durable, where no file system is synced anyway before it is kept.
    ///
    /// # Errors
    /// `os`.
    pub fn sync(&self) -> Result<()> {
        let mut files = self.output.iter().chain([&self.record]);
        files.try_for_each(|file| file.as_file().sync_all()).os(|| "keep the record of a step")
    }

    /// Puts it into the cache. After a power cut it may be gone.
    ///
    /// # Errors
    /// `os`.
    pub fn keep(self, store: &Store, key: &Digest, record: &StepRecord) -> Result<()> {
        let path = path(store, key);
        if let Some(output) = self.output {
            output.persist(&path.with_extension("out")).os(|| format!("write {}", path.display()))?;
        }
        keep_replaced(store, key, record)?;
        self.record.persist(&path).os(|| format!("write {}", path.display()))
    }
}

/// A layer that another process may stand on stays known when its step was taken again.
fn keep_replaced(store: &Store, key: &Digest, record: &StepRecord) -> Result<()> {
    let Some(old) = read(store, key)?.and_then(|old| old.layer) else { return Ok(()) };
    if record.layer.as_ref() == Some(&old) || !store.has_layer(&old) {
        return Ok(());
    }
    let path = path(store, key);
    match fs::rename(&path, path.with_extension(format!("old-{old}"))) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.os(|| format!("replace {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(store: &Store, key: &Digest, record: &StepRecord, output: Option<&[u8]>) {
        draft(store, record, output).unwrap().keep(store, key, record).unwrap();
    }

    #[test]
    fn damaged_records_count_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of("key");
        let record =
            StepRecord { layer: None, created: "now".into(), step: "RUN x".into(), ground: None, remote: None };
        assert!(read(&store, &key).unwrap().is_none());
        keep(&store, &key, &record, Some(b"out"));
        assert_eq!(read(&store, &key).unwrap().unwrap().step, "RUN x");
        assert_eq!(read_output(&store, &key).unwrap(), b"out");
        for damage in ["", "{", "{\"layer\":7}", "\0\0\0"] {
            fs::write(path(&store, &key), damage).unwrap();
            assert!(read(&store, &key).unwrap().is_none(), "{damage:?}");
        }
        fs::remove_file(path(&store, &key)).unwrap();
        fs::create_dir(path(&store, &key)).unwrap();
        assert!(read(&store, &key).unwrap().is_none());
    }

    #[test]
    fn use_is_noted_when_some_time_has_passed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of("key");
        let record =
            StepRecord { layer: None, created: "now".into(), step: "RUN x".into(), ground: None, remote: None };
        keep(&store, &key, &record, None);
        let used = || fs::metadata(path(&store, &key)).unwrap().modified().unwrap();
        for (age, noted) in [(60, false), (3600, true)] {
            let then = SystemTime::now() - Duration::from_secs(age);
            File::open(path(&store, &key)).unwrap().set_modified(then).unwrap();
            read(&store, &key).unwrap().unwrap();
            assert_eq!(used().duration_since(then).unwrap() > Duration::from_secs(1), noted);
        }
    }
}
