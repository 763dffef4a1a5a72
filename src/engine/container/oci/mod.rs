//! moonshell as a runtime for other engines: containers made from bundles, with their state in a folder of its own.
//!
//! ```text
//! ROOT/ID/state.json    what is known of the container (record.rs)
//! ROOT/ID/config.json   the specification as it was at its creation
//! ROOT/ID/start.fifo    there while it is created and not started: its first process waits for a byte
//! ROOT/ID/report.fifo   beside it: where it then says why its program cannot be executed
//! ```
//!
//! There is no monitor: the first process is a child of whoever ran `create`, as engines expect. What happens inside is
//! the same as for the engine's own containers.
//!
//! Source: OCI runtime specification 1.2, runtime.md; the command line that engines agree on is in `src/oci`.

mod bundle;
mod console;
mod control;
mod create;
mod features;
mod foreground;
mod process;
mod record;
mod watch;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::error::{Error, Kind, OsContext, Result};

pub use console::Stdio;
pub use create::{Create, Created, check_preserved};
pub use features::features;
pub use foreground::Relay;
pub use process::{ExecOptions, Override};
pub use record::{Record, Status};

/// The version of the runtime specification this is made for.
pub const VERSION: &str = "1.2.0";

/// The longest id.
const ID_LIMIT: usize = 1024;

/// A folder of containers.
#[derive(Debug)]
pub struct Runtime {
    root: PathBuf,
    warn: fn(&str),
}

impl Runtime {
    /// Uses a folder, which need not exist. `warn` is told what does not keep a container from running.
    pub fn new(root: PathBuf, warn: fn(&str)) -> Runtime {
        Runtime { root, warn }
    }

    /// The folder of one container.
    fn folder(&self, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        Ok(self.root.join(id))
    }

    /// Makes the folder of a new container.
    fn make_folder(&self, id: &str) -> Result<PathBuf> {
        let folder = self.folder(id)?;
        let mut builder = DirBuilder::new();
        builder.mode(0o711).recursive(true).create(&self.root).os(|| format!("make {}", self.root.display()))?;
        match builder.recursive(false).create(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::new(Kind::AlreadyExists, format!("container with id '{id}' exists already")))
            }
            other => other.os(|| format!("make {}", folder.display())).map(|()| folder),
        }
    }

    /// What is known of a container.
    ///
    /// # Errors
    /// `not_found`, `invalid_argument`; `integrity` for a state file that is none.
    pub fn get(&self, id: &str) -> Result<Record> {
        let folder = self.folder(id)?;
        Record::load(&folder).map_err(|e| match e.kind() {
            Kind::NotFound => Error::not_found(format!("container '{id}' does not exist")),
            _ => e,
        })
    }

    /// All containers, by id. One that is being made or removed right now is left out.
    ///
    /// # Errors
    /// `os`.
    pub fn list(&self) -> Result<Vec<Record>> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.os(|| format!("list {}", self.root.display()))?,
        };
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry.os(|| format!("list {}", self.root.display()))?;
            match Record::load(&entry.path()) {
                Ok(record) => list.push(record),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => (self.warn)(&format!("{}: {e}", entry.path().display())),
            }
        }
        list.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(list)
    }
}

/// An id is a name of a folder: letters, digits and `_ + - .`.
fn check_id(id: &str) -> Result<()> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    match id {
        "" => Err(Error::invalid("the container's id is empty")),
        "." | ".." => Err(Error::invalid(format!("invalid container id '{id}'"))),
        _ if id.len() > ID_LIMIT => Err(Error::invalid(format!("the container's id is longer than {ID_LIMIT} bytes"))),
        _ if !id.chars().all(valid) => {
            Err(Error::invalid(format!("invalid container id '{id}': letters, digits and _ + - . can be in it")))
        }
        _ => Ok(()),
    }
}

/// An error with its causes, in one line.
pub fn line(error: &Error) -> String {
    let causes = error.causes().into_iter();
    std::iter::once(error.message().to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// Writes a file that has its old content or its new, never a part.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    super::super::files::write(path, bytes, Some(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_folders() {
        for good in ["a", "web-1", "a.b_c+d", "...", "0123456789abcdef"] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "a b", "a\n", "ü", "a\0", "-/-"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
        assert!(check_id(&"x".repeat(1025)).is_err());
    }
}
