//! Taking a container away: its folder, name, control group, data folders.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::super::error::{OsContext, Result};
use super::super::store::{Store, remove_tree};
use super::record::{self, Record};
use super::{cgroups, names};

/// Removes everything of a container that nobody runs; the caller has its lock. With `data`, the data folders made for
/// it, too.
///
/// Data goes first, as nobody would find it without its container. Then the container ceases to exist for everybody: its
/// folder is moved to where things are swept, so that a removal that is cut short is finished by the next command.
///
/// # Errors
/// `os`.
pub fn remove_folder(store: &Store, record: &Record, data: bool) -> Result<()> {
    remove_all_but_cgroup(store, record, data, || cgroups::sweep(&format!("/moonshell/{}", record.id)))
}

/// The same for one whose control group is known to be gone.
///
/// # Errors
/// `os`.
pub fn remove_folder_alone(store: &Store, record: &Record, data: bool) -> Result<()> {
    remove_all_but_cgroup(store, record, data, || Ok(()))
}

fn remove_all_but_cgroup(store: &Store, record: &Record, data: bool, sweep: impl FnOnce() -> Result<()>) -> Result<()> {
    if data {
        remove_data(store, record)?;
    }
    let folder = record::folder(store.root(), &record.id);
    let trash = store.join("tmp").join(format!("{}-gone", record.id));
    // Locked, as everything in `tmp` is that somebody still works on.
    let held = fs::File::open(&folder).os(|| format!("open {}", folder.display()))?;
    flock(&held, FlockOperation::LockExclusive).os(|| format!("lock {}", folder.display()))?;
    fs::rename(&folder, &trash).os(|| format!("remove {}", folder.display()))?;
    names::release(store, &record.name, &record.id)?;
    sweep()?;
    match remove_tree(&trash) {
        // Somebody renamed or changed the container when its monitor removed it, and has written into the folder since
        // it has its new name. Whoever sweeps next takes that away.
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other.os(|| format!("remove {}", trash.display())),
    }
}

/// Removes what was made elsewhere for a container in the work area `id` whose maker was killed.
///
/// # Errors
/// `os`.
pub fn remove_unborn(root: &Path, id: &str) -> Result<()> {
    let store = Store::attach(root);
    cgroups::sweep(&format!("/moonshell/{id}"))?;
    // A damaged record is one that was not written to its end: nothing else had been made by then.
    match record::read_record(&store.join("tmp").join(id)) {
        Ok(Some(record)) if record.id == id => remove_data(&store, &record),
        _ => Ok(()),
    }
}

fn remove_data(store: &Store, record: &Record) -> Result<()> {
    for folder in &record.data {
        let path = store.join("volumes").join(&folder.name);
        remove_tree(&path).os(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}
