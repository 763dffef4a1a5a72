//! From a container to an image: its upper folder becomes a layer on top of its image's.
//!
//! The folder is read as it is, so a running container is paused by the caller. What the engine put there for mounts
//! does not go in. A container that changed nothing adds no layer, only a line of history.
//!
//! Source: OCI image specification 1.1, config.md, "history".

use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::build::cache::now;
use super::super::build::commit::{GZIP_LEVEL, Packed, media_types};
use super::super::error::{OsContext, Result};
use super::super::image::instruction::apply_all;
use super::super::image::{History, Image, ImageConfig, RunConfig};
use super::super::layer::diff::{Compression, PackOptions, pack_to_blob};
use super::super::progress::Task;
use super::super::reference::Reference;
use super::files::changes::mount_points;

/// What can be said of an image when it is made of a container.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// A remark, kept in the history.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Dockerfile instructions that change the configuration; see [`super::super::image::instruction`].
    pub changes: Vec<String>,
    /// How the container was started, where that differs from its image.
    pub config: Option<RunConfig>,
    /// The container's command, for the history.
    pub command: Option<String>,
    /// Where things are mounted in the container; what was made in `upper` for that alone is left out.
    pub mounts: Vec<PathBuf>,
}

/// Makes an image of `base` and a container's upper folder and points `name` at it; without a name it is kept as an
/// untagged one. `base` need not be named any more, but its blobs must be here.
///
/// # Errors
/// `invalid_argument` for a malformed change, naming it; `not_found` when something of the base is gone; `unsupported`
/// for what a layer cannot hold; `integrity` for a file that changes meanwhile; `interrupted`, `os`. Names are then as
/// they were, and what was written is for the next sweep of content, if not gone already.
pub fn commit(
    engine: &Engine,
    base: &Image,
    upper: &Path,
    name: Option<&Reference>,
    options: &CommitOptions,
) -> Result<Image> {
    let mut config = base.config.clone();
    if let Some(own) = &options.config {
        config.config = own.clone();
    }
    // Before anything is written: most mistakes are here.
    apply_all(&mut config.config, &options.changes)?;
    let mut fresh = Vec::new();
    let result = make(engine, base, config, upper, name, options, &mut fresh);
    engine.give_back(result, &fresh)
}

fn make(
    engine: &Engine,
    base: &Image,
    mut config: ImageConfig,
    upper: &Path,
    name: Option<&Reference>,
    options: &CommitOptions,
    fresh: &mut Vec<PathBuf>,
) -> Result<Image> {
    let _in_use = engine.store().shared(engine.cancel())?;
    let label = name.map_or_else(|| "image".to_string(), Reference::familiar);
    let task = Task::start(engine.progress(), "commit", label, None);
    let types = media_types(engine, base)?;
    let mut layers: Vec<Packed> =
        base.layers.iter().zip(&types).map(|(layer, media_type)| Packed::of_image(layer, media_type)).collect();
    let added = pack(engine, base, upper, options, fresh)?;
    let created = now(engine);
    config.history.push(History {
        created: Some(created.clone()),
        created_by: options.command.clone(),
        author: options.author.clone(),
        comment: options.message.clone(),
        empty_layer: added.is_none(),
        ..History::default()
    });
    config.created = Some(created);
    config.author = options.author.clone().or(config.author);
    layers.extend(added);
    let names: Vec<Reference> = name.into_iter().cloned().collect();
    let image = engine.keep_image(config, &layers, &names, fresh)?;
    task.end(image.id.short());
    Ok(image)
}

/// Packs what the container wrote; nothing when it wrote nothing.
fn pack(
    engine: &Engine,
    base: &Image,
    upper: &Path,
    options: &CommitOptions,
    fresh: &mut Vec<PathBuf>,
) -> Result<Option<Packed>> {
    let store = engine.store();
    let mut leave_out = std::collections::HashSet::new();
    if !options.mounts.is_empty() {
        leave_out = mount_points(&engine.image_lowers(base)?, upper, &options.mounts)?;
    }
    let mut empty = true;
    for entry in std::fs::read_dir(upper).os(|| format!("list {}", upper.display()))? {
        let name = entry.os(|| format!("list {}", upper.display()))?.file_name();
        empty &= leave_out.contains(name.as_encoded_bytes());
    }
    if empty {
        return Ok(None);
    }
    let pack = PackOptions { clamp_mtime: engine.config().source_date_epoch, leave_out, ..PackOptions::default() };
    let layer = pack_to_blob(store, upper, Compression::Gzip(GZIP_LEVEL), &pack, engine.cancel())?;
    fresh.push(store.blob_path(&layer.digest));
    Ok(Some(Packed::new(layer)))
}
