//! Names: one small file per image name, holding the descriptor of a manifest or index.
//!
//! `refs/REGISTRY/REPOSITORY/:TAG` and `refs/REGISTRY/REPOSITORY/@DIGEST`; the first character keeps names apart
//! from folders. `refs/untagged/@DIGEST` holds images without a name (no registry can be called `untagged`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::Descriptor;

use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::reference::Reference;
use super::small::{SmallFiles, shared_out};
use super::{Store, sync_dir};

/// One entry of the list of names.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name; `None` for an image that has none.
    pub name: Option<Reference>,
    /// What it names.
    pub target: Descriptor,
}

impl Store {
    fn ref_path(&self, name: &Reference) -> PathBuf {
        let file = match (name.digest(), name.tag()) {
            (Some(digest), _) => format!("@{digest}"),
            (None, tag) => format!(":{}", tag.unwrap_or("latest")),
        };
        self.join("refs").join(name.registry()).join(name.repository()).join(file)
    }

    /// Points `name` at `target`, durably; the content must be durable already.
    ///
    /// # Errors
    /// `os`; the name is then as it was.
    pub fn set_ref(&self, name: &Reference, target: &Descriptor) -> Result<()> {
        self.write_ref(&self.ref_path(name), target)
    }

    /// Keeps an image that has no name.
    ///
    /// # Errors
    /// `os`.
    pub fn set_untagged(&self, digest: &Digest, target: &Descriptor) -> Result<()> {
        self.write_ref(&self.join("refs/untagged").join(format!("@{digest}")), target)
    }

    fn write_ref(&self, path: &Path, target: &Descriptor) -> Result<()> {
        let dir = path.parent().unwrap_or(self.root());
        let fresh: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(dir).os(|| format!("create {}", dir.display()))?;
        for dir in fresh {
            let parent = dir.parent().unwrap_or(self.root());
            sync_dir(parent).os(|| format!("sync {}", parent.display()))?;
        }
        let text = serde_json::to_vec(target).map_err(|e| Error::integrity(format!("descriptor: {e}")))?;
        self.write_file(path, &text)
    }

    /// What `name` points at.
    ///
    /// # Errors
    /// `integrity` when the file is damaged, `os`.
    pub fn get_ref(&self, name: &Reference) -> Result<Option<Descriptor>> {
        read_ref(&self.ref_path(name))
    }

    /// Takes the name away; says whether it was there.
    ///
    /// # Errors
    /// `os`.
    pub fn remove_ref(&self, name: &Reference) -> Result<bool> {
        remove(&self.ref_path(name))
    }

    /// Forgets an image without a name; says whether it was there.
    ///
    /// # Errors
    /// `os`.
    pub fn remove_untagged(&self, digest: &Digest) -> Result<bool> {
        remove(&self.join("refs/untagged").join(format!("@{digest}")))
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// `integrity` when a file is damaged, `os`.
    pub fn list_refs(&self) -> Result<Vec<Named>> {
        let refs = self.join("refs");
        let mut files = Vec::new();
        walk(&refs, "", &mut files)?;
        let mut found = shared_out(&files, |files| {
            let mut reader = SmallFiles::open(&refs)?;
            let mut found = Vec::with_capacity(files.len());
            for (folder, file) in files {
                let path = format!("{folder}/{file}");
                let text = reader.read(&path, u64::MAX).os(|| format!("read {}", refs.join(&path).display()))?;
                // It may be removed meanwhile.
                let Some(text) = text else { continue };
                let target = descriptor(text, &refs.join(&path))?;
                let name = if &**folder == "untagged" { None } else { Some(format!("{folder}{file}").parse()?) };
                found.push(Named { name, target });
            }
            Ok(found)
        })?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            if let Some(dir) = path.parent() {
                sync_dir(dir).os(|| format!("sync {}", dir.display()))?;
            }
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).os(|| format!("remove {}", path.display())),
    }
}

fn read_ref(path: &Path) -> Result<Option<Descriptor>> {
    match fs::read(path) {
        Ok(text) => descriptor(&text, path).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).os(|| format!("read {}", path.display())),
    }
}

fn descriptor(text: &[u8], path: &Path) -> Result<Descriptor> {
    serde_json::from_slice(text).map_err(|e| Error::integrity(format!("{} is damaged: {e}", path.display())))
}

/// Finds the files of names: the folder, from `refs`, and the last part.
fn walk(dir: &Path, prefix: &str, found: &mut Vec<(Arc<str>, String)>) -> Result<()> {
    let here: Arc<str> = prefix.into();
    for entry in fs::read_dir(dir).os(|| format!("list {}", dir.display()))? {
        let entry = entry.os(|| format!("list {}", dir.display()))?;
        let file = entry.file_name();
        let Some(file) = file.to_str() else { continue };
        if file.starts_with([':', '@']) {
            found.push((here.clone(), file.to_string()));
        } else {
            let inner = if prefix.is_empty() { file.to_string() } else { format!("{prefix}/{file}") };
            walk(&entry.path(), &inner, found)?;
        }
    }
    Ok(())
}
