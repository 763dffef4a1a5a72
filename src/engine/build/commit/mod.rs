//! From a state to an image: layers become tars with digests, the configuration is written, names are set, and the
//! image or its files go where they are wanted.
//!
//! What is committed again from the cache gives the same digest, as nothing in it depends on the time of the commit.
//!
//! Source: OCI image specification 1.1, manifest.md and annotations.md, "Pre-Defined Annotation Keys".

mod output;
mod pack;
mod shape;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Result};
use super::super::image::{Content, Image, ImageConfig};
use super::super::layer::diff::Compression;
use super::super::progress::Task;
use super::super::reference::Reference;
use super::State;

pub use output::Output;
pub(in super::super) use pack::Packed;
pub(super) use pack::pack_step;
pub use shape::Squash;

/// gzip's level for new layers: most of the default level's size at a third of its time.
pub(in super::super) const GZIP_LEVEL: u32 = 4;
/// zstd's, its own default.
const ZSTD_LEVEL: i32 = 3;

const CREATED: &str = "org.opencontainers.image.created";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// What can be said of an image when it is committed.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// A remark, kept in the history.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// When it was made, RFC 3339; by default when its last step ran.
    pub created: Option<String>,
    /// Labels set, and with `None` removed.
    pub labels: Vec<(String, Option<String>)>,
    /// Annotations of the manifest set, and with `None` removed, those that are set without being asked too.
    pub annotations: Vec<(String, Option<String>)>,
    /// Which layers become one.
    pub squash: Squash,
    /// Only these layers, counted from 1 for the lowest.
    pub layers: Option<Vec<usize>>,
    /// The form of new layers.
    pub compression: Compression,
}

impl Default for CommitOptions {
    fn default() -> CommitOptions {
        CommitOptions {
            message: None,
            author: None,
            created: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            squash: Squash::default(),
            layers: None,
            compression: Compression::Gzip(GZIP_LEVEL),
        }
    }
}

/// The form of layers with this name, `gzip` without one.
///
/// # Errors
/// `invalid_argument` for an unknown name and a level the form does not have.
pub fn compression(name: Option<&str>, level: Option<i64>) -> Result<Compression> {
    let wrong = |level: i64, levels: &str| Error::invalid(format!("compression level {level} is not {levels}"));
    match (name.unwrap_or("gzip"), level) {
        ("none", None) => Ok(Compression::None),
        ("none", Some(_)) => Err(Error::invalid("layers that are not compressed have no compression level")),
        ("gzip", None) => Ok(Compression::Gzip(GZIP_LEVEL)),
        ("gzip", Some(level)) => {
            let fitting = u32::try_from(level).ok().filter(|level| *level <= 9);
            fitting.map(Compression::Gzip).ok_or_else(|| wrong(level, "0 to 9, those of gzip"))
        }
        ("zstd", None) => Ok(Compression::Zstd(ZSTD_LEVEL)),
        ("zstd", Some(level)) => {
            let fitting = i32::try_from(level).ok().filter(|level| (1..=22).contains(level));
            fitting.map(Compression::Zstd).ok_or_else(|| wrong(level, "1 to 22, those of zstd"))
        }
        (other, _) => Err(Error::invalid(format!("unknown compression '{other}': expected gzip, zstd or none"))),
    }
}

/// A time as configurations have it, from RFC 3339 or seconds since 1970.
///
/// # Errors
/// `invalid_argument`.
pub fn time(text: &str) -> Result<String> {
    let seconds = text.parse::<u64>().ok().map(std::time::Duration::from_secs);
    let time = match seconds {
        Some(seconds) => std::time::UNIX_EPOCH.checked_add(seconds),
        None => humantime::parse_rfc3339(text).ok(),
    };
    // The format has four digits for the year.
    let latest = std::time::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    time.filter(|time| *time <= latest).map(|time| humantime::format_rfc3339(time).to_string()).ok_or_else(|| {
        Error::invalid(format!("invalid time '{text}'"))
            .with_hint("such as 2026-01-31T12:00:00Z, or seconds since 1970")
    })
}

impl State {
    /// Makes an image of the state and points the names at it; without names it is kept as an untagged one.
    ///
    /// # Errors
    /// `invalid_argument` for layers it does not have and for a state of a failed step; `not_found` when a layer was
    /// pruned meanwhile, `interrupted`, `os`; names are then as they were.
    pub fn commit(&self, engine: &Engine, names: &[Reference], options: &CommitOptions) -> Result<Image> {
        self.refuse_held()?;
        if options.layers.is_some() && options.squash != Squash::Nothing {
            return Err(Error::invalid("layers cannot be both chosen and squashed"));
        }
        let shaped = self.chosen(options.layers.as_deref())?.squashed(engine, options.squash)?;
        let mut fresh = Vec::new();
        let result = shaped.make_image(engine, self, names, options, &mut fresh);
        engine.give_back(result, &fresh)
    }

    /// `fresh` receives the paths of content that was not here before.
    fn make_image(
        &self,
        engine: &Engine,
        whole: &State,
        names: &[Reference],
        options: &CommitOptions,
        fresh: &mut Vec<PathBuf>,
    ) -> Result<Image> {
        let store = engine.store();
        let _in_use = store.shared(engine.cancel())?;
        let task = Task::start(engine.progress(), "commit", commit_label(names), None);
        let packed = pack::pack_all(engine, &self.0.layers, options.compression, fresh)?;
        let mut config = self.0.config.clone();
        config.author = options.author.clone().or(config.author);
        if let Some(epoch) = engine.config().source_date_epoch {
            // Steps from the cache have the times of the builds that took them.
            let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch.max(0) as u64);
            let times = config.history.iter_mut().map(|entry| &mut entry.created).chain([&mut config.created]);
            times.for_each(|time| clamp(time, latest));
        }
        config.created = options.created.clone().or(config.created);
        for (name, value) in &options.labels {
            if name.is_empty() {
                return Err(Error::invalid("a label needs a name"));
            }
            match value {
                Some(value) => config.config.labels.insert(name.clone(), value.clone()),
                None => config.config.labels.remove(name),
            };
        }
        if let (Some(message), Some(last)) = (&options.message, config.history.last_mut()) {
            last.comment = Some(message.clone());
        }
        let annotations = self.annotations(whole, &config, &options.annotations);
        let image = engine.keep_image(config, &annotations, &packed, names, fresh)?;
        task.end(image.id.short());
        Ok(image)
    }

    /// The manifest's annotations: what is known of the image, then what was asked for.
    fn annotations(
        &self,
        whole: &State,
        config: &ImageConfig,
        asked: &[(String, Option<String>)],
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        all.extend(config.created.clone().map(|time| (CREATED.to_string(), time)));
        if let Some(first) = whole.lineage().last()
            && let Some(base) = &first.0.base
            && self.layer_ids().starts_with(&first.layer_ids())
        {
            all.extend(base.name.clone().map(|name| (BASE_NAME.to_string(), name)));
            all.insert(BASE_DIGEST.into(), base.digest.to_string());
        }
        for (name, value) in asked {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        all
    }
}

/// A later time becomes this one.
fn clamp(time: &mut Option<String>, latest: SystemTime) {
    let is_later = |text: &str| humantime::parse_rfc3339(text).is_ok_and(|time| time > latest);
    if time.as_deref().is_some_and(is_later) {
        *time = Some(humantime::format_rfc3339_nanos(latest).to_string());
    }
}

fn commit_label(names: &[Reference]) -> String {
    let list: Vec<String> = names.iter().map(Reference::familiar).collect();
    if list.is_empty() { "image".into() } else { list.join(", ") }
}

impl Engine {
    /// Writes an image of packed layers and points the names at it; without names it is kept as an untagged one. The
    /// caller holds `store.shared`. `fresh` receives the paths of content that was not here before.
    pub(in super::super) fn keep_image(
        &self,
        mut config: ImageConfig,
        annotations: &BTreeMap<String, String>,
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
        let mut image = self.image_write(&config, annotations, &layers)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_layers() {
        let told = |name, level| compression(name, level).map_err(|e| e.message().to_string());
        assert_eq!(told(None, None), Ok(Compression::Gzip(4)));
        assert_eq!(told(None, Some(9)), Ok(Compression::Gzip(9)));
        assert_eq!(told(Some("zstd"), None), Ok(Compression::Zstd(3)));
        assert_eq!(told(Some("none"), None), Ok(Compression::None));
        assert_eq!(told(Some("gzip"), Some(10)), Err("compression level 10 is not 0 to 9, those of gzip".into()));
        assert_eq!(told(Some("zstd"), Some(0)), Err("compression level 0 is not 1 to 22, those of zstd".into()));
        assert!(told(Some("none"), Some(1)).is_err() && told(Some("xz"), None).is_err());
    }

    #[test]
    fn times_in_both_forms() {
        assert_eq!(time("1700000000").unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(time("2023-11-14T22:13:20Z").unwrap(), "2023-11-14T22:13:20Z");
        for bad in ["", "yesterday", "-1", "99999999999999999999", "300000000000"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
