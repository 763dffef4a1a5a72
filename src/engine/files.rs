//! Files of the host for scripts: whole trees copied and removed, names matched.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::cancel::Cancel;
use super::error::{Error, Kind, OsContext, Result};

/// What `stat` tells of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Stat {
    /// `file`, `folder`, `link` or `other`.
    pub kind: &'static str,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content, in seconds since 1970.
    pub modified: f64,
}

/// Describes a file; `None` when there is none, not even a folder it could be in. Links are not followed.
///
/// # Errors
/// `permission` or `os`.
pub fn stat(path: &Path) -> Result<Option<Stat>> {
    let meta = match fs::symlink_metadata(path) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        other => other.os(|| format!("stat {}", path.display()))?,
    };
    let kind = match meta.file_type() {
        t if t.is_symlink() => "link",
        t if t.is_dir() => "folder",
        t if t.is_file() => "file",
        _ => "other",
    };
    let modified = meta.mtime() as f64 + meta.mtime_nsec() as f64 / 1e9;
    Ok(Some(Stat { kind, size: meta.len(), mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), modified }))
}

/// Reads a whole file.
///
/// # Errors
/// `not_found`, `permission` or `os`.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).os(|| format!("read {}", path.display()))
}

/// Writes a whole file: it has the old content or the new, never a part.
///
/// # Errors
/// `not_found` when the folder is missing, `permission` or `os`.
pub fn write(path: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
    let what = || format!("write {}", path.display());
    // A device or a pipe is written, not replaced.
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes).os(what);
    }
    // A link keeps pointing where it does.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let old = fs::metadata(path).ok().map(|meta| meta.permissions().mode() & 0o7777);
    let mode = mode.or(old).unwrap_or(0o644);
    let mut file = tempfile::Builder::new().prefix(".moonshell-").tempfile_in(folder).map_err(bare).os(what)?;
    file.as_file_mut().write_all(bytes).os(what)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).os(what)?;
    file.persist(path).map_err(|e| e.error).os(what)?;
    Ok(())
}

/// A temporary file's error without its random path.
fn bare(error: std::io::Error) -> std::io::Error {
    let inner =
        error.get_ref().and_then(|inner| inner.source()).and_then(|inner| inner.downcast_ref::<std::io::Error>());
    inner.and_then(std::io::Error::raw_os_error).map_or(error, std::io::Error::from_raw_os_error)
}

/// Appends to a file, making it first if need be.
///
/// # Errors
/// `not_found` when the folder is missing, `permission` or `os`.
pub fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("append to {}", path.display());
    fs::OpenOptions::new().append(true).create(true).open(path).os(what)?.write_all(bytes).os(what)
}

/// The names in a folder, sorted.
///
/// # Errors
/// `not_found`, `permission` or `os`.
pub fn list(path: &Path) -> Result<Vec<String>> {
    let what = || format!("list {}", path.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(path).os(what)? {
        names.push(entry.os(what)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Removes a file or a whole tree; false when there was nothing. Links are removed, not followed.
///
/// # Errors
/// `permission` or `os`.
pub fn remove(path: &Path) -> Result<bool> {
    let what = || format!("remove {}", path.display());
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).os(what),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).os(what).map(|()| true),
        Ok(_) => fs::remove_file(path).os(what).map(|()| true),
    }
}

/// Copies a file, link or whole tree; permissions are kept. `to` may be an existing folder: the copy goes into it.
///
/// # Errors
/// `not_found`, `permission`, `unsupported` for devices, `interrupted` or `os`; what was copied remains.
pub fn copy(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    let to = match from.file_name() {
        Some(name) if to.is_dir() => to.join(name),
        _ => to.to_path_buf(),
    };
    let inside = fs::canonicalize(from).ok().zip(to.parent().and_then(|parent| fs::canonicalize(parent).ok()));
    if inside.is_some_and(|(from, to)| from.is_dir() && to.starts_with(from)) {
        return Err(Error::invalid(format!("cannot copy {} into itself", from.display())));
    }
    copy_tree(from, &to, cancel)
}

fn copy_tree(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    cancel.check()?;
    let what = || format!("copy {} to {}", from.display(), to.display());
    let meta = fs::symlink_metadata(from).os(what)?;
    if meta.is_symlink() {
        return symlink(fs::read_link(from).os(what)?, to).os(what);
    }
    if meta.is_file() {
        return fs::copy(from, to).os(what).map(drop);
    }
    if !meta.is_dir() {
        return Err(Error::new(Kind::Unsupported, format!("{} is neither file, folder nor link", from.display())));
    }
    if !to.is_dir() {
        fs::create_dir(to).os(what)?;
    }
    for name in list(from)? {
        copy_tree(&from.join(&name), &to.join(&name), cancel)?;
    }
    fs::set_permissions(to, meta.permissions()).os(what)
}

/// Moves a file or tree, also to another file system.
///
/// # Errors
/// As [`copy`] and [`remove`].
pub fn rename(from: &Path, to: &Path, cancel: &Cancel) -> Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            copy(from, to, cancel)?;
            remove(from).map(drop)
        }
        other => other.os(|| format!("move {} to {}", from.display(), to.display())),
    }
}

/// The paths that match a pattern, sorted: `*` and `?` within a name, `**` across folders. A name that begins with
/// a dot is matched only by a pattern that does.
///
/// # Errors
/// `permission` or `os` for a folder that cannot be read.
pub fn glob(pattern: &str) -> Result<Vec<String>> {
    let (start, rest) = match pattern.strip_prefix('/') {
        Some(rest) => (PathBuf::from("/"), rest),
        None => (PathBuf::new(), pattern),
    };
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    expand(&start, &parts, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn expand(base: &Path, parts: &[&str], found: &mut Vec<String>) -> Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        found.push(base.display().to_string());
        return Ok(());
    };
    if !part.contains(['*', '?']) {
        let next = base.join(part);
        return if next.symlink_metadata().is_ok() { expand(&next, rest, found) } else { Ok(()) };
    }
    let folder = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    if !folder.is_dir() {
        return Ok(());
    }
    if *part == "**" {
        expand(base, rest, found)?;
    }
    for name in list(folder)? {
        let next = base.join(&name);
        if *part == "**" {
            let is_folder = next.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            if is_folder && !name.starts_with('.') {
                expand(&next, parts, found)?;
            }
        } else if matches(part, &name) && (part.starts_with('.') || !name.starts_with('.')) {
            expand(&next, rest, found)?;
        }
    }
    Ok(())
}

/// Whether `name` matches a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star_at, matched)) = star {
            // Let the last star take one letter more and try again.
            star = Some((star_at, matched + 1));
            p = star_at + 1;
            n = matched + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_patterns() {
        for (pattern, name, expected) in [
            ("*.lua", "a.lua", true),
            ("*.lua", "a.luac", false),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXcYYb", false),
            ("?", "é", true),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
