//! Layers become blobs. A layer is packed once in each form; `cache/packed/` remembers its digests.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::super::super::Engine;
use super::super::super::cancel::Cancel;
use super::super::super::digest::Digest;
use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::image::Layer;
use super::super::super::image::fetch::each;
use super::super::super::layer::diff::{Compression, PackOptions, PackedLayer, pack_to_blob};
use super::super::super::store::temporary::TemporaryFile;
use super::super::super::store::{Store, sync_filesystem};
use super::super::{StateLayer, remote};
use super::GZIP_LEVEL;

/// Digests of a packed layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super::super) struct Packed {
    pub diff_id: Digest,
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

impl Packed {
    /// A layer of an image in the store.
    pub(in super::super::super) fn of_image(layer: &Layer, media_type: &str) -> Packed {
        let (diff_id, digest, size) = (layer.diff_id, layer.blob.digest, layer.blob.size);
        Packed { diff_id, digest, size, media_type: media_type.to_string() }
    }

    /// A layer that was just packed.
    pub(in super::super::super) fn new(layer: PackedLayer) -> Packed {
        let (diff_id, digest, size) = (layer.diff_id, layer.digest, layer.size);
        Packed { diff_id, digest, size, media_type: layer.media_type.to_string() }
    }
}

/// Packs layers, several at once. `fresh` receives the paths of content that was not here before.
///
/// # Errors
/// The first failure of any layer.
pub(super) fn pack_all(
    engine: &Engine,
    layers: &[StateLayer],
    compression: Compression,
    fresh: &mut Vec<PathBuf>,
) -> Result<Vec<Packed>> {
    let (cancel, _guard) = engine.cancel().child()?;
    let mut ids: Vec<&str> = Vec::new();
    for layer in layers {
        if let StateLayer::Step(id) = layer
            && !ids.contains(&id.as_str())
        {
            ids.push(id);
        }
    }
    let done = Mutex::new((Vec::new(), Vec::new(), Vec::new()));
    let result = each(&ids, engine.cancel(), &cancel, |id| {
        let mut new = Vec::new();
        let result = pack(engine, id, compression, &cancel, &mut new);
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.1.extend(new);
        let (packed, note) = result?;
        done.0.push((*id, packed));
        done.2.extend(note);
        Ok(())
    });
    let (packed, new, notes) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    fresh.extend(new);
    result?;
    Note::keep_all(engine.store(), notes)?;
    let of = |layer: &StateLayer| match layer {
        StateLayer::Image(layer, media_type) => Some(Packed::of_image(layer, media_type)),
        layer => packed.iter().find(|(id, _)| *id == layer.id()).map(|(_, packed)| packed.clone()),
    };
    Ok(layers.iter().filter_map(of).collect())
}

/// What is remembered of a packed layer, not yet where it is looked for.
struct Note {
    file: TemporaryFile,
    path: PathBuf,
}

impl Note {
    fn new(store: &Store, path: PathBuf, packed: &Packed) -> Result<Note> {
        let text =
            serde_json::to_vec(packed).map_err(|e| Error::new(Kind::Internal, format!("a packed layer: {e}")))?;
        let mut file = store.temporary_file()?;
        file.write_all(&text).os(|| format!("write {}", path.display()))?;
        Ok(Note { file, path })
    }

    /// Makes notes durable, and the names of layers and steps with them: one time for all.
    fn keep_all(store: &Store, notes: Vec<Note>) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        sync_filesystem(store.root())?;
        notes
            .into_iter()
            .try_for_each(|note| note.file.persist(&note.path).os(|| format!("write {}", note.path.display())))
    }
}

/// What a form of layer is called in the name of a note.
fn form(compression: Compression) -> String {
    match compression {
        Compression::None => "tar".into(),
        Compression::Gzip(level) => format!("gzip{level}"),
        Compression::Zstd(level) => format!("zstd{level}"),
    }
}

/// The layer of a step as a blob of the store, as a commit without options would pack it. The caller holds
/// `store.shared`.
///
/// # Errors
/// `not_found` when it was pruned, `interrupted`, `os`.
pub(in super::super) fn pack_step(engine: &Engine, id: &str) -> Result<Packed> {
    let (packed, note) = pack(engine, id, Compression::Gzip(GZIP_LEVEL), engine.cancel(), &mut Vec::new())?;
    Note::keep_all(engine.store(), note.into_iter().collect())?;
    Ok(packed)
}

/// Packs a step's layer, or remembers that it is packed. The note is to be kept when all is durable.
fn pack(
    engine: &Engine,
    id: &str,
    compression: Compression,
    cancel: &Cancel,
    fresh: &mut Vec<PathBuf>,
) -> Result<(Packed, Option<Note>)> {
    let store = engine.store();
    let epoch = engine.config().source_date_epoch;
    let form = form(compression);
    let name = format!("{id}-{form}{}", epoch.map_or(String::new(), |epoch| format!("-{epoch}")));
    let path = store.join("cache/packed").join(&name);
    if let Some(known) = remembered(store, &path)? {
        return Ok((known, None));
    }
    let _mine = store.lock_object(&format!("pack-{id}"), cancel)?;
    if let Some(known) = remembered(store, &path)? {
        return Ok((known, None));
    }
    let media_type = compression.media_type().to_string();
    if !store.has_layer(id)
        && let Some(layer) = remote::bring_blob(engine, id, &media_type)?
    {
        let packed = Packed { diff_id: layer.diff_id, digest: layer.digest, size: layer.size, media_type };
        return Ok((packed, None));
    }
    let options = PackOptions { clamp_mtime: epoch, ..PackOptions::default() };
    let layer = pack_to_blob(store, &store.layer_fs(id), compression, &options, cancel)?;
    fresh.extend([store.blob_path(&layer.digest), path.clone()]);
    link_layer(store, id, &layer.diff_id, fresh)?;
    let packed = Packed::new(layer);
    let note = Note::new(store, path, &packed)?;
    Ok((packed, Some(note)))
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
            other.os(|| format!("link layer {diff_id}"))
        }
    }
}
