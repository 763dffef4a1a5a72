//! What processes stand on, so that nobody prunes it: the keys of build steps, one a line, in each one's work area.
//!
//! ```text
//! tmp/NAME/stands-on    the keys a process has asked for; goes with the work area when the process ends
//! ```
//!
//! A process writes the key before it reads the record. Whoever prunes moves the record away before it reads these
//! files, and puts back what is written there. So either the record is not found, and the step is taken again, or it
//! is found and stays.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::super::error::{OsContext, Result};
use super::Store;

const NAME: &str = "stands-on";

/// What this process stands on.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<(Option<File>, HashSet<String>)>);

impl Store {
    /// Notes that this process stands on a key until it ends. Where nothing can be written, nothing is: nobody prunes
    /// there either, or not before there is space again.
    ///
    /// # Errors
    /// `os`.
    pub fn pin(&self, key: &str) -> Result<()> {
        let mut pins = self.pins.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.1.contains(key) {
            return Ok(());
        }
        let written = match &pins.0 {
            Some(file) => line(file, key),
            None => self.scratch().and_then(|area| {
                let path = area.join(NAME);
                let file = fs::OpenOptions::new().append(true).create(true).open(&path);
                let file = file.os(|| format!("open {}", path.display()))?;
                let written = line(&file, key);
                pins.0 = Some(file);
                written
            }),
        };
        match written {
            Err(e) if matches!(e.errno(), Some(libc::EROFS | libc::ENOSPC | libc::EDQUOT)) => return Ok(()),
            other => other?,
        }
        pins.1.insert(key.into());
        Ok(())
    }

    /// What any process stands on now. A process that was killed counts until its work area is swept.
    ///
    /// # Errors
    /// `os`.
    pub fn pinned(&self) -> Result<HashSet<String>> {
        let folder = self.join("tmp");
        let mut keys = HashSet::new();
        for entry in fs::read_dir(&folder).os(|| format!("list {}", folder.display()))? {
            let path = entry.os(|| format!("list {}", folder.display()))?.path().join(NAME);
            match fs::read_to_string(&path) {
                Ok(text) => keys.extend(text.lines().map(String::from)),
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(e) => return Err(e).os(|| format!("read {}", path.display())),
            }
        }
        Ok(keys)
    }
}

fn line(mut file: &File, key: &str) -> Result<()> {
    // One write: a reader finds all of the line or none.
    file.write_all(format!("{key}\n").as_bytes()).os(|| "note what a build stands on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_seen_by_others_until_the_process_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        one.pin("aa").unwrap();
        one.pin("aa").unwrap();
        one.pin("bb").unwrap();
        assert_eq!(two.pinned().unwrap(), HashSet::from(["aa".to_string(), "bb".to_string()]));
        drop(one);
        assert!(two.pinned().unwrap().is_empty());
    }
}
