//! Secrets of builds. A value is read when a step that mounts it runs, travels in memory files, and is part of nothing
//! that is kept: no key, layer, history, record or message.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::super::super::error::{Error, OsContext, Result};

/// The longest secret, in bytes: as BuildKit has it.
const LIMIT: u64 = 500 << 10;

/// Where a secret's value is.
#[derive(Clone)]
pub enum Secret {
    /// In a file of the host.
    File(PathBuf),
    /// Here.
    Value(Vec<u8>),
}

impl fmt::Debug for Secret {
    /// Says nothing of the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::File(path) => f.debug_tuple("File").field(path).finish(),
            Secret::Value(_) => f.write_str("Value"),
        }
    }
}

impl Secret {
    /// The value.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for one that is too long or no file; `os`.
    pub(super) fn value(&self, id: &str) -> Result<Vec<u8>> {
        let value = match self {
            Secret::Value(value) => value.clone(),
            Secret::File(path) => {
                let what = || format!("secret '{id}' in {}", path.display());
                let file = File::open(path).os(what)?;
                if file.metadata().os(what)?.is_dir() {
                    return Err(Error::invalid(format!("{}: it is a folder", what())));
                }
                let mut value = Vec::new();
                file.take(LIMIT + 1).read_to_end(&mut value).os(what)?;
                value
            }
        };
        if value.len() as u64 > LIMIT {
            return Err(Error::invalid(format!("secret '{id}' is longer than {LIMIT} bytes")));
        }
        Ok(value)
    }
}
