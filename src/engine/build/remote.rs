//! Layers of steps that are in a registry and are fetched when something needs them.

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::super::image::{Content, Layer};
use super::super::reference::Reference;
use super::super::store::Store;
use super::super::store::gc::list;
use super::record::StepRecord;

/// A layer in a registry. Its id is the hexadecimal form of its diff id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteLayer {
    /// The name of the cache in the registry.
    pub from: String,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Its OCI media type.
    pub media_type: String,
}

impl RemoteLayer {
    /// As an image's layer.
    pub fn layer(&self) -> Layer {
        Layer { diff_id: self.diff_id, blob: self.content() }
    }

    /// The blob.
    pub fn content(&self) -> Content {
        Content { digest: self.digest, size: self.size }
    }

    fn reference(&self) -> Result<Reference> {
        self.from.parse()
    }
}

/// Where a layer that is not here can be fetched.
///
/// # Errors
/// `not_found` when it cannot.
pub(super) fn find(engine: &Engine, id: &str) -> Result<RemoteLayer> {
    let known = engine.session().known().remote.get(id).cloned();
    known.ok_or_else(|| {
        Error::not_found(format!("layer {id} of this build is gone"))
            .with_hint("run the build again: its cache was pruned meanwhile")
    })
}

/// Fetches layers and unpacks them. The caller holds `store.shared`.
///
/// # Errors
/// As `Engine::image_pull`. What the registry does not have, or has damaged, is forgotten: the next build takes the
/// steps that made it.
pub(super) fn bring(engine: &Engine, layers: &[RemoteLayer]) -> Result<()> {
    let mut rest = layers;
    while let Some(first) = rest.first() {
        // Those of one cache go together.
        let count = rest.iter().take_while(|layer| layer.from == first.from).count();
        let (these, others) = rest.split_at(count);
        rest = others;
        let list: Vec<Layer> = these.iter().map(RemoteLayer::layer).collect();
        engine.fetch_layers(&first.reference()?, &list).map_err(|e| give_up(engine, these, e))?;
    }
    Ok(())
}

/// Fetches the blob of a layer that is not here; none if there is another sort of blob to be had than asked for, which
/// is then unpacked. The caller holds `store.shared`.
///
/// # Errors
/// As [`bring`]; `not_found`.
pub(super) fn bring_blob(engine: &Engine, id: &str, media_type: &str) -> Result<Option<RemoteLayer>> {
    let layer = find(engine, id)?;
    if layer.media_type != media_type {
        bring(engine, std::slice::from_ref(&layer))?;
        return Ok(None);
    }
    let fetched = engine.fetch_blobs(&layer.reference()?, &[layer.content()]);
    fetched.map_err(|e| give_up(engine, std::slice::from_ref(&layer), e))?;
    Ok(Some(layer))
}

fn give_up(engine: &Engine, layers: &[RemoteLayer], error: Error) -> Error {
    if !matches!(error.kind(), Kind::NotFound | Kind::Integrity | Kind::Unsupported) {
        return error;
    }
    // If they cannot be removed, the next build says the same again.
    let _ = forget(engine.store(), layers);
    error.with_hint("run the build again: it takes the step itself, as the cache in the registry is damaged")
}

/// Removes the records that lead to these layers and no others.
fn forget(store: &Store, layers: &[RemoteLayer]) -> Result<()> {
    for path in list(&store.join("cache/steps"))? {
        let record = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<StepRecord>(&text).ok());
        let Some(StepRecord { layer: Some(id), remote: Some(remote), .. }) = record else { continue };
        if layers.contains(&remote) && !store.has_layer(&id) {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}
