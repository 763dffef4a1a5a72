//! Pull: the manifest, the platform's image, its configuration, its layers, and last of all the name.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::image::Descriptor;

use super::super::digest::Digest;
use super::super::error::{Error, Result};
use super::super::reference::Reference;
use super::super::registry::{Access, Client, Fetched, Patience};
use super::super::{Credentials, Engine};
use super::fetch::{bring_layers, small_blob};
use super::manifest::{self, Content, Document, Manifest};
use super::{INDEX, Image, ImageConfig, Platform, layers_of};

/// Indexes may hold indexes, to this depth.
const MOST_INDEXES: usize = 3;

/// When to ask the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// When the image is not in the store.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Not at all.
    Never,
}

/// How to pull.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// For which machine; this one's when not given.
    pub platform: Option<Platform>,
    /// When to ask the registry.
    pub policy: Policy,
    /// Used instead of what the configured source says.
    pub credentials: Option<Credentials>,
    /// How often and how long to try.
    pub patience: Patience,
}

struct Found {
    manifest: Manifest,
    bytes: Vec<u8>,
    target: Descriptor,
}

impl Engine {
    /// Pulls an image: its blobs, its layers unpacked, and its name.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`, `timeout`; `integrity` when anything is not what it should be;
    /// `unsupported`; `os`; `interrupted`. No name is changed then, and only whole blobs and layers remain; none if the
    /// disk was full.
    pub fn image_pull(&self, name: &Reference, options: &PullOptions) -> Result<Image> {
        let mut fresh = Vec::new();
        let result = self.pull(name, options, &mut fresh);
        self.give_back(result, &fresh).map_err(|e| e.with_op("image.pull").with_subject(name.familiar()))
    }

    /// `fresh` receives the paths of content that is not here yet.
    fn pull(&self, name: &Reference, options: &PullOptions, fresh: &mut Vec<PathBuf>) -> Result<Image> {
        if options.policy != Policy::Always {
            let here = self.image_get(&name.to_string())?;
            let fits = |image: &Image| options.platform.as_ref().is_none_or(|want| want.accepts(&image.platform()));
            if let Some(image) = here.filter(fits) {
                return Ok(image);
            }
            if options.policy == Policy::Never {
                return Err(Error::not_found(format!("no such image '{}'", name.familiar()))
                    .with_hint("the pull policy is 'never': pull it first"));
            }
        }
        let _shared = self.store.shared(&self.cancel)?;
        // The client's connections end with the pull, also when only one layer fails.
        let (cancel, _guard) = self.cancel.child()?;
        let access = Access { credentials: options.credentials.clone(), patience: options.patience };
        let client = self.registry_client(name.registry(), &access, &cancel);
        let found = self.find(&client, name, options)?;
        let limit = self.config.limits.metadata_bytes;
        let config_bytes = small_blob(&client, name.repository(), found.manifest.config, limit)?;
        let config = ImageConfig::parse(&config_bytes)?;
        self.check_platform(name, &config, options)?;
        let layers = layers_of(&found.manifest, &config)?;
        let digests = [found.manifest.config.digest, Digest::of(&found.bytes)];
        fresh.extend(digests.iter().map(|digest| self.store.blob_path(digest)));
        fresh.extend(
            layers.iter().flat_map(|layer| [self.store.blob_path(&layer.blob.digest), self.layer_path(&layer.diff_id)]),
        );
        fresh.retain(|path| !path.exists());
        bring_layers(self, Some((&client, name.repository())), &layers)?;
        self.store.put_blob(&config_bytes)?;
        self.store.put_blob(&found.bytes)?;
        let image = self.image_at(&found.target, vec![name.clone()])?;
        self.cancel.check()?;
        self.point(name, &found.target)?;
        Ok(image)
    }

    /// The manifest for the wanted platform.
    fn find(&self, client: &Client, name: &Reference, options: &PullOptions) -> Result<Found> {
        let wanted = options.platform.clone().unwrap_or_else(Platform::host);
        let mut fetched = client.manifest(name.repository(), &name.manifest_name())?;
        let mut index = None;
        let mut expected: Option<Descriptor> = None;
        for _ in 0..=MOST_INDEXES {
            let declared = check_descriptor(&fetched, expected.as_ref())?;
            let entries = match manifest::parse(&fetched.bytes, declared.as_deref())? {
                Document::Index(entries) => entries,
                Document::Image(manifest) => {
                    let size = fetched.bytes.len() as u64;
                    let mut target = manifest::descriptor(&manifest.media_type, &fetched.digest, size)?;
                    if let Some(index) = index {
                        target.set_annotations(Some(HashMap::from([(INDEX.to_string(), index)])));
                    }
                    return Ok(Found { manifest, bytes: fetched.bytes, target });
                }
            };
            let entry = manifest::choose(&entries, &wanted, &name.familiar())?.clone();
            index.get_or_insert(fetched.digest.to_string());
            let content = Content::of(&entry)?;
            if content.size > self.config.limits.metadata_bytes {
                return Err(Error::integrity(format!(
                    "manifest {} has {} bytes, more than {}",
                    content.digest, content.size, self.config.limits.metadata_bytes
                )));
            }
            fetched = client.manifest(name.repository(), &content.digest.to_string())?;
            expected = Some(entry);
        }
        Err(Error::integrity(format!("{} leads through more than {MOST_INDEXES} indexes", name.familiar())))
    }

    fn check_platform(&self, name: &Reference, config: &ImageConfig, options: &PullOptions) -> Result<()> {
        let is = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
        match &options.platform {
            // Configurations often leave the variant out.
            Some(wanted) if (&wanted.os, &wanted.architecture) != (&is.os, &is.architecture) => {
                Err(Error::not_found(format!("{} has no image for {wanted}; it has {is}", name.familiar())))
            }
            None if !Platform::host().accepts(&is) => {
                self.warn(format!("{} is for {is}, this machine is {}", name.familiar(), Platform::host()));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Compares what came with what the index said; returns the media type it goes by.
fn check_descriptor(fetched: &Fetched, expected: Option<&Descriptor>) -> Result<Option<String>> {
    let Some(expected) = expected else { return Ok(fetched.media_type.clone()) };
    if expected.size() != fetched.bytes.len() as u64 {
        return Err(Error::integrity(format!(
            "manifest {} has {} bytes, expected {}",
            fetched.digest,
            fetched.bytes.len(),
            expected.size()
        )));
    }
    Ok(Some(expected.media_type().to_string()))
}
