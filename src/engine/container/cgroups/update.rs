//! Writing limits: all at once into a new cgroup, or into one in use with a way back.

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::super::super::error::{Error, Kind, Result};
use super::resources::{Before, Setting, settings};
use super::{Cgroup, control, devices};

/// Writes the limits of a cgroup that is removed if one fails.
///
/// # Errors
/// As [`Cgroup::create`].
pub(super) fn write(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    for setting in settings(resources, cgroup)? {
        put(folder(cgroup, &setting)?, &setting)?;
    }
    match resources.devices().as_deref() {
        Some(rules) if !rules.is_empty() => devices::restrict(cgroup, rules),
        _ => Ok(()),
    }
}

/// Writes limits; when one is refused those already written get their old values back.
///
/// # Errors
/// As [`Cgroup::apply`].
pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let mut undo: Vec<(Setting, Vec<String>)> = Vec::new();
    let outcome = settings(resources, cgroup)?.into_iter().try_for_each(|setting| {
        let folder = folder(cgroup, &setting)?;
        let old = previous(folder, &setting)?;
        put(folder, &setting)?;
        undo.push((setting, old));
        Ok(())
    });
    let outcome = outcome.and_then(|()| match resources.devices().as_deref() {
        Some(rules) if !rules.is_empty() => devices::change(cgroup, rules),
        _ => Ok(()),
    });
    outcome.map_err(|error| put_back(cgroup, undo, error))
}

fn folder<'a>(cgroup: &'a Cgroup, setting: &Setting) -> Result<&'a Path> {
    // The table asked for the controller before it made the setting.
    cgroup
        .folder(setting.controller)
        .map(|folder| folder.path.as_path())
        .ok_or_else(|| Error::new(Kind::Internal, format!("no cgroup folder for controller {}", setting.controller)))
}

fn put(folder: &Path, setting: &Setting) -> Result<()> {
    match control::write(folder, &setting.file, &setting.value) {
        Err(e) if setting.optional && e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other.map_err(|e| control::refused(setting.option, &setting.shown, &e)),
    }
}

/// What to write to have the old value again.
fn previous(folder: &Path, setting: &Setting) -> Result<Vec<String>> {
    // A file that is missing fails at the write, which says so better.
    let Some(text) = control::read(folder, &setting.file)? else { return Ok(Vec::new()) };
    Ok(match &setting.before {
        Before::Whole => text.lines().map(str::to_string).collect(),
        Before::Field(word) => control::field(&text, word).map(|number| number.to_string()).into_iter().collect(),
        Before::Line { key, unset } => {
            let old = text.lines().find(|line| line.split(' ').next() == Some(key));
            vec![old.unwrap_or(unset).to_string()]
        }
    })
}

/// Undoes writes, the last first; the error that made it necessary goes on.
fn put_back(cgroup: &Cgroup, undo: Vec<(Setting, Vec<String>)>, error: Error) -> Error {
    let mut lost = Vec::new();
    for (setting, old) in undo.into_iter().rev() {
        let Some(folder) = cgroup.folder(setting.controller) else { continue };
        if old.iter().any(|line| control::write(&folder.path, &setting.file, line).is_err()) {
            lost.push(setting.option);
        }
    }
    if lost.is_empty() {
        return error;
    }
    error.with_hint(format!("these keep their new values, because putting back failed: {}", lost.join(", ")))
}
