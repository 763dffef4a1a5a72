//! Root file systems made of layers: the folder every container finds its mount points in, and reading without
//! mounting.

pub mod merged;
pub mod view;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::error::{OsContext, Result};
use super::store::Store;

/// Folders that containers mount on.
const FOLDERS: [&str; 4] = ["proc", "sys", "dev", "etc"];
/// Files that containers mount on.
const FILES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

impl Store {
    /// The bottom layer of every container: empty mount points. Because they are there already, no mount leaves a
    /// trace in what a build step or a container writes. It is no part of any image.
    ///
    /// # Errors
    /// `os`.
    pub fn skeleton(&self) -> Result<PathBuf> {
        let path = self.join("layers/skeleton/fs");
        if path.is_dir() {
            return Ok(path);
        }
        let area = self.workspace()?;
        let root = area.join("fs");
        // Modes are set apart from creation: the caller's umask must not show in containers.
        let mode = |path: &PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        for dir in [""].iter().chain(&FOLDERS) {
            let path = root.join(dir);
            fs::create_dir(&path).and_then(|()| mode(&path, 0o755)).os(|| format!("create {}", path.display()))?;
        }
        for file in FILES {
            let path = root.join(file);
            fs::write(&path, "").and_then(|()| mode(&path, 0o644)).os(|| format!("create {}", path.display()))?;
        }
        let target = self.join("layers/skeleton");
        super::store::sync_filesystem(&root)?;
        match fs::rename(area.path(), &target) {
            // Another process was faster; its skeleton is the same.
            Err(_) if path.is_dir() => Ok(path),
            other => other.os(|| format!("create {}", target.display())).map(|()| path),
        }
    }
}
