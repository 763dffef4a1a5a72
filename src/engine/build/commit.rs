//! From a state to an image: layers become tars with digests, the configuration is written, names are set.
//!
//! A layer is packed once; `cache/packed/` remembers its digests. What is committed again from the cache gives the
//! same digest, as nothing in it depends on the time of the commit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::image::{Content, Image, ImageConfig, Layer};

use super::super::layer::diff::{Compression, PackOptions, PackedLayer, pack_to_blob};
use super::super::progress::Task;
use super::super::reference::Reference;
use super::super::store::{Store, sync_dir};
use super::{State, StateLayer};

/// gzip's level for new layers: most of the default level's size at a third of its time.
pub(in super::super) const GZIP_LEVEL: u32 = 4;

/// What can be said of an image when it is committed.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// A remark, kept in the history.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
}

/// Digests of a packed layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Packed {
    diff_id: Digest,
    digest: Digest,
    size: u64,
    media_type: String,
}

impl Packed {
    /// A layer of an image in the store.
    pub(in super::super) fn of_image(layer: &Layer, media_type: &str) -> Packed {
        let (diff_id, digest, size) = (layer.diff_id, layer.blob.digest, layer.blob.size);
        Packed { diff_id, digest, size, media_type: media_type.to_string() }
    }

    /// A layer that was just packed.
    pub(in super::super) fn new(layer: PackedLayer) -> Packed {
        let (diff_id, digest, size) = (layer.diff_id, layer.digest, layer.size);
        Packed { diff_id, digest, size, media_type: layer.media_type.to_string() }
    }
}

impl State {
    /// Makes an image of the state and points the names at it; without names it is kept as an untagged one.
    ///
    /// # Errors
    /// `not_found` when a layer was pruned meanwhile, `interrupted`, `os`; names are then as they were.
    pub fn commit(&self, engine: &Engine, names: &[Reference], options: &CommitOptions) -> Result<Image> {
        let mut fresh = Vec::new();
        let result = self.make_image(engine, names, options, &mut fresh);
        engine.give_back(result, &fresh)
    }

    /// `fresh` receives the paths of content that was not here before.
    fn make_image(
        &self,
        engine: &Engine,
        names: &[Reference],
        options: &CommitOptions,
        fresh: &mut Vec<PathBuf>,
    ) -> Result<Image> {
        let store = engine.store();
        let _in_use = store.shared(engine.cancel())?;
        let task = Task::start(engine.progress(), "commit", self.commit_label(names), None);
        let mut packed = Vec::new();
        for layer in &self.0.layers {
            engine.cancel().check()?;
            packed.push(match layer {
                StateLayer::Image(layer, media_type) => Packed::of_image(layer, media_type),
                StateLayer::Step(id) => pack(engine, id, fresh)?,
                StateLayer::Held(_) => {
                    return Err(Error::invalid("a state of a failed step cannot become an image")
                        .with_hint("copy out of it, or run something in it"));
                }
            });
        }
        let mut config = self.0.config.clone();
        config.author = options.author.clone().or(config.author);
        if let (Some(message), Some(last)) = (&options.message, config.history.last_mut()) {
            last.comment = Some(message.clone());
        }
        let image = engine.keep_image(config, &packed, names, fresh)?;
        task.end(image.id.short());
        Ok(image)
    }

    fn commit_label(&self, names: &[Reference]) -> String {
        let list: Vec<String> = names.iter().map(Reference::familiar).collect();
        if list.is_empty() { "image".into() } else { list.join(", ") }
    }
}

impl Engine {
    /// Writes an image of packed layers and points the names at it; without names it is kept as an untagged one. The
    /// caller holds `store.shared`. `fresh` receives the paths of content that was not here before.
    pub(in super::super) fn keep_image(
        &self,
        mut config: ImageConfig,
        packed: &[Packed],
        names: &[Reference],
        fresh: &mut Vec<PathBuf>,
    ) -> Result<Image> {
        let store = self.store();
        config.rootfs.diff_ids = packed.iter().map(|layer| layer.diff_id).collect();
        let layers: Vec<(Content, &str)> = packed
            .iter()
            .map(|layer| (Content { digest: layer.digest, size: layer.size }, layer.media_type.as_str()))
            .collect();
        let id = store.blob_path(&Digest::of(config.to_bytes()?));
        fresh.extend((!id.exists()).then_some(id));
        let mut image = self.image_write(&config, &layers)?;
        fresh.push(store.blob_path(&Content::of(&image.manifest)?.digest));
        for name in names {
            self.image_tag(&image, name)?;
        }
        if names.is_empty() {
            self.image_keep(&image)?;
        }
        image.names = names.to_vec();
        Ok(image)
    }
}

/// Packs a step's layer, or remembers that it is packed.
fn pack(engine: &Engine, id: &str, fresh: &mut Vec<PathBuf>) -> Result<Packed> {
    let store = engine.store();
    let epoch = engine.config().source_date_epoch;
    let name = format!("{id}-gzip{GZIP_LEVEL}{}", epoch.map_or(String::new(), |epoch| format!("-{epoch}")));
    let path = store.join("cache/packed").join(&name);
    if let Some(known) = remembered(store, &path)? {
        return Ok(known);
    }
    let _mine = store.lock_object(&format!("pack-{id}"), engine.cancel())?;
    if let Some(known) = remembered(store, &path)? {
        return Ok(known);
    }
    if !store.has_layer(id) {
        return Err(Error::not_found(format!("layer {id} of this build is gone"))
            .with_hint("run the build again: its cache was pruned meanwhile"));
    }
    let options = PackOptions { clamp_mtime: epoch, ..PackOptions::default() };
    let layer = pack_to_blob(store, &store.layer_fs(id), Compression::Gzip(GZIP_LEVEL), &options, engine.cancel())?;
    fresh.extend([store.blob_path(&layer.digest), path.clone()]);
    link_layer(store, id, &layer.diff_id, fresh)?;
    let packed = Packed::new(layer);
    let text = serde_json::to_vec(&packed)
        .map_err(|e| Error::new(super::super::error::Kind::Internal, format!("a packed layer: {e}")))?;
    store.write_file(&path, &text)?;
    Ok(packed)
}

fn remembered(store: &Store, path: &Path) -> Result<Option<Packed>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).os(|| format!("read {}", path.display())),
    };
    // A damaged note counts as none: the layer is packed again.
    let known = serde_json::from_slice::<Packed>(&text).ok();
    Ok(known.filter(|known| store.blob_size(&known.digest) == Some(known.size)))
}

/// Lets the folder of a step be found under the diff id of its tar, as the layer of an image is.
fn link_layer(store: &Store, id: &str, diff_id: &Digest, fresh: &mut Vec<PathBuf>) -> Result<()> {
    if store.has_layer(&diff_id.hex()) {
        return Ok(());
    }
    let layers = store.join("layers");
    let link = layers.join(diff_id.hex());
    match std::os::unix::fs::symlink(id, &link) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => {
            fresh.push(link);
            other.and_then(|()| sync_dir(&layers)).os(|| format!("link layer {diff_id}"))
        }
    }
}

/// The media types of an image's layers, in OCI's words.
///
/// # Errors
/// `integrity` when the manifest is damaged.
pub(in super::super) fn media_types(engine: &Engine, image: &Image) -> Result<Vec<String>> {
    let content = Content::of(&image.manifest)?;
    let bytes = engine.store().read_blob(&content.digest, engine.config().limits.metadata_bytes)?;
    let manifest: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::integrity(format!("manifest {} is damaged: {e}", content.digest)))?;
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if layers.len() != image.layers.len() {
        return Err(Error::integrity(format!("manifest {} does not fit its image", content.digest)));
    }
    Ok(layers.iter().map(|layer| oci_type(layer["mediaType"].as_str().unwrap_or_default())).collect())
}

fn oci_type(media_type: &str) -> String {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        other => other,
    }
    .into()
}
