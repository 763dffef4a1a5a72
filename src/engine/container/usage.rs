//! How much a tree takes on disk.

use std::fs;
use std::io;
use std::path::Path;

use super::super::error::{OsContext, Result};

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
