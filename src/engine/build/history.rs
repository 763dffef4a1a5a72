//! Looking at how a state came to be, and at how two states differ.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{OsContext, Result};
use super::super::image::config::History;
use super::super::rootfs::view::{Found, View, kind_name};
use super::files::{FileEntry, file_entry};
use super::{State, StateLayer, Step};

/// One step on the way to a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeStep {
    /// What it was.
    pub step: Step,
    /// The key of the state after it.
    pub key: Digest,
    /// Bytes of the layer it made, if it is here.
    pub size: Option<u64>,
}

/// One entry of a state's history.
#[derive(Debug, Clone, PartialEq)]
pub struct StateHistory {
    /// What the configuration says.
    pub entry: History,
    /// The id of the layer that belongs to it.
    pub layer: Option<String>,
    /// Bytes of that layer: of a step's as unpacked, of an image's as a registry holds it.
    pub size: Option<u64>,
}

/// One difference between two states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `added`, `changed` or `deleted`.
    pub kind: &'static str,
    /// The absolute path.
    pub path: PathBuf,
}

impl State {
    /// The steps from the base to this state.
    ///
    /// # Errors
    /// None so far; a layer that is not here has no size.
    pub fn tree(&self, engine: &Engine) -> Result<Vec<TreeStep>> {
        let chain: Vec<&State> = std::iter::successors(Some(self), |state| state.parent()).collect();
        let step = |state: &State| {
            let step = state.step().clone();
            let meta = step.layer.as_ref().and_then(|layer| engine.store().layer_meta(layer).ok());
            TreeStep { key: state.key(), size: meta.map(|meta| meta.bytes), step }
        };
        Ok(chain.into_iter().rev().map(step).collect())
    }

    /// The history an image of it would have, oldest step first.
    pub fn history(&self, engine: &Engine) -> Vec<StateHistory> {
        let mut layers = self.0.layers.iter();
        let mut one = |entry: &History| {
            let layer = if entry.empty_layer { None } else { layers.next() };
            let (layer, size) = match layer {
                Some(StateLayer::Image(layer, _)) => (Some(layer.diff_id.hex()), Some(layer.blob.size)),
                Some(StateLayer::Step(id)) => {
                    (Some(id.clone()), engine.store().layer_meta(id).ok().map(|meta| meta.bytes))
                }
                Some(StateLayer::Held(_)) | None => (None, None),
            };
            StateHistory { entry: entry.clone(), layer, size }
        };
        self.config().history.iter().map(&mut one).collect()
    }

    /// What is at a path; links are not followed at its end. `None` when nothing is.
    ///
    /// # Errors
    /// `invalid_argument` when links go round in circles, `os`.
    pub fn stat(&self, engine: &Engine, path: &str) -> Result<Option<FileEntry>> {
        let lowers = self.ready_lowers(engine)?;
        let path = self.absolute(path)?;
        let found = View::new(&lowers).find_link(&path)?;
        let name = path.file_name().map_or_else(|| "/".into(), |name| name.to_os_string());
        Ok(found.map(|found| file_entry(name, &found)))
    }

    /// How another state differs from this one: what is added, changed and deleted there, a folder before what is in
    /// it; of what is deleted the topmost folder alone. What both have from the same layers is not looked at. Times do
    /// not count.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn diff(&self, engine: &Engine, other: &State) -> Result<Vec<Difference>> {
        let (old, new) = (self.ready_lowers(engine)?, other.ready_lowers(engine)?);
        let root = |lowers: &[PathBuf]| if lowers.is_empty() { Ok(None) } else { View::new(lowers).root().map(Some) };
        let (old, new) = (root(&old)?, root(&new)?);
        let mut diff = Diff { engine, differences: Vec::new() };
        diff.folders(Path::new("/"), old.as_ref(), new.as_ref())?;
        Ok(diff.differences)
    }
}

struct Diff<'a> {
    engine: &'a Engine,
    differences: Vec<Difference>,
}

impl Diff<'_> {
    /// What is in two folders, either of which may be missing.
    fn folders(&mut self, path: &Path, old: Option<&Found>, new: Option<&Found>) -> Result<()> {
        self.engine.cancel().check()?;
        let names = |found: Option<&Found>| found.map_or(Ok(Vec::new()), Found::names);
        let all: BTreeSet<OsString> = names(old)?.into_iter().chain(names(new)?).collect();
        for name in all {
            let child = |found: Option<&Found>| found.map_or(Ok(None), |found| found.child(&name));
            self.entry(path.join(&name), child(old)?.as_ref(), child(new)?.as_ref())?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, old: Option<&Found>, new: Option<&Found>) -> Result<()> {
        let kind = match (old, new) {
            (Some(old), Some(new)) if old.is_same_place(new) => return Ok(()),
            (Some(old), Some(new)) if are_alike(old, new)? => None,
            (Some(_), Some(_)) => Some("changed"),
            (Some(_), None) => Some("deleted"),
            (None, Some(_)) => Some("added"),
            (None, None) => return Ok(()),
        };
        self.differences.extend(kind.map(|kind| Difference { kind, path: path.clone() }));
        match new.filter(|new| new.meta.is_dir()) {
            Some(new) => self.folders(&path, old.filter(|old| old.meta.is_dir()), Some(new)),
            None => Ok(()),
        }
    }
}

/// Same kind, owner, mode and content; what is in folders is not looked at.
fn are_alike(old: &Found, new: &Found) -> Result<bool> {
    let (a, b) = (&old.meta, &new.meta);
    let looks = |meta: &Metadata| (meta.mode(), meta.uid(), meta.gid(), kind_name(meta));
    if looks(a) != looks(b) {
        return Ok(false);
    }
    Ok(match kind_name(a) {
        "file" => a.len() == b.len() && have_same_content(&old.path, &new.path)?,
        "link" => {
            let target = |path: &Path| std::fs::read_link(path).os(|| format!("read link {}", path.display()));
            target(&old.path)? == target(&new.path)?
        }
        "device" => a.rdev() == b.rdev(),
        _ => true,
    })
}

fn have_same_content(one: &Path, two: &Path) -> Result<bool> {
    let open = |path: &Path| File::open(path).os(|| format!("open {}", path.display()));
    let (mut one_file, mut two_file) = (open(one)?, open(two)?);
    let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one_file.read(&mut a).os(|| format!("read {}", one.display()))?;
        // As much of the other as came of this one.
        match two_file.read_exact(&mut b[..count]) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other.os(|| format!("read {}", two.display()))?,
        }
        if a[..count] != b[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}
