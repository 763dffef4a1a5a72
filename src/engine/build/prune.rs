//! What the build cache holds, and taking the oldest of it away while others build.
//!
//! A record goes only if no running process stands on its key (see [`super::super::store::pins`]); its layer goes with
//! the last record that leads to it, unless an image or a container stands on it. Folders of cache mounts go unless a
//! step has them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{OsContext, Result};
use super::super::store::gc::{file_name, list, step_layer};
use super::super::store::{Lock, Store, Workspace};
use super::record::StepRecord;
use super::why;

/// Folders of `cache/` whose entries are each a thing of their own, and what they are called.
const OTHERS: [(&str, EntryKind); 3] =
    [("mounts", EntryKind::Mount), ("http", EntryKind::Download), ("stat", EntryKind::Digests)];

/// What sort of thing the cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A step's result.
    Step,
    /// The folder of a cache mount.
    Mount,
    /// A file that was downloaded.
    Download,
    /// Digests of files of the host.
    Digests,
}

impl EntryKind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Step => "step",
            EntryKind::Mount => "mount",
            EntryKind::Download => "download",
            EntryKind::Digests => "digests",
        }
    }
}

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// What sort of thing.
    pub kind: EntryKind,
    /// The key of a step; the name of anything else.
    pub key: String,
    /// What a step was; the id of a cache mount.
    pub step: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When a step ran, RFC 3339.
    pub created: Option<String>,
    /// When it was last used, to some minutes.
    pub used: SystemTime,
    /// An image or a container stands on its layer: pruning it frees nothing.
    pub shared: bool,
    /// A running process stands on it.
    pub in_use: bool,
    /// Its layer is in a registry and not here.
    pub remote: bool,
    layer: Option<String>,
    path: PathBuf,
}

/// What to prune. With neither `keep` nor `older` everything of its sort.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneOptions {
    /// What was used last stays, up to this many bytes.
    pub keep: Option<u64>,
    /// What was used within this time stays.
    pub older: Option<Duration>,
    /// Also records of layers that images and containers have in common with the cache.
    pub all: bool,
}

/// What a pruning took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Records of steps.
    pub steps: usize,
    /// Layers.
    pub layers: usize,
    /// Anything else: folders of cache mounts, kept files.
    pub others: usize,
    /// Bytes that are free now.
    pub bytes: u64,
}

impl Engine {
    /// What the build cache holds; what was used last comes first.
    ///
    /// # Errors
    /// `integrity` when an image's name or a container's record is damaged, `os`.
    pub fn cache_list(&self) -> Result<Vec<CacheEntry>> {
        let store = self.store();
        let pinned = store.pinned()?;
        let needed = store.needed_layers(self.config().limits.metadata_bytes)?;
        let mut entries = Vec::new();
        for path in list(&store.join("cache/steps"))? {
            entries.extend(step_entry(store, path, &pinned, &needed));
        }
        for (folder, kind) in OTHERS {
            for path in list(&store.join("cache").join(folder))? {
                self.cancel().check()?;
                entries.extend(other_entry(path, kind)?);
            }
        }
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.key.cmp(&b.key)));
        Ok(entries)
    }

    /// Takes away what was not used for longest. What a running process stands on stays; of layers those stay that
    /// images, containers or other records lead to.
    ///
    /// # Errors
    /// As [`Engine::cache_list`]; `interrupted`. What was taken away before stays so.
    pub fn cache_prune(&self, options: &PruneOptions) -> Result<Pruned> {
        let store = self.store();
        let _alone = store.lock_object("cache-prune", self.cancel())?;
        let doomed = choose(self.cache_list()?, options, SystemTime::now());
        let (steps, others): (Vec<_>, Vec<_>) = doomed.into_iter().partition(|entry| entry.kind == EntryKind::Step);
        let trash = store.workspace()?;
        let mut pruned = Pruned::default();
        self.prune_steps(&steps, &trash, &mut pruned)?;
        prune_others(self, &others, &trash, &mut pruned)?;
        drop(trash);
        if let Some(swept) = store.sweep_content(self.config().limits.metadata_bytes)? {
            pruned.bytes += swept.blob_bytes;
        }
        Ok(pruned)
    }

    fn prune_steps(&self, steps: &[CacheEntry], trash: &Workspace, pruned: &mut Pruned) -> Result<()> {
        let store = self.store();
        let moved: Vec<&CacheEntry> =
            steps.iter().filter(|entry| fs::rename(&entry.path, trash.join(&entry.key)).is_ok()).collect();
        // Read after the records are out of sight: whoever is not in it by now will not find them.
        let pinned = store.pinned()?;
        let (stay, go): (Vec<&CacheEntry>, _) = moved.into_iter().partition(|entry| pinned.contains(&entry.key));
        for entry in stay {
            // If the step was taken again meanwhile, its new record is the better one.
            let _ = renameat_with(CWD, trash.join(&entry.key), CWD, &entry.path, RenameFlags::NOREPLACE);
        }
        let mut layers = HashSet::new();
        for entry in go {
            layers.extend(step_layer(&trash.join(&entry.key)));
            pruned.steps += 1;
            if let Some(key) = Digest::from_hex(&entry.key) {
                pruned.bytes += remove_file(&entry.path.with_extension("out"))?;
                remove_file(&why::path(store, &key))?;
            }
        }
        for path in list(&store.join("cache/steps"))? {
            if let Some(layer) = step_layer(&path) {
                layers.remove(&layer);
            }
        }
        // After the notes of processes: an image that one of them has made since is seen.
        let needed = store.needed_layers(self.config().limits.metadata_bytes)?;
        for layer in layers.difference(&needed) {
            self.cancel().check()?;
            prune_layer(store, layer, trash, pruned)?;
        }
        Ok(())
    }
}

/// The record of a step, or what is left of a damaged one.
fn step_entry(store: &Store, path: PathBuf, pinned: &HashSet<String>, needed: &HashSet<String>) -> Option<CacheEntry> {
    let key = file_name(&path);
    // What belongs to a record goes with it.
    Digest::from_hex(&key)?;
    let meta = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let record = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<StepRecord>(&text).ok());
    let (step, created, layer, from) = match record {
        Some(record) => (Some(record.step), Some(record.created), record.layer, record.remote),
        None => (None, None, None, None),
    };
    let bytes = layer.as_ref().and_then(|layer| store.layer_meta(layer).ok()).map(|meta| meta.bytes);
    let output = fs::metadata(path.with_extension("out")).map_or(0, |meta| meta.len());
    Some(CacheEntry {
        kind: EntryKind::Step,
        step,
        size: bytes.unwrap_or(0) + output,
        created,
        used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        shared: layer.as_ref().is_some_and(|layer| needed.contains(layer)),
        in_use: pinned.contains(&key),
        remote: from.is_some() && bytes.is_none(),
        key,
        layer,
        path,
    })
}

fn other_entry(path: PathBuf, kind: EntryKind) -> Result<Option<CacheEntry>> {
    let meta = match fs::symlink_metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.os(|| format!("stat {}", path.display()))?,
    };
    Ok(Some(CacheEntry {
        kind,
        key: file_name(&path),
        // What a cache mount was called.
        step: fs::read_to_string(path.join("id")).ok(),
        size: size_of(&path)?,
        created: None,
        used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        shared: false,
        in_use: false,
        remote: false,
        layer: None,
        path,
    }))
}

/// Bytes of files below a path. What vanishes meanwhile does not count.
fn size_of(path: &Path) -> Result<u64> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let meta = match fs::symlink_metadata(path) {
        Err(e) if gone(&e) => return Ok(0),
        other => other.os(|| format!("stat {}", path.display()))?,
    };
    if !meta.is_dir() {
        return Ok(if meta.is_file() { meta.len() } else { 0 });
    }
    match fs::read_dir(path) {
        Err(e) if gone(&e) => Ok(0),
        Err(e) => Err(e).os(|| format!("list {}", path.display())),
        Ok(entries) => entries.flatten().map(|entry| size_of(&entry.path())).sum(),
    }
}

/// What is to go, of a list that begins with what was used last.
fn choose(entries: Vec<CacheEntry>, options: &PruneOptions, now: SystemTime) -> Vec<CacheEntry> {
    let may = |entry: &CacheEntry| options.all || !entry.shared;
    let old = |entry: &CacheEntry| {
        options.older.is_none_or(|least| now.duration_since(entry.used).unwrap_or_default() > least)
    };
    let mut kept = 0u64;
    let mut counted = HashSet::new();
    let mut goes = |entry: &CacheEntry| {
        let frees = !entry.shared && entry.layer.as_ref().is_none_or(|layer| counted.insert(layer.clone()));
        kept = kept.saturating_add(if frees { entry.size } else { 0 });
        let much = options.keep.is_none_or(|most| kept > most);
        // What stays for another reason counts as well.
        may(entry) && !entry.in_use && old(entry) && much
    };
    entries.into_iter().filter(|entry| goes(entry)).collect()
}

fn prune_layer(store: &Store, id: &str, trash: &Workspace, pruned: &mut Pruned) -> Result<()> {
    let Ok(meta) = store.layer_meta(id) else { return Ok(()) };
    let layers = store.join("layers");
    match fs::rename(layers.join(id), trash.join(format!("layer-{id}"))) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.os(|| format!("prune layer {id}"))?,
    }
    pruned.layers += 1;
    pruned.bytes += meta.bytes;
    // Names that images had for it, and what is known of its tar.
    for path in list(&layers)? {
        if fs::read_link(&path).is_ok_and(|target| target == Path::new(id)) {
            remove_file(&path)?;
        }
    }
    for path in list(&store.join("cache/packed"))? {
        if file_name(&path).strip_prefix(id).is_some_and(|rest| rest.starts_with('-')) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

fn prune_others(engine: &Engine, others: &[CacheEntry], trash: &Workspace, pruned: &mut Pruned) -> Result<()> {
    for (index, entry) in others.iter().enumerate() {
        let _mine = match entry.kind {
            EntryKind::Mount => match alone(engine, entry)? {
                Some(locks) => Some(locks),
                None => continue,
            },
            _ => None,
        };
        match fs::rename(&entry.path, trash.join(format!("other-{index}"))) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other.os(|| format!("prune {}", entry.path.display()))?,
        }
        pruned.others += 1;
        pruned.bytes += entry.size;
    }
    Ok(())
}

/// Takes the folder of a cache mount, unless a step has it: who waits for its lock looks afterwards whether it is
/// still there.
fn alone(engine: &Engine, entry: &CacheEntry) -> Result<Option<(Lock, Option<fs::File>)>> {
    let store = engine.store();
    let making = store.lock_object(&format!("cache-{}", entry.key), engine.cancel())?;
    let path = entry.path.join("lock");
    match fs::File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Some((making, None))),
        Err(e) => Err(e).os(|| format!("open {}", path.display())),
        Ok(file) => Ok(store.try_hold(&file)?.then_some((making, Some(file)))),
    }
}

/// Removes a file and says how long it was; one that is not there is fine.
fn remove_file(path: &Path) -> Result<u64> {
    let size = fs::symlink_metadata(path).map_or(0, |meta| meta.len());
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        other => other.os(|| format!("remove {}", path.display())).map(|()| size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, size: u64, age: u64, now: SystemTime) -> CacheEntry {
        CacheEntry {
            kind: EntryKind::Step,
            key: key.into(),
            step: None,
            size,
            created: None,
            used: now - Duration::from_secs(age),
            shared: key.contains("shared"),
            in_use: key.contains("used"),
            remote: false,
            layer: None,
            path: PathBuf::new(),
        }
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_used_stays() {
        let now = SystemTime::now();
        let all = || {
            [("new", 10, 1), ("used", 10, 2), ("shared", 10, 3), ("mid", 10, 4), ("old", 10, 5)]
                .map(|(key, size, age)| entry(key, size, age, now))
                .to_vec()
        };
        let keys = |options: PruneOptions| -> Vec<String> {
            choose(all(), &options, now).into_iter().map(|entry| entry.key).collect()
        };
        let none = PruneOptions::default();
        assert_eq!(keys(none), ["new", "mid", "old"]);
        assert_eq!(keys(PruneOptions { all: true, ..none }), ["new", "shared", "mid", "old"]);
        assert_eq!(keys(PruneOptions { keep: Some(30), ..none }), ["old"]);
        assert_eq!(keys(PruneOptions { keep: Some(1000), all: true, ..none }), [""; 0]);
        assert_eq!(keys(PruneOptions { older: Some(Duration::from_secs(3)), ..none }), ["mid", "old"]);
    }
}
