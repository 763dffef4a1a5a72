//! Sweeping content nothing leads to: blobs of removed images, layers neither images nor cached steps use.
//!
//! Marks from the names and the step records, under the store's exclusive lock, which is had only when nobody adds or
//! uses content; what is unmarked is moved to a work area by renames, and deleted after the lock is given back. While
//! somebody works nothing is swept: the next sweep finds it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::super::digest::Digest;
use super::super::error::{OsContext, Result};
use super::{Store, Workspace};

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs.
    pub blobs: usize,
    /// Bytes of those blobs.
    pub blob_bytes: u64,
    /// Unpacked layers.
    pub layers: usize,
}

/// The parts of manifests, indexes and configurations that lead on.
#[derive(Default, Deserialize)]
struct Links {
    config: Option<Pointer>,
    #[serde(default)]
    layers: Vec<Pointer>,
    #[serde(default)]
    manifests: Vec<Pointer>,
}

#[derive(Deserialize)]
struct Pointer {
    digest: Digest,
}

#[derive(Deserialize)]
struct ConfigLayers {
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Step {
    layer: Option<String>,
}

/// The part of a container's record that leads on.
#[derive(Deserialize)]
struct Container {
    manifest: Option<Pointer>,
    rootfs: Lowers,
}

#[derive(Deserialize)]
struct Lowers {
    lowers: Vec<std::path::PathBuf>,
}

#[derive(Default)]
struct Marks {
    blobs: HashSet<String>,
    layers: HashSet<String>,
}

impl Store {
    /// Sweeps what nothing leads to. `None` when somebody is adding or using content now.
    ///
    /// # Errors
    /// `integrity` when a name's descriptor is damaged: nothing is swept then; `os`.
    pub fn sweep_content(&self, metadata_limit: u64) -> Result<Option<Swept>> {
        let Some(lock) = self.try_exclusive()? else { return Ok(None) };
        let marks = self.mark(metadata_limit)?;
        let trash = self.workspace()?;
        let mut swept = Swept::default();
        self.move_blobs(&marks, &trash, &mut swept)?;
        self.move_layers(&marks, &trash, &mut swept)?;
        drop(lock);
        // Deleting is the long part; whoever comes now finds the store as it will be.
        drop(trash);
        Ok(Some(swept))
    }

    fn mark(&self, limit: u64) -> Result<Marks> {
        let mut marks = self.mark_images(limit)?;
        let pinned = self.pinned()?;
        for entry in list(&self.join("cache/steps"))? {
            let name = file_name(&entry);
            match name.split_once('.') {
                None => marks.layers.extend(step_layer(&entry)),
                // A record that was replaced, of which only a running process knows.
                Some((key, old)) if old.starts_with("old-") => match pinned.contains(key) {
                    true => marks.layers.extend(step_layer(&entry)),
                    false => drop(fs::remove_file(&entry)),
                },
                Some(_) => {}
            }
        }
        self.mark_targets(&mut marks);
        Ok(marks)
    }

    /// The layers that images and containers stand on.
    ///
    /// # Errors
    /// `integrity` when a name's descriptor or a container's record is damaged, `os`.
    pub fn needed_layers(&self, metadata_limit: u64) -> Result<HashSet<String>> {
        let mut marks = self.mark_images(metadata_limit)?;
        self.mark_targets(&mut marks);
        Ok(marks.layers)
    }

    /// The folder an image's layer is a link to stays with it.
    fn mark_targets(&self, marks: &mut Marks) {
        let targets: Vec<String> = marks
            .layers
            .iter()
            .filter_map(|id| fs::read_link(self.join("layers").join(id)).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect();
        marks.layers.extend(targets);
    }

    fn mark_images(&self, limit: u64) -> Result<Marks> {
        let mut marks = Marks::default();
        for named in self.list_refs()? {
            self.mark_manifest(&named.target.digest().to_string().parse()?, limit, &mut marks);
        }
        for folder in list(&self.join("containers"))? {
            self.mark_container(&folder, limit, &mut marks)?;
        }
        Ok(marks)
    }

    /// Marks what a container stands on. One that cannot be read might stand on anything: nothing is swept then.
    fn mark_container(&self, folder: &Path, limit: u64, marks: &mut Marks) -> Result<()> {
        let path = folder.join("container.json");
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.os(|| format!("read {}", path.display()))?,
        };
        let container: Container = serde_json::from_slice(&text)
            .map_err(|e| super::super::error::Error::integrity(format!("{}: {e}", path.display())))?;
        if let Some(manifest) = &container.manifest {
            self.mark_manifest(&manifest.digest, limit, marks);
        }
        let layers = container.rootfs.lowers.iter().filter_map(|fs| fs.parent()?.file_name());
        marks.layers.extend(layers.map(|name| name.to_string_lossy().into_owned()));
        Ok(())
    }

    /// Marks what a manifest or index leads to. What is missing or damaged leads nowhere; the name itself stays.
    fn mark_manifest(&self, digest: &Digest, limit: u64, marks: &mut Marks) {
        if !marks.blobs.insert(digest.hex()) {
            return;
        }
        let Ok(text) = self.read_blob(digest, limit) else { return };
        let links: Links = serde_json::from_slice(&text).unwrap_or_default();
        marks.blobs.extend(links.layers.iter().map(|layer| layer.digest.hex()));
        for manifest in &links.manifests {
            self.mark_manifest(&manifest.digest, limit, marks);
        }
        let Some(config) = links.config else { return };
        marks.blobs.insert(config.digest.hex());
        let text = self.read_blob(&config.digest, limit).unwrap_or_default();
        if let Ok(config) = serde_json::from_slice::<ConfigLayers>(&text) {
            marks.layers.extend(config.rootfs.diff_ids.iter().map(Digest::hex));
        }
    }

    fn move_blobs(&self, marks: &Marks, trash: &Workspace, swept: &mut Swept) -> Result<()> {
        for path in list(&self.join("blobs/sha256"))? {
            let name = file_name(&path);
            if marks.blobs.contains(&name) {
                continue;
            }
            swept.blob_bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
            swept.blobs += 1;
            fs::rename(&path, trash.join(format!("blob-{name}"))).os(|| format!("sweep blob {name}"))?;
        }
        Ok(())
    }

    fn move_layers(&self, marks: &Marks, trash: &Workspace, swept: &mut Swept) -> Result<()> {
        for path in list(&self.join("layers"))? {
            let name = file_name(&path);
            // Merged layers are made anew when a deep stack needs them; the skeleton belongs to no image.
            if name == "skeleton" || marks.layers.contains(&name) {
                continue;
            }
            swept.layers += usize::from(!path.is_symlink());
            fs::rename(&path, trash.join(format!("layer-{name}"))).os(|| format!("sweep layer {name}"))?;
        }
        for path in list(&self.join("cache/packed"))? {
            let name = file_name(&path);
            let id = name.split("-gzip").next().unwrap_or(&name);
            if !marks.layers.contains(id) {
                fs::remove_file(&path).os(|| format!("sweep {name}"))?;
            }
        }
        Ok(())
    }
}

/// The layer that a step's record names.
pub(in super::super) fn step_layer(record: &Path) -> Option<String> {
    serde_json::from_slice::<Step>(&fs::read(record).ok()?).ok()?.layer
}

/// The last part of a path.
pub(in super::super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What is in a folder; nothing if it is not there.
pub(in super::super) fn list(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let what = || format!("list {}", dir.display());
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().os(what),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e).os(what),
    }
}
