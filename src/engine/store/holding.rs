//! Locks of files that callers open themselves: they end with the last process that has the descriptor.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::super::cancel::Cancel;
use super::super::error::{OsContext, Result};
use super::{Store, lock_file, same_file};

/// How to hold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// With others.
    Shared,
    /// Alone.
    Alone,
}

impl Store {
    /// Locks an open file, waiting for those who have it; `late` is called once when that takes long.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn hold(&self, file: &File, hold: Hold, cancel: &Cancel, late: &dyn Fn()) -> Result<()> {
        let operation = match hold {
            Hold::Shared => FlockOperation::LockShared,
            Hold::Alone => FlockOperation::LockExclusive,
        };
        lock_file(file, operation, cancel, Some(late))
    }

    /// Locks an open file alone if nobody has it.
    ///
    /// # Errors
    /// `os`.
    pub fn try_hold(&self, file: &File) -> Result<bool> {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(e).os(|| "lock"),
        }
    }

    /// True while `path` still names the open file.
    ///
    /// # Errors
    /// `os`.
    pub fn is_at(&self, file: &File, path: &Path) -> Result<bool> {
        same_file(file, path)
    }
}
