//! Push: the blobs the registry lacks, then the manifest.

use std::sync::Arc;

use super::super::cancel::Cancel;
use super::super::digest::Digest;
use super::super::error::{Error, Result};
use super::super::progress::Task;
use super::super::reference::Reference;
use super::super::registry::{Access, Client};
use super::super::{Credentials, Engine};
use super::fetch::each;
use super::manifest::{self, Content, Document};
use super::{Image, Manifest};

impl Engine {
    /// Pushes an image under a name and returns the digest of its manifest. A blob that another repository of the
    /// same registry is known to have is mounted from there.
    ///
    /// # Errors
    /// `permission`, `network`, `timeout`, `interrupted`; `not_found` when a blob is not in the store;
    /// `invalid_argument` for a name with another digest.
    pub fn image_push(&self, image: &Image, to: &Reference, credentials: Option<&Credentials>) -> Result<Digest> {
        let access = Access { credentials: credentials.cloned(), ..Access::default() };
        self.push(image, to, &access).map_err(|e| e.with_op("image.push").with_subject(to.familiar()))
    }

    fn push(&self, image: &Image, to: &Reference, access: &Access) -> Result<Digest> {
        let _shared = self.store.shared(&self.cancel)?;
        let content = Content::of(&image.manifest)?;
        if to.digest().is_some_and(|digest| digest != content.digest) {
            return Err(Error::invalid(format!("cannot push as '{to}': the image's manifest is {}", content.digest)));
        }
        let bytes = self.store.read_blob(&content.digest, self.config.limits.metadata_bytes)?;
        let media_type = image.manifest.media_type().to_string();
        let Document::Image(manifest) = manifest::parse(&bytes, Some(&media_type))? else {
            return Err(Error::integrity(format!("{} is an index, not an image", content.digest)));
        };
        let (cancel, _guard) = self.cancel.child()?;
        let client = self.registry_client(to.registry(), access, &cancel);
        let sources = self.mount_sources(to, &manifest)?;
        let blobs = blobs_of(&manifest);
        let push = Pushing { engine: self, client: &client, to, cancel: &cancel, sources: &sources };
        each(&blobs, &self.cancel, &cancel, |blob| push.blob(*blob))?;
        client.put_manifest(to.repository(), &to.manifest_name(), &manifest.media_type, &bytes)
    }

    /// Repositories of the same registry from which an image with some of these blobs came.
    fn mount_sources(&self, to: &Reference, manifest: &Manifest) -> Result<Vec<(Digest, String)>> {
        let mut sources = Vec::new();
        let wanted = blobs_of(manifest);
        for named in self.store.list_refs()? {
            let Some(name) = named.name else { continue };
            if name.registry() != to.registry() || name.repository() == to.repository() {
                continue;
            }
            let Ok(other) = self.image_at(&named.target, Vec::new()) else { continue };
            let has = |blob: &&Content| other.layers.iter().any(|layer| layer.blob == **blob);
            sources.extend(wanted.iter().filter(has).map(|blob| (blob.digest, name.repository().to_string())));
        }
        Ok(sources)
    }
}

/// Each once: images may repeat a layer.
fn blobs_of(manifest: &Manifest) -> Vec<Content> {
    let mut blobs = vec![manifest.config];
    for layer in &manifest.layers {
        if !blobs.contains(layer) {
            blobs.push(*layer);
        }
    }
    blobs
}

/// A push under way.
pub(super) struct Pushing<'a> {
    pub engine: &'a Engine,
    pub client: &'a Client,
    pub to: &'a Reference,
    pub cancel: &'a Cancel,
    /// Other repositories of the registry that have some of the blobs.
    pub sources: &'a [(Digest, String)],
}

impl Pushing<'_> {
    /// Brings one blob there, unless it is.
    pub fn blob(&self, blob: Content) -> Result<()> {
        self.cancel.check()?;
        let repository = self.to.repository();
        let progress = &self.engine.config.progress;
        let task = Arc::new(Task::start(progress, "push", blob.digest.short(), Some(blob.size)));
        let outcome = if self.client.has_blob(repository, &blob.digest)? {
            "already there"
        } else {
            let from = self.sources.iter().find(|(digest, _)| *digest == blob.digest).map(|(_, from)| from.as_str());
            let mut open = || self.engine.store.open_blob(&blob.digest);
            match self.client.put_blob(repository, (&blob.digest, blob.size), from, &mut open, &task)? {
                true => "mounted",
                false => "done",
            }
        };
        // The thread of the last transfer may hold it a moment longer; then its line ends as it is.
        if let Some(task) = Arc::into_inner(task) {
            task.end(outcome);
        }
        Ok(())
    }
}
