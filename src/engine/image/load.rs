//! Reads images from one tar, compressed or not: an OCI layout, or what `docker save` writes.
//!
//! The tar is read once, front to back, nothing of it is unpacked by name: contents become blobs, checked against
//! the digest their place claims, and only documents that lead to them are believed. Names are set last.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;

use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::super::cancel::Cancel;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result, from_io, to_io};
use super::super::layer::decompress;
use super::super::reference::Reference;
use super::super::{Engine, progress};
use super::fetch::bring_layers;
use super::manifest::{self, Content, Document};
use super::save::{IMAGE_NAME, REF_NAME};
use super::{Image, ImageConfig, Platform};

const DOCUMENTS: [&str; 3] = ["oci-layout", "index.json", "manifest.json"];
const MOST_ENTRIES: usize = 100_000;
const MOST_INDEXES: usize = 3;

/// One image of a `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What an archive holds, by its own names.
#[derive(Default)]
struct Contents {
    documents: HashMap<&'static str, Vec<u8>>,
    blobs: HashMap<String, Content>,
    links: HashMap<String, String>,
}

impl Contents {
    /// The blob behind a name; old archives link layers that occur twice.
    fn blob(&self, name: &str) -> Result<Content> {
        let name = name.strip_prefix("./").unwrap_or(name);
        let target = self.links.get(name).map_or(name, String::as_str);
        let missing = || Error::integrity(format!("archive is incomplete: it has no '{}'", name.escape_debug()));
        self.blobs.get(target).copied().ok_or_else(missing)
    }
}

impl Engine {
    /// Loads all images of an archive and sets their names.
    ///
    /// # Errors
    /// `invalid_argument` when it is no image archive or names an image with something that is no name;
    /// `integrity`, `unsupported`, `os`, `interrupted`. No name is set then.
    pub fn image_load(&self, input: impl Read + Send) -> Result<Vec<Image>> {
        self.load(input).map_err(|e| e.with_op("image.load"))
    }

    /// Loads all images of an archive file.
    ///
    /// # Errors
    /// As [`Engine::image_load`].
    pub fn image_load_file(&self, path: &Path) -> Result<Vec<Image>> {
        let file = std::fs::File::open(path).os(|| format!("open {}", path.display()))?;
        self.image_load(file).map_err(|e| e.with_subject(path.display().to_string()))
    }

    fn load(&self, input: impl Read + Send) -> Result<Vec<Image>> {
        let _shared = self.store.shared(&self.cancel)?;
        let contents = self.read_archive(input)?;
        let mut images = match (contents.documents.get("index.json"), contents.documents.get("manifest.json")) {
            (Some(index), _) => self.load_layout(index)?,
            (None, Some(list)) => self.load_saved(list, &contents)?,
            (None, None) => {
                return Err(Error::invalid("not an image archive: it has neither index.json nor manifest.json"));
            }
        };
        for image in &images {
            bring_layers(self, None, &image.layers)?;
        }
        self.cancel.check()?;
        for image in &mut images {
            for name in &image.names {
                self.point(name, &image.manifest)?;
            }
            if image.names.is_empty() && !self.is_named(image)? {
                self.image_keep(image)?;
            }
        }
        Ok(images)
    }

    fn is_named(&self, image: &Image) -> Result<bool> {
        Ok(self.store.list_refs()?.iter().any(|named| named.target.digest() == image.manifest.digest()))
    }

    fn read_archive(&self, input: impl Read + Send) -> Result<Contents> {
        let mut contents = Contents::default();
        let input = Checked { inner: input, cancel: &self.cancel };
        let mut archive = tar::Archive::new(decompress(input)?);
        let broken = |e: io::Error| match e.get_ref() {
            Some(inner) if inner.is::<Error>() => from_io(e, ""),
            _ => Error::invalid("not an image archive: it cannot be read as tar").caused_by(e),
        };
        for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
            let mut entry = entry.map_err(broken)?;
            if count >= MOST_ENTRIES {
                return Err(Error::integrity(format!("archive has more than {MOST_ENTRIES} entries")));
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_string();
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    self.read_entry(&name, &mut entry, &mut contents)?;
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    contents.links.insert(name.clone(), link_target(&name, &target));
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn read_entry<R: Read>(&self, name: &str, entry: &mut tar::Entry<'_, R>, contents: &mut Contents) -> Result<()> {
        let size = entry.size();
        if let Some(document) = DOCUMENTS.iter().find(|document| **document == name) {
            let limit = self.config.limits.metadata_bytes;
            if size > limit {
                return Err(Error::integrity(format!("archive's {name} is longer than {limit} bytes")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| cut_short(e, name))?;
            contents.documents.insert(document, bytes);
            return Ok(());
        }
        // Relics of old formats that nothing leads to.
        if name == "repositories" || name.ends_with("/VERSION") || name.ends_with("/json") {
            return Ok(());
        }
        if size > self.config.limits.layer_bytes {
            let limit = self.config.limits.layer_bytes;
            return Err(Error::integrity(format!("archive's '{}' is longer than {limit} bytes", name.escape_debug())));
        }
        let claimed = name.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}").parse::<Digest>());
        let claimed = claimed.transpose()?;
        let content = match claimed {
            Some(digest) if self.store.blob_size(&digest) == Some(size) => Content { digest, size },
            _ => self.keep_blob(name, entry, claimed.map(|digest| (digest, size)))?,
        };
        contents.blobs.insert(name.to_string(), content);
        Ok(())
    }

    fn keep_blob(&self, name: &str, source: &mut dyn Read, expected: Option<(Digest, u64)>) -> Result<Content> {
        // A blob's own name is its digest, which progress shows short as everywhere.
        let shown = name.strip_prefix("blobs/sha256/").and_then(|hex| hex.get(..12)).unwrap_or(name);
        let task = progress::Task::start(&self.config.progress, "load", shown, expected.map(|(_, size)| size));
        let mut writer = self.store.blob_writer()?;
        let mut buffer = vec![0u8; 256 << 10];
        loop {
            let count = source.read(&mut buffer).map_err(|e| cut_short(e, name))?;
            if count == 0 {
                break;
            }
            writer.write_all(&buffer[..count]).os(|| "write blob")?;
            task.advance(count as u64);
        }
        let (digest, size) = writer.commit(expected)?;
        task.end("done");
        Ok(Content { digest, size })
    }

    fn load_layout(&self, index: &[u8]) -> Result<Vec<Image>> {
        let Document::Index(entries) = manifest::parse(index, None)? else {
            return Err(Error::integrity("archive's index.json is not an index"));
        };
        let mut images: Vec<Image> = Vec::new();
        for entry in entries.iter().filter(|entry| manifest::is_image(entry)) {
            let name = name_of(entry)?;
            let image = self.layout_image(entry)?;
            match images.iter_mut().find(|other| other.manifest.digest() == image.manifest.digest()) {
                Some(other) => other.names.extend(name),
                None => images.push(Image { names: name.into_iter().collect(), ..image }),
            }
        }
        if images.is_empty() {
            return Err(Error::invalid("archive holds no images"));
        }
        Ok(images)
    }

    /// The image an entry leads to; of several platforms this machine's.
    fn layout_image(&self, entry: &Descriptor) -> Result<Image> {
        let mut entry = entry.clone();
        for _ in 0..=MOST_INDEXES {
            let content = Content::of(&entry)?;
            let bytes = self.store.read_blob(&content.digest, self.config.limits.metadata_bytes).map_err(incomplete)?;
            if bytes.len() as u64 != content.size {
                let is = bytes.len();
                return Err(Error::integrity(format!(
                    "manifest {} has {is} bytes, expected {}",
                    content.digest, content.size
                )));
            }
            let media_type = entry.media_type().to_string();
            match manifest::parse(&bytes, Some(&media_type))? {
                Document::Image(manifest) => {
                    let target = manifest::descriptor(&manifest.media_type, &content.digest, content.size)?;
                    return self.image_at(&target, Vec::new()).map_err(incomplete);
                }
                Document::Index(entries) => {
                    let name = content.digest.to_string();
                    entry = manifest::choose(&entries, &Platform::host(), &name)?.clone();
                }
            }
        }
        Err(Error::integrity(format!("archive leads through more than {MOST_INDEXES} indexes")))
    }

    fn load_saved(&self, list: &[u8], contents: &Contents) -> Result<Vec<Image>> {
        let saved: Vec<Saved> = serde_json::from_slice(list)
            .map_err(|e| Error::integrity("archive's manifest.json cannot be read").caused_by(e))?;
        let mut images = Vec::new();
        for item in saved {
            let names: Vec<Reference> =
                item.repo_tags.unwrap_or_default().iter().map(|tag| archive_name(tag)).collect::<Result<_>>()?;
            let id = contents.blob(&item.config)?;
            let bytes = self.store.read_blob(&id.digest, self.config.limits.metadata_bytes)?;
            let config = ImageConfig::parse(&bytes)?;
            let mut layers = Vec::new();
            for path in item.layers.unwrap_or_default() {
                let content = contents.blob(&path)?;
                layers.push((content, self.layer_type(&content)?));
            }
            let image = self.write_manifest((&id.digest, id.size), &config, &Default::default(), &layers)?;
            images.push(Image { names, ..image });
        }
        if images.is_empty() {
            return Err(Error::invalid("archive holds no images"));
        }
        Ok(images)
    }

    /// The media type of a layer blob, by its first bytes.
    fn layer_type(&self, content: &Content) -> Result<&'static str> {
        let mut start = Vec::new();
        let file = self.store.open_blob(&content.digest)?;
        file.take(4).read_to_end(&mut start).os(|| format!("read blob {}", content.digest))?;
        Ok(match start.as_slice() {
            [0x1f, 0x8b, ..] => "application/vnd.oci.image.layer.v1.tar+gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => "application/vnd.oci.image.layer.v1.tar",
        })
    }
}

/// The name that an entry of an index carries, if any.
fn name_of(entry: &Descriptor) -> Result<Option<Reference>> {
    let annotations = entry.annotations().as_ref();
    let of = |key: &str| annotations.and_then(|all| all.get(key));
    if let Some(name) = of(IMAGE_NAME) {
        return archive_name(name).map(Some);
    }
    match of(REF_NAME) {
        // A bare word is a tag without the name it belongs to.
        Some(name) if name.contains(['/', ':']) => archive_name(name).map(Some),
        _ => Ok(None),
    }
}

fn archive_name(text: &str) -> Result<Reference> {
    text.parse().map_err(|e: Error| e.context("archive names an image with something that is no image name"))
}

/// Where a link inside an archive leads, as a name of the archive.
fn link_target(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn incomplete(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::integrity("archive is incomplete").caused_by(error),
        _ => error,
    }
}

fn cut_short(error: io::Error, name: &str) -> Error {
    match error.get_ref() {
        Some(inner) if inner.is::<Error>() => from_io(error, ""),
        _ => Error::integrity(format!("archive is cut short in '{}'", name.escape_debug())).caused_by(error),
    }
}

/// A reader that ends when the operation is cancelled.
struct Checked<'a, R> {
    inner: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(to_io)?;
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_names_of_the_archive() {
        assert_eq!(link_target("a/layer.tar", "../b/layer.tar"), "b/layer.tar");
        assert_eq!(link_target("a/layer.tar", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(link_target("x", "./y"), "y");
    }
}
