//! What the two names of a copy mean: what is copied, and where it goes.
//!
//! ```text
//! source        target exists, a folder    a file          is missing (its folder exists)
//! file          TARGET/NAME                replaced        TARGET; with `/` at the end an error
//! folder        TARGET/NAME                an error        TARGET
//! folder/.      into TARGET                an error        TARGET
//! ```

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::inroot::Root;
use super::super::super::layer::entry::shown;
use super::super::super::layer::tree::{is_folder, join};
use super::CopyOptions;

/// What is copied.
pub(super) struct Source {
    /// An O_PATH descriptor.
    pub handle: OwnedFd,
    /// How messages call it.
    pub label: String,
    pub folder: bool,
    /// The name it gets inside a folder; none for the root of a file system.
    pub name: Option<OsString>,
    /// What is in the folder is meant, not the folder.
    pub contents: bool,
}

/// Where it goes: a real path below the root of what is written.
pub(super) struct Target {
    pub path: Vec<u8>,
    /// The folder at `path` exists, and only what is in the source goes into it.
    pub contents: bool,
}

/// What the end of a path says: that a folder is meant, or what is in it.
struct End {
    folder: bool,
    contents: bool,
}

fn end_of(path: &[u8]) -> End {
    let dot = path == b"." || path.ends_with(b"/.");
    End { folder: dot || path.ends_with(b"/") || path == b".." || path.ends_with(b"/.."), contents: dot }
}

fn text(path: &[u8]) -> String {
    shown(path)
}

/// Finds the source on the host.
///
/// # Errors
/// `not_found`, `invalid_argument`, `permission`, `os`.
pub(super) fn host_source(path: &Path, follow: bool) -> Result<Source> {
    let bytes = path.as_os_str().as_bytes();
    let label = format!("'{}' of the host", text(bytes));
    let handle = match openat(CWD, path, source_flags(follow, bytes), Mode::empty()) {
        Err(Errno::NOENT) => return Err(Error::not_found(format!("cannot copy {label}: no such file or folder"))),
        Err(Errno::NOTDIR) => return Err(not_a_folder(&label)),
        other => other.os(|| format!("cannot copy {label}"))?,
    };
    let name = || {
        let real = std::fs::canonicalize(path).os(|| format!("resolve {label}"))?;
        Ok(real.file_name().map(|name| name.to_os_string()))
    };
    source(handle, label.clone(), bytes, name)
}

/// Finds the source in a container, or in what has files as one.
///
/// # Errors
/// `not_found`, `invalid_argument`, `os`.
pub(super) fn root_source(root: &Root, path: &str, options: &CopyOptions) -> Result<Source> {
    let bytes = path.as_bytes();
    let label = format!("'{}' of the {}", text(bytes), options.noun);
    if path.is_empty() {
        return Err(Error::invalid(format!("the path in the {} is empty", options.noun)));
    }
    let handle = match root.open_with(path, source_flags(options.follow, bytes)) {
        Err(e) if e.kind() == Kind::NotFound => {
            return Err(Error::not_found(format!("cannot copy {label}: no such file or folder")));
        }
        Err(e) if e.errno() == Some(libc::ENOTDIR) => return Err(not_a_folder(&label)),
        other => other?,
    };
    let name = || Ok(root.resolve(Path::new(path))?.pop().map(OsString::from_vec));
    source(handle, label.clone(), bytes, name)
}

fn source_flags(follow: bool, path: &[u8]) -> OFlags {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // A name that means a folder goes through a link to it.
    if follow || end_of(path).folder { flags } else { flags | OFlags::NOFOLLOW }
}

fn not_a_folder(label: &str) -> Error {
    Error::invalid(format!("cannot copy {label}: it is not a folder"))
}

fn source(
    handle: OwnedFd,
    label: String,
    path: &[u8],
    real_name: impl Fn() -> Result<Option<OsString>>,
) -> Result<Source> {
    let stat = fstat(&handle).os(|| format!("stat {label}"))?;
    let (folder, end) = (is_folder(&stat), end_of(path));
    if end.folder && !folder {
        return Err(not_a_folder(&label));
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
        return Err(Error::new(Kind::Unsupported, format!("cannot copy {label}: it is a socket")));
    }
    // The name as it was given: that of a link, not of what it leads to.
    let given = path.split(|byte| *byte == b'/').rfind(|part| !part.is_empty() && part != b".");
    let name = match given {
        Some(b"..") => real_name()?,
        Some(name) => Some(OsString::from_vec(name.to_vec())),
        None if path.starts_with(b"/") => None,
        None => real_name()?,
    };
    Ok(Source { handle, label, folder, contents: end.contents || name.is_none(), name })
}

/// What is at the target.
enum There {
    Folder,
    Other,
    Nothing,
}

/// Decides where a source goes that is copied to `path`.
fn decide(source: &Source, there: There, path: Vec<u8>, end: &End, label: &str) -> Result<Target> {
    match there {
        There::Folder if source.contents => Ok(Target { path, contents: true }),
        There::Folder => {
            let name = source.name.as_ref().map(|name| join(&path, name.as_bytes())).unwrap_or(path);
            Ok(Target { path: name, contents: false })
        }
        There::Other if source.folder => {
            let message = format!("cannot copy folder {} onto {label}: it is not a folder", source.label);
            Err(Error::invalid(message))
        }
        There::Other if end.folder => {
            Err(Error::invalid(format!("cannot copy {} into {label}: it is not a folder", source.label)))
        }
        There::Nothing if end.folder && !source.folder => {
            Err(Error::not_found(format!("cannot copy {} into {label}: no such folder", source.label)))
        }
        There::Other | There::Nothing => Ok(Target { path, contents: false }),
    }
}

/// Finds the target in a container; links on the way and at the end are followed inside it.
///
/// # Errors
/// `not_found` when its folder is missing, `invalid_argument`, `os`.
pub(super) fn root_target(root: &Root, path: &str, source: &Source) -> Result<Target> {
    let label = format!("'{}' of the container", text(path.as_bytes()));
    if path.is_empty() {
        return Err(Error::invalid("the path in the container is empty"));
    }
    let real = root.resolve(Path::new(path))?;
    let real_path = real.join(&b'/');
    let there = match root.lstat(Path::new(std::ffi::OsStr::from_bytes(&real_path)))? {
        Some(stat) if is_folder(&stat) => There::Folder,
        Some(_) => There::Other,
        None => {
            let parent = real.split_last().map(|(_, parents)| parents.join(&b'/')).unwrap_or_default();
            match root.lstat(Path::new(std::ffi::OsStr::from_bytes(&parent)))? {
                Some(stat) if is_folder(&stat) => There::Nothing,
                Some(_) => return Err(no_parent(source, &label, &parent, "is not a folder")),
                None => return Err(no_parent(source, &label, &parent, "does not exist")),
            }
        }
    };
    decide(source, there, real_path, &end_of(path.as_bytes()), &label)
}

fn no_parent(source: &Source, label: &str, parent: &[u8], why: &str) -> Error {
    let message = format!("cannot copy {} to {label}: '/{}' {why}", source.label, text(parent));
    Error::not_found(message)
}

/// Opens the folder on the host that receives a copy, and finds the target in it. A target that is a link to a folder
/// stands for that folder; any other link is replaced.
///
/// # Errors
/// `not_found` when its folder is missing, `invalid_argument`, `permission`, `os`.
pub(super) fn host_target(path: &Path, source: &Source) -> Result<(OwnedFd, Target)> {
    let bytes = path.as_os_str().as_bytes();
    let label = format!("'{}' of the host", text(bytes));
    let (end, flags) = (end_of(bytes), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC);
    if bytes.is_empty() {
        return Err(Error::invalid("the path on the host is empty"));
    }
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(folder) => return Ok((folder, decide(source, There::Folder, Vec::new(), &end, &label)?)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
        Err(e) => return Err(e).os(|| format!("open {label}")),
    }
    let mut parent = path.parent().unwrap_or(Path::new("")).to_path_buf();
    if parent.as_os_str().is_empty() {
        parent = PathBuf::from(".");
    }
    let Some(name) = path.file_name() else { return Err(Error::not_found(format!("{label}: no such folder"))) };
    let folder = match openat(CWD, &parent, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            let message = format!("cannot copy {} to {label}: '{}' does not exist", source.label, parent.display());
            return Err(Error::not_found(message));
        }
        Err(Errno::NOTDIR) => {
            let message = format!("cannot copy {} to {label}: '{}' is not a folder", source.label, parent.display());
            return Err(Error::not_found(message));
        }
        other => other.os(|| format!("open '{}'", parent.display()))?,
    };
    let there = match Root::from_fd(folder.as_fd(), &parent)?.lstat(Path::new(name))? {
        Some(_) => There::Other,
        None => There::Nothing,
    };
    let target = decide(source, there, name.as_bytes().to_vec(), &end, &label)?;
    Ok((folder, target))
}
