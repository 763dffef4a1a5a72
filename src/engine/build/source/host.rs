//! Sources on the host: links lead wherever they lead there.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::super::error::{Error, OsContext, Result};
use super::super::super::inroot::Root;
use super::super::expand::expand;
use super::super::globs::{has_wildcards, unescape};
use super::super::listing::Filter;
use super::super::stat_cache::Looked;
use super::{Search, Source, file, folder, folders_above, kept};

/// What a source names on the host; relative ones start at `base`.
///
/// # Errors
/// `not_found` for a name that is not there; `invalid_argument` for a special file or a bad pattern; `os`.
pub(in super::super) fn from_host(base: &Path, source: &str, search: &Search) -> Result<Vec<Source>> {
    if source.is_empty() {
        return Err(Error::invalid("a source to copy has no name").with_hint("'.' is the whole folder"));
    }
    let path = base.join(source);
    match fs::metadata(&path) {
        Ok(_) => return on_host(source, &path, search).map(|source| vec![source]),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).os(|| format!("stat {}", path.display())),
    }
    if !has_wildcards(source) {
        let message = format!("cannot copy '{source}': no such file or folder on the host");
        return Err(Error::not_found(message));
    }
    let parts: Vec<&str> = source.split('/').collect();
    let wild = parts.iter().position(|part| has_wildcards(part)).unwrap_or(parts.len());
    let literal = parts[..wild].iter().map(|part| unescape(part)).collect::<Vec<_>>().join("/");
    let literal = if source.starts_with('/') { format!("{literal}/") } else { literal };
    let start = base.join(literal);
    let names = |path: &Path| {
        let path = start.join(path);
        let meta = if path == start { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        if !meta.is_ok_and(|meta| meta.is_dir()) {
            return Ok(None);
        }
        let what = || format!("list {}", path.display());
        let entries = fs::read_dir(&path).os(what)?.map(|entry| entry.map(|entry| entry.file_name()));
        entries.collect::<std::io::Result<Vec<_>>>().os(what).map(Some)
    };
    let wild: Vec<&str> = parts[wild..].iter().filter(|part| !matches!(**part, "" | ".")).copied().collect();
    let matches = expand(&wild, search.parents, names)?;
    matches.into_iter().map(|rest| on_host(source, &start.join(rest), search)).collect()
}

fn on_host(source: &str, path: &Path, search: &Search) -> Result<Source> {
    let what = || format!("stat {}", path.display());
    let real = match path.canonicalize() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => path.to_path_buf(),
        other => other.os(what)?,
    };
    let meta = fs::symlink_metadata(&real).os(what)?;
    let kept = if search.parents { kept(source, Path::new(path)) } else { PathBuf::new() };
    let skip = path.components().count() - kept.components().count();
    let before: PathBuf = path.components().take(skip).collect();
    let look = |above: &Path| Ok(fs::metadata(before.join(above)).ok().map(|meta| Looked::from(&meta)));
    let above = folders_above(&kept, meta.is_dir(), look)?;
    let name = path.file_name().map(OsStr::to_os_string);
    if !meta.is_dir() {
        let root = Root::open(real.parent().unwrap_or(Path::new("/")))?;
        return file(root, real.file_name(), Looked::from(&meta), name, above, search);
    }
    let root = Root::open(&real)?;
    let filters = [Filter { rules: search.exclude, base: PathBuf::new() }];
    let items = folder(Root::from_fd(root.fd(), &real)?, &filters, search.cancel)?;
    Source { root: Some(root), items, is_folder: true, name, unpack: false, commit: None, above }.check()
}
