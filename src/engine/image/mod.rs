//! Images: a manifest, a configuration and layers, and the names that lead to them.
//!
//! A name's file holds the descriptor of one image manifest. When the registry's name led to an index, the index's
//! digest is remembered in the descriptor's annotation [`INDEX`]: it is what other programs show as the image's
//! digest. An image whose last name was given to another one stays, without a name.

mod artifact;
pub mod config;
pub(super) mod fetch;
mod give_back;
pub mod instruction;
mod load;
mod manifest;
mod pipe;
mod platform;
mod prune;
mod pull;
mod push;
mod save;
pub mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::image::Descriptor;

pub use artifact::Artifact;
pub use config::{Empty, Healthcheck, History, ImageConfig, RootFs, RunConfig, Set};
pub use manifest::{Content, Document, Manifest, parse as parse_manifest};
pub use platform::Platform;
pub use pull::{Policy, PullOptions};
pub use save::ArchiveFormat;
pub(super) use save::write_whole;

use super::Engine;
use super::digest::Digest;
use super::error::{Error, Kind, Result};
use super::reference::Reference;
use super::store::blobs::Blobs;
use super::store::small::shared_out;

/// The annotation that remembers the digest of the index an image was chosen from.
const INDEX: &str = "moonshell.index";

/// The fewest digits of an id that count as one.
const SHORTEST_ID: usize = 4;

/// Held while a name is moved, so that what it pointed at before is not lost.
const NAMES_LOCK: &str = "names";

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The compressed blob.
    pub blob: Content,
    /// The digest of the uncompressed tar; its hexadecimal form is the layer's id in the store.
    pub diff_id: Digest,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The name it was asked for by; all its names in a list.
    pub names: Vec<Reference>,
    /// The descriptor of its manifest, as names hold it.
    pub manifest: Descriptor,
    /// The digest its registry's name leads to: that of an index where there is one, else of the manifest.
    pub digest: Digest,
    /// The digest of its configuration.
    pub id: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, base first.
    pub layers: Vec<Layer>,
}

/// One step of an image's history, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryStep {
    /// What the configuration says.
    pub entry: History,
    /// The layer it made, if any.
    pub layer: Option<Layer>,
}

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Removed {
    /// Names that are gone.
    pub names: Vec<Reference>,
    /// The id of the image, when nothing names it any more.
    pub image: Option<Digest>,
}

impl Image {
    /// Bytes of its layers as a registry holds them.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.blob.size).sum()
    }

    /// When it was made, RFC 3339.
    pub fn created(&self) -> Option<&str> {
        self.config.created.as_deref()
    }

    /// The digests of the uncompressed layers, base first.
    pub fn diff_ids(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }

    /// What machine it is for.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.config.os, &self.config.architecture, self.config.variant.as_deref())
    }

    /// How it was made, oldest step first.
    pub fn history(&self) -> Vec<HistoryStep> {
        let mut layers = self.layers.iter();
        let mut step = |entry: &History| HistoryStep {
            entry: entry.clone(),
            layer: if entry.empty_layer { None } else { layers.next().cloned() },
        };
        self.config.history.iter().map(&mut step).collect()
    }
}

impl Engine {
    /// Reads the image that a name's descriptor leads to.
    fn image_at(&self, target: &Descriptor, names: Vec<Reference>) -> Result<Image> {
        self.image_from(&mut self.store.blobs()?, target, names)
    }

    fn image_from(&self, blobs: &mut Blobs, target: &Descriptor, names: Vec<Reference>) -> Result<Image> {
        let limit = self.config.limits.metadata_bytes;
        let content = Content::of(target)?;
        let manifest = match manifest::parse(blobs.read(&content.digest, limit)?, Some(target.media_type().as_ref()))? {
            Document::Image(manifest) => manifest,
            Document::Index(_) => {
                return Err(Error::integrity(format!("{} is an index, not an image", content.digest)));
            }
        };
        let config = ImageConfig::parse(blobs.read(&manifest.config.digest, limit)?)?;
        let layers = layers_of(&manifest, &config)?;
        let index = target.annotations().as_ref().and_then(|all| all.get(INDEX));
        let digest = index.and_then(|text| text.parse().ok()).unwrap_or(content.digest);
        Ok(Image { names, manifest: target.clone(), digest, id: manifest.config.digest, config, layers })
    }

    /// The image behind a manifest's descriptor, named or not.
    ///
    /// # Errors
    /// `not_found` when content of it is gone; `integrity`, `os`.
    pub(super) fn image_described(&self, manifest: &Descriptor) -> Result<Image> {
        self.image_at(manifest, Vec::new())
    }

    /// Finds an image by name, by name and digest, by full id, or by the first four or more digits of its id.
    ///
    /// # Errors
    /// `invalid_argument` for what is neither a name nor an id, and for digits that fit several images;
    /// `integrity`, `os`.
    pub fn image_get(&self, text: &str) -> Result<Option<Image>> {
        let parsed = text.parse::<Reference>();
        if let Ok(name) = &parsed
            && let Some(target) = self.store.get_ref(name)?
        {
            return self.image_at(&target, vec![name.clone()]).map(Some);
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && (SHORTEST_ID..=64).contains(&digits.len()) {
            return self.image_by_id(digits);
        }
        let name = parsed?;
        let Some(digest) = name.digest() else { return Ok(None) };
        let same = |other: &Reference| (other.registry(), other.repository()) == (name.registry(), name.repository());
        let fits = |image: &Image| {
            let manifest = image.manifest.digest().to_string() == digest.to_string();
            (manifest || image.digest == digest) && image.names.iter().any(same)
        };
        Ok(self.image_list()?.into_iter().find(fits))
    }

    fn image_by_id(&self, digits: &str) -> Result<Option<Image>> {
        let mut found: Option<Image> = None;
        for image in self.image_list()? {
            let fits = image.id.hex().starts_with(digits)
                || (digits.len() == 64 && (image.digest.hex() == digits || manifest_hex(&image) == digits));
            match &found {
                Some(first) if fits && first.id != image.id => {
                    return Err(Error::invalid(format!("image id '{digits}' is ambiguous")).with_hint(format!(
                        "it fits {} and {}, perhaps more",
                        first.id.short(),
                        image.id.short()
                    )));
                }
                None if fits => found = Some(image),
                _ => {}
            }
        }
        Ok(found)
    }

    /// All images, each once with all its names; one whose content is damaged is left out with a warning.
    ///
    /// # Errors
    /// `integrity` when a name's file is damaged, `os`.
    pub fn image_list(&self) -> Result<Vec<Image>> {
        let mut groups: Vec<(Descriptor, Vec<Reference>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for named in self.store.list_refs()? {
            let index = named.target.annotations().as_ref().and_then(|all| all.get(INDEX)).cloned();
            let place = *places.entry((named.target.digest().to_string(), index)).or_insert(groups.len());
            if place == groups.len() {
                groups.push((named.target, Vec::new()));
            }
            groups[place].1.extend(named.name);
        }
        shared_out(&groups, |groups| {
            let mut blobs = self.store.blobs()?;
            let mut images = Vec::with_capacity(groups.len());
            for (target, names) in groups {
                match self.image_from(&mut blobs, target, names.clone()) {
                    Ok(image) => images.push(image),
                    // Removed while we were reading.
                    Err(e) if e.kind() == Kind::NotFound => {}
                    Err(e) => self.warn(format!("image {} is left out: {}", target.digest(), e.message())),
                }
            }
            Ok(images)
        })
    }

    /// Gives an image another name. An image that loses its last name by this stays without one.
    ///
    /// # Errors
    /// `invalid_argument` for a name with a digest, `os`.
    pub fn image_tag(&self, image: &Image, name: &Reference) -> Result<()> {
        if name.digest().is_some() {
            return Err(Error::invalid(format!("cannot tag as '{}': a digest cannot be chosen", name.familiar())));
        }
        self.point(name, &image.manifest)
    }

    /// Moves a name, keeping what it pointed at.
    fn point(&self, name: &Reference, target: &Descriptor) -> Result<()> {
        let _names = self.store.lock_object(NAMES_LOCK, &self.cancel)?;
        if let Some(old) = self.store.get_ref(name)?
            && old.digest() != target.digest()
        {
            let others = self.store.list_refs()?;
            let kept = others.iter().any(|other| {
                other.target.digest() == old.digest() && other.name.as_ref() != Some(name) && other.name.is_some()
            });
            if !kept {
                self.store.set_untagged(&Content::of(&old)?.digest, &old)?;
            }
        }
        self.store.set_ref(name, target)?;
        self.store.remove_untagged(&Content::of(target)?.digest)?;
        Ok(())
    }

    /// Removes a name, or an image by its id. The content goes when nothing needs it any more, with the next sweep.
    ///
    /// # Errors
    /// `not_found`; `in_use` for an id with several names unless `force`.
    pub fn image_remove(&self, text: &str, force: bool) -> Result<Removed> {
        let removed = self.remove_names(text, force)?;
        self.sweep()?;
        Ok(removed)
    }

    /// Frees what nothing leads to any more, unless somebody works on the store right now: then a later removal does.
    pub(super) fn sweep(&self) -> Result<()> {
        self.store.sweep_content(self.config.limits.metadata_bytes).map(drop)
    }

    /// Refuses to take an image from under its containers: with `force` it loses its names, and its content stays until
    /// the last of them is gone.
    fn check_unused(&self, id: &Digest, force: bool) -> Result<()> {
        if force {
            return Ok(());
        }
        let users: Vec<String> = self
            .container_list()?
            .into_iter()
            .filter(|listed| listed.record.image_id.as_ref() == Some(id))
            .map(|listed| listed.record.name)
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let message = format!("image {} is used by container {}", id.short(), users.join(", "));
        Err(Error::new(Kind::InUse, message).with_hint("remove its containers first, or use force=true"))
    }

    pub(super) fn remove_names(&self, text: &str, force: bool) -> Result<Removed> {
        let missing = || Error::not_found(format!("no such image '{text}'"));
        let _names = self.store.lock_object(NAMES_LOCK, &self.cancel)?;
        let by_name = text.parse::<Reference>().ok();
        if let Some(name) = by_name
            && let Some(target) = self.store.get_ref(&name)?
        {
            let last =
                self.store.list_refs()?.iter().filter(|other| other.target.digest() == target.digest()).count() == 1;
            if last && let Ok(image) = self.image_at(&target, Vec::new()) {
                self.check_unused(&image.id, force)?;
            }
            self.store.remove_ref(&name)?;
            let left = self.store.list_refs()?.iter().any(|other| other.target.digest() == target.digest());
            let id = if left { None } else { self.image_at(&target, Vec::new()).ok().map(|image| image.id) };
            return Ok(Removed { names: vec![name], image: id });
        }
        let image = self.image_get(text)?.ok_or_else(missing)?;
        let same: Vec<Image> = self.image_list()?.into_iter().filter(|other| other.id == image.id).collect();
        let names: Vec<Reference> = same.iter().flat_map(|other| other.names.clone()).collect();
        if names.len() > 1 && !force {
            let list: Vec<String> = names.iter().map(Reference::familiar).collect();
            return Err(Error::new(Kind::InUse, format!("image {} has {} names", image.id.short(), names.len()))
                .with_hint(format!("remove {} one by one, or use force=true", list.join(", "))));
        }
        self.check_unused(&image.id, force)?;
        for name in &names {
            self.store.remove_ref(name)?;
        }
        for other in &same {
            self.store.remove_untagged(&Content::of(&other.manifest)?.digest)?;
        }
        Ok(Removed { names, image: Some(image.id) })
    }

    /// The image's layer folders, base first, ready for overlayfs. A layer that is missing is unpacked again.
    ///
    /// # Errors
    /// `not_found` when a blob is missing too; `integrity`, `os`, `interrupted`.
    pub fn image_lowers(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let ids: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.hex()).collect();
        if !ids.iter().all(|id| self.store.has_layer(id)) {
            let _shared = self.store.shared(&self.cancel)?;
            fetch::bring_layers(self, None, &image.layers)?;
        }
        Ok(ids.iter().map(|id| self.store.layer_fs(id)).collect())
    }

    /// Unpacks layers whose blobs are in the store. The caller holds `store.shared`.
    ///
    /// # Errors
    /// `not_found` when a blob is missing; `integrity`, `os`, `interrupted`.
    pub fn unpack_layers(&self, layers: &[Layer]) -> Result<()> {
        fetch::bring_layers(self, None, layers)
    }

    /// Writes the manifest of an image whose layer blobs are in the store. Nothing names it yet: hold
    /// `store.shared` until [`Engine::image_tag`] or [`Engine::image_keep`].
    ///
    /// # Errors
    /// `invalid_argument` unless each layer has a diff id; `os`.
    pub fn image_write(
        &self,
        config: &ImageConfig,
        annotations: &BTreeMap<String, String>,
        layers: &[(Content, &str)],
    ) -> Result<Image> {
        let bytes = config.to_bytes()?;
        let digest = self.store.put_blob(&bytes)?;
        self.write_manifest((&digest, bytes.len() as u64), config, annotations, layers)
    }

    fn write_manifest(
        &self,
        (id, id_size): (&Digest, u64),
        config: &ImageConfig,
        annotations: &BTreeMap<String, String>,
        layers: &[(Content, &str)],
    ) -> Result<Image> {
        let list: Vec<Descriptor> = layers
            .iter()
            .map(|(content, media_type)| manifest::descriptor(media_type, &content.digest, content.size))
            .collect::<Result<_>>()?;
        let mut document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": manifest::OCI_MANIFEST,
            "config": manifest::descriptor(manifest::OCI_CONFIG, id, id_size)?,
            "layers": list,
        });
        if !annotations.is_empty() {
            document["annotations"] = serde_json::json!(annotations);
        }
        let bytes = document.to_string().into_bytes();
        let described = layers.iter().map(|(content, _)| *content).collect();
        let content = Content { digest: *id, size: id_size };
        layers_of(&Manifest { media_type: String::new(), config: content, layers: described }, config)?;
        let digest = self.store.put_blob(&bytes)?;
        let target = manifest::descriptor(manifest::OCI_MANIFEST, &digest, bytes.len() as u64)?;
        self.image_at(&target, Vec::new())
    }

    /// Keeps an image that has no name.
    ///
    /// # Errors
    /// `os`.
    pub fn image_keep(&self, image: &Image) -> Result<()> {
        self.store.set_untagged(&Content::of(&image.manifest)?.digest, &image.manifest)
    }
}

fn manifest_hex(image: &Image) -> String {
    image.manifest.digest().digest().to_string()
}

/// Pairs the manifest's layers with the configuration's diff ids.
fn layers_of(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    let (blobs, diff_ids) = (&manifest.layers, &config.rootfs.diff_ids);
    if blobs.len() != diff_ids.len() {
        return Err(Error::integrity(format!(
            "image {} has {} layers, but its configuration has {} diff ids",
            manifest.config.digest,
            blobs.len(),
            diff_ids.len()
        )));
    }
    Ok(blobs.iter().zip(diff_ids).map(|(blob, diff_id)| Layer { blob: *blob, diff_id: *diff_id }).collect())
}
