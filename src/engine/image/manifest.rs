//! Manifests and indexes: what they may say, and which entry of an index is meant.
//!
//! Refused: documents that can be read in two ways (CVE-2021-41190), Docker's schema 1, layers that live elsewhere
//! ("foreign"), artifacts that are not images. Sources: OCI image specification 1.1, manifest.md and image-index.md;
//! the distribution project's image manifest 2, schema 2.

use oci_spec::image::{Descriptor, MediaType};
use serde::Deserialize;
use serde_json::Value;

use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::platform::Platform;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1";

/// Marks an index entry that describes another one instead of being an image.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// Layers of one image; overlayfs and common sense end long before.
const MOST_LAYERS: usize = 4096;

/// The content a descriptor points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Content {
    /// Of a descriptor.
    ///
    /// # Errors
    /// `unsupported` for digests other than sha256.
    pub fn of(descriptor: &Descriptor) -> Result<Content> {
        Ok(Content { digest: descriptor.digest().to_string().parse()?, size: descriptor.size() })
    }
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// The configuration.
    pub config: Content,
    /// The layers, base first.
    pub layers: Vec<Content>,
}

/// Either kind of document a name can lead to.
#[derive(Debug, Clone)]
pub enum Document {
    /// One image.
    Image(Manifest),
    /// Several, for different platforms.
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<Value>,
    signatures: Option<Value>,
    artifact_type: Option<String>,
}

/// Reads a manifest or index. `declared` is what its sender or its descriptor calls it.
///
/// # Errors
/// `integrity` when it is malformed or ambiguous; `unsupported` for schema 1, foreign layers and artifacts.
pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Document> {
    let schema1 = || {
        Error::new(Kind::Unsupported, "the image has a schema 1 manifest, a format given up in 2017")
            .with_hint("push it again with a current program")
    };
    if declared.is_some_and(|declared| declared.starts_with(DOCKER_SCHEMA1)) {
        return Err(schema1());
    }
    let raw: Raw =
        serde_json::from_slice(bytes).map_err(|e| Error::integrity("manifest cannot be read").caused_by(e))?;
    if raw.schema_version == Some(1) || (raw.fs_layers.is_some() && raw.layers.is_none()) {
        return Err(schema1());
    }
    if raw.schema_version != Some(2) {
        return Err(Error::integrity("manifest cannot be read: its schemaVersion is not 2"));
    }
    let known = declared.filter(|text| [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].contains(text));
    if let (Some(inner), Some(outer)) = (raw.media_type.as_deref(), known)
        && inner != outer
    {
        return Err(Error::integrity(format!("manifest calls itself {inner}, but was sent as {outer}")));
    }
    let single = raw.config.is_some() || raw.layers.is_some() || raw.fs_layers.is_some() || raw.signatures.is_some();
    if single && raw.manifests.is_some() {
        return Err(Error::integrity("manifest is ambiguous: it has both layers and manifests"));
    }
    let media_type = raw.media_type.as_deref().or(known);
    if let Some(manifests) = raw.manifests {
        return match media_type {
            None | Some(OCI_INDEX | DOCKER_LIST) => Ok(Document::Index(manifests)),
            Some(other) => Err(Error::integrity(format!("manifest calls itself {other}, but is an index"))),
        };
    }
    match media_type {
        None | Some(OCI_MANIFEST | DOCKER_MANIFEST) => {}
        Some(other) => return Err(Error::integrity(format!("manifest calls itself {other}, but is an image"))),
    }
    let (Some(config), Some(layers)) = (raw.config, raw.layers) else {
        return Err(Error::integrity("manifest cannot be read: it has neither layers nor manifests"));
    };
    let media_type = media_type.unwrap_or(OCI_MANIFEST).to_string();
    image(media_type, &config, &layers, raw.artifact_type.as_deref()).map(Document::Image)
}

fn image(media_type: String, config: &Descriptor, layers: &[Descriptor], artifact: Option<&str>) -> Result<Manifest> {
    let config_type = config.media_type().to_string();
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&config_type.as_str()) {
        let what = artifact.unwrap_or(&config_type);
        return Err(Error::new(Kind::Unsupported, format!("this is not an image but an artifact of type {what}")));
    }
    if layers.len() > MOST_LAYERS {
        return Err(Error::integrity(format!("manifest has {} layers, more than {MOST_LAYERS}", layers.len())));
    }
    for layer in layers {
        check_layer(layer)?;
    }
    let layers = layers.iter().map(Content::of).collect::<Result<Vec<_>>>()?;
    Ok(Manifest { media_type, config: Content::of(config)?, layers })
}

fn check_layer(layer: &Descriptor) -> Result<()> {
    let kind = layer.media_type().to_string();
    if kind.contains("nondistributable") || kind.contains("foreign") {
        return Err(Error::new(
            Kind::Unsupported,
            format!("layer {} is not in the registry but elsewhere (a foreign layer)", layer.digest()),
        )
        .with_hint("moonshell fetches nothing from addresses that an image names"));
    }
    let tar = ["", "+gzip", "+zstd"].iter().any(|end| kind == format!("application/vnd.oci.image.layer.v1.tar{end}"))
        || ["", ".gzip", ".zstd"]
            .iter()
            .any(|end| kind == format!("application/vnd.docker.image.rootfs.diff.tar{end}"));
    if tar {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("layer {} has type {kind}, not a file system", layer.digest())))
}

/// The entry of an index that is meant for `wanted`; `name` is what the index was called.
///
/// # Errors
/// `not_found`, listing what there is.
pub fn choose<'a>(entries: &'a [Descriptor], wanted: &Platform, name: &str) -> Result<&'a Descriptor> {
    let images: Vec<(&Descriptor, Option<Platform>)> =
        entries.iter().filter(|entry| is_image(entry)).map(|entry| (entry, platform_of(entry))).collect();
    let fitting = || images.iter().filter(|(_, platform)| platform.as_ref().is_some_and(|it| wanted.accepts(it)));
    // Among several variants the one that asks least of the machine.
    let plain = fitting().find(|(_, platform)| platform.as_ref() == Some(wanted));
    if let Some((entry, _)) = plain.or_else(|| fitting().next()) {
        return Ok(entry);
    }
    if let [(entry, None)] = images.as_slice() {
        return Ok(entry);
    }
    let mut there: Vec<String> = images.iter().filter_map(|(_, it)| it.as_ref().map(ToString::to_string)).collect();
    there.dedup();
    let there = if there.is_empty() { "no images".to_string() } else { there.join(", ") };
    Err(Error::not_found(format!("{name} has no image for {wanted}; it has {there}")))
}

pub(super) fn is_image(entry: &Descriptor) -> bool {
    let attestation = entry.annotations().as_ref().is_some_and(|it| it.contains_key(ATTESTATION));
    let unknown = entry.platform().as_ref().is_some_and(|it| it.os().to_string() == "unknown");
    let media_type = entry.media_type().to_string();
    !attestation && !unknown && [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].contains(&media_type.as_str())
}

fn platform_of(entry: &Descriptor) -> Option<Platform> {
    let platform = entry.platform().as_ref()?;
    let variant = platform.variant().as_deref();
    Some(Platform::new(&platform.os().to_string(), &platform.architecture().to_string(), variant))
}

/// A descriptor for content of ours.
///
/// # Errors
/// `internal`.
pub fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Result<Descriptor> {
    let digest: oci_spec::image::Digest = digest
        .to_string()
        .parse()
        .map_err(|e: oci_spec::OciSpecError| Error::new(Kind::Internal, "write a digest").caused_by(e))?;
    Ok(Descriptor::new(MediaType::from(media_type), size, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00000000000000000000000000000000000000000000000000000000000000ab";

    fn entry(platform: &str, extra: &str) -> String {
        let parts: Vec<&str> = platform.split('/').collect();
        let variant = parts.get(2).map_or(String::new(), |it| format!(r#","variant":"{it}""#));
        format!(
            r#"{{"mediaType":"{OCI_MANIFEST}","digest":"sha256:{HEX}","size":{},"platform":{{"os":"{}","architecture":"{}"{variant}}}{extra}}}"#,
            platform.len(),
            parts[0],
            parts[1]
        )
    }

    fn index(entries: &[String]) -> Vec<Descriptor> {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        match parse(text.as_bytes(), None).unwrap() {
            Document::Index(entries) => entries,
            Document::Image(_) => panic!("an image"),
        }
    }

    #[test]
    fn chooses_by_platform() {
        let entries = index(&[
            entry("unknown/unknown", ""),
            entry("linux/amd64", r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#),
            entry("linux/arm/v6", ""),
            entry("linux/arm/v7", ""),
            entry("linux/arm64/v8", ""),
        ]);
        let size = |wanted: &str| choose(&entries, &wanted.parse().unwrap(), "x").map(|it| it.size());
        assert_eq!(size("linux/arm/v6").unwrap(), "linux/arm/v6".len() as u64);
        assert_eq!(size("arm64").unwrap(), "linux/arm64/v8".len() as u64);
        assert_eq!(
            size("linux/amd64").unwrap_err().message(),
            "x has no image for linux/amd64; it has linux/arm/v6, linux/arm, linux/arm64"
        );
    }

    #[test]
    fn says_why_a_manifest_is_refused() {
        let config = format!(r#""config":{{"mediaType":"{OCI_CONFIG}","digest":"sha256:{HEX}","size":2}}"#);
        let layer =
            |kind: &str, digest: &str| format!(r#""layers":[{{"mediaType":"{kind}","digest":"{digest}","size":2}}]"#);
        let good = layer("application/vnd.oci.image.layer.v1.tar+gzip", &format!("sha256:{HEX}"));
        let message = |body: &str, declared: Option<&str>| {
            let text = format!(r#"{{"schemaVersion":2,{body}}}"#);
            parse(text.as_bytes(), declared).map(|_| String::new()).unwrap_or_else(|e| e.message().to_string())
        };
        assert_eq!(message(&format!("{config},{good}"), Some(OCI_MANIFEST)), "");
        assert_eq!(message(&format!("{config},{good}"), Some("text/plain")), "");
        let table = [
            (format!(r#"{config},{good},"manifests":[]"#), "manifest is ambiguous: it has both layers and manifests"),
            (config.clone(), "manifest cannot be read: it has neither layers nor manifests"),
            (format!("{config},{good},{good}"), "manifest cannot be read"),
            (format!(r#"{config},{}"#, layer("text/x", &format!("sha256:{HEX}"))), "not a file system"),
            (
                format!(
                    "{config},{}",
                    layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &format!("sha256:{HEX}"))
                ),
                "(a foreign layer)",
            ),
            (format!("{config},{}", layer("text/x", "sha256:../../x")), "manifest cannot be read"),
            (format!(r#""mediaType":"{OCI_INDEX}",{config},{good}"#), "but is an image"),
            (format!(r#""mediaType":"{OCI_MANIFEST}","manifests":[]"#), "but is an index"),
        ];
        for (body, expected) in table {
            let message = message(&body, None);
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
        assert_eq!(
            message(&format!(r#""mediaType":"{OCI_MANIFEST}",{config},{good}"#), Some(DOCKER_MANIFEST)),
            format!("manifest calls itself {OCI_MANIFEST}, but was sent as {DOCKER_MANIFEST}")
        );
    }

    #[test]
    fn schema_one_is_named() {
        let text = br#"{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}],"history":[]}"#;
        assert_eq!(parse(text, None).unwrap_err().kind(), Kind::Unsupported);
        assert!(parse(b"", Some("application/vnd.docker.distribution.manifest.v1+prettyjws")).is_err());
    }
}
