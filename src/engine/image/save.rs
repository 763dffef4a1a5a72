//! Writes images into one tar: an OCI layout, or what `docker save` used to write; an OCI layout into a folder too.
//!
//! Layers go in as they are in the store, compressed; readers of both formats tell by the first bytes. Times and
//! owners are zero, so the same images give the same archive. Sources: OCI image specification 1.1, image-layout.md;
//! the moby project's image specification 1.2.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result, from_io};
use super::super::progress::Task;
use super::super::reference::Reference;
use super::Image;
use super::manifest::{Content, OCI_INDEX};

/// The annotation with the name as its writer used it; the specification wants only the tag here.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the whole name.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";

/// How an archive is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `oci-layout`, `index.json`, `blobs/`.
    #[default]
    Oci,
    /// `manifest.json` and what it names.
    Docker,
}

/// What an archive is written into.
trait Target {
    fn entry(&mut self, path: &str, size: u64, source: &mut dyn Read) -> Result<()>;
    /// Whether a blob is there from before.
    fn has(&self, _path: &str, _size: u64) -> bool {
        false
    }
}

struct Archive<'a, T: Target> {
    engine: &'a Engine,
    target: T,
    written: Vec<Digest>,
}

impl Engine {
    /// Writes images with the given names to `output`.
    ///
    /// # Errors
    /// `not_found` when a blob is not in the store; `os`, `interrupted`.
    pub fn image_save(
        &self,
        output: impl Write,
        images: &[(Image, Vec<Reference>)],
        format: ArchiveFormat,
    ) -> Result<()> {
        let _shared = self.store.shared(&self.cancel)?;
        let mut archive = Archive { engine: self, target: tar::Builder::new(output), written: Vec::new() };
        match format {
            ArchiveFormat::Oci => archive.oci(images, Vec::new()),
            ArchiveFormat::Docker => archive.docker(images),
        }
        .map_err(|e| e.with_op("image.save"))?;
        let mut output = archive.target.into_inner().os(|| "write the archive")?;
        output.flush().os(|| "write the archive")
    }

    /// Writes images to a file, which appears whole or not at all.
    ///
    /// # Errors
    /// As [`Engine::image_save`].
    pub fn image_save_file(
        &self,
        path: &Path,
        images: &[(Image, Vec<Reference>)],
        format: ArchiveFormat,
    ) -> Result<()> {
        write_whole(path, |output| self.image_save(output, images, format))
    }

    /// Writes images into a folder in the OCI layout. In one that is a layout already, what it holds stays, but for
    /// entries of the same names.
    ///
    /// # Errors
    /// As [`Engine::image_save`]; `invalid_argument` for a folder of other things.
    pub fn image_save_folder(&self, folder: &Path, images: &[(Image, Vec<Reference>)]) -> Result<()> {
        let what = || format!("create {}", folder.display());
        fs::create_dir_all(folder).os(what)?;
        let old = entries_of(folder)?;
        fs::create_dir_all(folder.join("blobs/sha256")).os(what)?;
        let _shared = self.store.shared(&self.cancel)?;
        let mut archive = Archive { engine: self, target: Folder(folder), written: Vec::new() };
        archive.oci(images, old).map_err(|e| e.with_op("image.save"))
    }
}

/// Writes a file, which appears whole or not at all; a pipe or device is written to.
///
/// # Errors
/// Those of `write`; `os`.
pub(in super::super) fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let what = || format!("write {}", path.display());
    if path.exists() && !path.is_file() {
        let file = fs::OpenOptions::new().write(true).open(path).os(what)?;
        let mut output = io::BufWriter::new(file);
        write(&mut output)?;
        return output.flush().os(what);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        return Err(Error::not_found(format!(
            "cannot write {}: there is no folder '{}'",
            path.display(),
            dir.display()
        )));
    }
    let file = tempfile::NamedTempFile::new_in(dir).os(what)?;
    // Not through the temporary file itself: its errors have no errno.
    let mut output = io::BufWriter::new(file.as_file());
    write(&mut output)?;
    output.flush().os(what)?;
    drop(output);
    file.as_file().sync_all().os(what)?;
    file.persist(path).map_err(|e| from_io(e.error, what()))?;
    Ok(())
}

/// The images of a folder that is in the OCI layout; none of one that is empty.
fn entries_of(folder: &Path) -> Result<Vec<Value>> {
    let what = || format!("read {}", folder.display());
    if !folder.join("oci-layout").exists() {
        return match fs::read_dir(folder).os(what)?.next() {
            None => Ok(Vec::new()),
            Some(_) => Err(Error::invalid(format!("{} holds other things than an OCI layout", folder.display()))),
        };
    }
    let text = match fs::read(folder.join("index.json")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.os(what)?,
    };
    let index: Value = serde_json::from_slice(&text)
        .map_err(|e| Error::invalid(format!("{} is not an OCI layout", folder.display())).caused_by(e))?;
    Ok(index["manifests"].as_array().cloned().unwrap_or_default())
}

impl<W: Write> Target for tar::Builder<W> {
    fn entry(&mut self, path: &str, size: u64, source: &mut dyn Read) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        self.append_data(&mut header, path, source).os(|| "write the archive")
    }
}

struct Folder<'a>(&'a Path);

impl Target for Folder<'_> {
    fn entry(&mut self, path: &str, _: u64, source: &mut dyn Read) -> Result<()> {
        let path = self.0.join(path);
        write_whole(&path, |output| io::copy(source, output).map(drop).os(|| format!("write {}", path.display())))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&path, mode).os(|| format!("set the mode of {}", path.display()))
    }

    fn has(&self, path: &str, size: u64) -> bool {
        fs::metadata(self.0.join(path)).is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }
}

impl<T: Target> Archive<'_, T> {
    /// `old` are the entries that stay.
    fn oci(&mut self, images: &[(Image, Vec<Reference>)], old: Vec<Value>) -> Result<()> {
        self.document("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        let mut entries = Vec::new();
        for (image, names) in images {
            let entry = serde_json::to_value(&image.manifest).map_err(internal)?;
            if names.is_empty() {
                entries.push(with_annotations(entry.clone(), Value::Null));
            }
            for name in names {
                let tag = name.tag().unwrap_or("latest");
                let annotations = json!({ IMAGE_NAME: name.to_string(), REF_NAME: tag });
                entries.push(with_annotations(entry.clone(), annotations));
            }
            self.blob(Content::of(&image.manifest)?)?;
            self.config_and_layers(image)?;
        }
        let same = |one: &Value, two: &Value| match &one["annotations"][IMAGE_NAME] {
            Value::Null => one["digest"] == two["digest"] && two["annotations"][IMAGE_NAME].is_null(),
            name => *name == two["annotations"][IMAGE_NAME],
        };
        let kept: Vec<Value> = old.into_iter().filter(|old| !entries.iter().any(|new| same(new, old))).collect();
        entries.splice(0..0, kept);
        // Last: a reader that met it knows that everything was there.
        self.document("index.json", &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries }))
    }

    fn docker(&mut self, images: &[(Image, Vec<Reference>)]) -> Result<()> {
        let mut entries = Vec::new();
        for (image, names) in images {
            self.config_and_layers(image)?;
            let names: Vec<String> =
                names.iter().filter(|name| name.digest().is_none()).map(Reference::familiar).collect();
            let layers: Vec<String> = image.layers.iter().map(|layer| path_of(&layer.blob.digest)).collect();
            entries.push(json!({ "Config": path_of(&image.id), "RepoTags": names, "Layers": layers }));
        }
        self.document("manifest.json", &Value::Array(entries))
    }

    fn config_and_layers(&mut self, image: &Image) -> Result<()> {
        let size = self.engine.store.blob_size(&image.id).unwrap_or(0);
        self.blob(Content { digest: image.id, size })?;
        for layer in &image.layers {
            self.blob(layer.blob)?;
        }
        Ok(())
    }

    fn blob(&mut self, content: Content) -> Result<()> {
        if self.written.contains(&content.digest) {
            return Ok(());
        }
        let engine = self.engine;
        engine.cancel.check()?;
        let task = Task::start(&engine.config.progress, "save", content.digest.short(), Some(content.size));
        let file = engine.store.open_blob(&content.digest)?;
        if engine.store.blob_size(&content.digest) != Some(content.size) {
            return Err(Error::integrity(format!("blob {} is damaged in the store", content.digest)));
        }
        let mut source = io::BufReader::with_capacity(256 << 10, file);
        let path = path_of(&content.digest);
        if !self.target.has(&path, content.size) {
            self.target.entry(&path, content.size, &mut source)?;
        }
        self.written.push(content.digest);
        task.advance(content.size);
        task.end("done");
        Ok(())
    }

    fn document(&mut self, path: &str, value: &Value) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(internal)?;
        self.target.entry(path, bytes.len() as u64, &mut bytes.as_slice())
    }
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The descriptor as an archive holds it: without what only this store understands.
fn with_annotations(mut entry: Value, annotations: Value) -> Value {
    if let Some(fields) = entry.as_object_mut() {
        match annotations {
            Value::Null => fields.remove("annotations"),
            annotations => fields.insert("annotations".into(), annotations),
        };
    }
    entry
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(super::Kind::Internal, "write the archive").caused_by(error)
}
