//! Taking a container away: its folder, name, control group, data folders.

use std::fs;
use std::io;

use super::super::error::{OsContext, Result};
use super::super::store::{Store, remove_tree};
use super::record::{self, Record};
use super::{cgroups, names};

/// Removes everything of a container that nobody runs; the caller has its lock. With `data`, the data folders made for
/// it, too.
///
/// From the first step on the container does not exist for anybody: its folder is moved to where things are swept, so
/// that a removal that is cut short is finished by the next command.
///
/// # Errors
/// `os`.
pub fn remove_folder(store: &Store, record: &Record, data: bool) -> Result<()> {
    let folder = record::folder(store.root(), &record.id);
    let trash = store.join("tmp").join(&record.id);
    match fs::rename(&folder, &trash) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).os(|| format!("remove {}", folder.display())),
        _ => {}
    }
    names::release(store, &record.name, &record.id)?;
    cgroups::sweep(&format!("/moonshell/{}", record.id))?;
    remove_tree(&trash).os(|| format!("remove {}", trash.display()))?;
    if data {
        for folder in &record.data {
            let path = store.join("volumes").join(&folder.name);
            remove_tree(&path).os(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}
