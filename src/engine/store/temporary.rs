//! Files that have no lasting name yet. Errors keep their errno, so that a full disk is told from a broken one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::error::{OsContext, Result};
use super::random_id;

/// A fresh file (mode 0600) in some folder; removed when dropped, unless it was given its lasting name.
#[derive(Debug)]
pub struct TemporaryFile {
    file: File,
    path: Option<PathBuf>,
}

impl TemporaryFile {
    /// Makes one.
    ///
    /// # Errors
    /// `os`.
    pub fn new_in(dir: &Path) -> Result<TemporaryFile> {
        let path = dir.join(format!(".tmp-{}", &random_id()?[..16]));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        Ok(TemporaryFile { file: file.os(|| format!("create {}", path.display()))?, path: Some(path) })
    }

    /// The open file.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, in the place of what had it before.
    ///
    /// # Errors
    /// The system's; the file is then removed, and what had the name still has it.
    pub fn persist(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, target)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // In a work area, what cannot be removed now goes with the next sweep.
            let _ = fs::remove_file(path);
        }
    }
}
