//! Other things than images in a registry: a document and blobs under an image manifest (OCI image specification 1.1,
//! manifest.md, "Guidelines for Artifact Usage"); and single blobs and layers of a repository.

use std::io;

use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result, from_io};
use super::super::reference::Reference;
use super::super::registry::{Access, Client};
use super::Layer;
use super::fetch::{bring_layers, each, small_blob};
use super::manifest::{self, Content};
use super::push::Pushing;

/// Blobs of one artifact; common sense ends long before.
const MOST_BLOBS: usize = 20_000;

/// An artifact's document and what it says of its blobs.
pub struct Artifact {
    /// The document.
    pub document: Vec<u8>,
    /// The blobs with their media types.
    pub blobs: Vec<(Content, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    manifests: Option<serde_json::Value>,
}

impl Engine {
    /// Pushes a document and blobs of the store under a name; returns the digest of the manifest. The caller holds
    /// `store.shared`.
    ///
    /// # Errors
    /// `permission`, `network`, `timeout`, `interrupted`; `not_found` when a blob is not in the store.
    pub fn artifact_push(
        &self,
        to: &Reference,
        media_type: &str,
        document: &[u8],
        blobs: &[(Content, String)],
    ) -> Result<Digest> {
        let config = Content { digest: self.store.put_blob(document)?, size: document.len() as u64 };
        let describe = |(content, kind): &(Content, String)| manifest::descriptor(kind, &content.digest, content.size);
        let bytes = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": manifest::OCI_MANIFEST,
            "artifactType": media_type,
            "config": manifest::descriptor(media_type, &config.digest, config.size)?,
            "layers": blobs.iter().map(describe).collect::<Result<Vec<_>>>()?,
        })
        .to_string()
        .into_bytes();
        let (cancel, _guard) = self.cancel.child()?;
        let client = self.registry_client(to.registry(), &Access::default(), &cancel);
        let mut all = vec![config];
        for (content, _) in blobs {
            if !all.contains(content) {
                all.push(*content);
            }
        }
        let push = Pushing { engine: self, client: &client, to, cancel: &cancel, sources: &[] };
        each(&all, &self.cancel, &cancel, |blob| push.blob(*blob))?;
        client.put_manifest(to.repository(), &to.manifest_name(), manifest::OCI_MANIFEST, &bytes)
    }

    /// Reads an artifact's document; its blobs stay where they are.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`; `unsupported` when it is something else; `integrity`.
    pub fn artifact_read(&self, from: &Reference, media_type: &str) -> Result<Artifact> {
        let (cancel, _guard) = self.cancel.child()?;
        let client = self.registry_client(from.registry(), &Access::default(), &cancel);
        let fetched = client.manifest(from.repository(), &from.manifest_name())?;
        let raw: Raw = serde_json::from_slice(&fetched.bytes).map_err(|_| not_one(from))?;
        if raw.config.media_type().to_string() != media_type {
            return Err(not_one(from));
        }
        let is_manifest = raw.media_type.as_deref().is_none_or(|kind| kind == manifest::OCI_MANIFEST);
        if raw.schema_version != 2 || !is_manifest || raw.manifests.is_some() || raw.layers.len() > MOST_BLOBS {
            return Err(Error::integrity(format!("the manifest of {} is damaged", from.familiar())));
        }
        let document =
            small_blob(&client, from.repository(), Content::of(&raw.config)?, self.config.limits.metadata_bytes)?;
        let blobs = raw.layers.iter().map(|layer| Ok((Content::of(layer)?, layer.media_type().to_string())));
        Ok(Artifact { document, blobs: blobs.collect::<Result<_>>()? })
    }

    /// Fetches layers of a repository and unpacks them. The caller holds `store.shared`.
    ///
    /// # Errors
    /// As [`Engine::image_pull`].
    pub fn fetch_layers(&self, from: &Reference, layers: &[Layer]) -> Result<()> {
        let (cancel, _guard) = self.cancel.child()?;
        let client = self.registry_client(from.registry(), &Access::default(), &cancel);
        bring_layers(self, Some((&client, from.repository())), layers)
    }

    /// Fetches blobs of a repository as they are. The caller holds `store.shared`.
    ///
    /// # Errors
    /// As [`Engine::image_pull`].
    pub fn fetch_blobs(&self, from: &Reference, blobs: &[Content]) -> Result<()> {
        let (cancel, _guard) = self.cancel.child()?;
        let client = self.registry_client(from.registry(), &Access::default(), &cancel);
        each(blobs, &self.cancel, &cancel, |blob| self.fetch_blob(&client, from.repository(), blob))
    }

    fn fetch_blob(&self, client: &Client, repository: &str, blob: &Content) -> Result<()> {
        let _mine = self.store.lock_object(&format!("blob-{}", blob.digest.hex()), client.cancel())?;
        if self.store.blob_size(&blob.digest) == Some(blob.size) {
            return Ok(());
        }
        let mut source = client.raw_blob(repository, &blob.digest, blob.size)?;
        let mut writer = self.store.blob_writer()?;
        io::copy(&mut source, &mut writer).map_err(|e| from_io(e, format!("write blob {}", blob.digest)))?;
        writer.commit(Some((blob.digest, blob.size))).map(drop)
    }
}

fn not_one(name: &Reference) -> Error {
    Error::new(Kind::Unsupported, format!("{} is not a build cache", name.familiar()))
        .with_hint("a build cache is what cache.export makes; an image is never taken for one")
}
