//! How much a container or a tree takes on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::error::{OsContext, Result};
use super::record::Record;

impl Engine {
    /// Bytes a container has written to its root file system.
    ///
    /// # Errors
    /// `os`.
    pub fn container_size(&self, record: &Record) -> Result<u64> {
        tree_bytes(&record.rootfs.upper)
    }

    /// Bytes of the layers below what a container writes, as they were when each was unpacked or made.
    ///
    /// # Errors
    /// `os`.
    pub fn container_base_size(&self, record: &Record) -> Result<u64> {
        let bytes = |lower: &PathBuf| {
            let id = lower.parent().and_then(|dir| dir.file_name()).and_then(|name| name.to_str()).unwrap_or_default();
            // What holds only mount points has no description.
            self.store().layer_meta(id).map_or_else(|_| tree_bytes(lower), |meta| Ok(meta.bytes))
        };
        record.rootfs.lowers.iter().map(bytes).sum()
    }
}

/// Bytes of the regular files in a tree; what vanishes meanwhile does not count.
///
/// # Errors
/// `os`.
pub fn tree_bytes(path: &Path) -> Result<u64> {
    let what = || format!("list {}", path.display());
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.os(what)?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry.os(what)?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += tree_bytes(&entry.path())?,
            Ok(meta) if meta.is_file() => bytes += meta.len(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).os(|| format!("stat {}", entry.path().display())),
        }
    }
    Ok(bytes)
}
