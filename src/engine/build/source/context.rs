//! Sources in a context: resolved inside it, less what its rules leave out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};

use super::super::super::error::{Error, Result};
use super::super::super::inroot::Root;
use super::super::context::Context;
use super::super::expand::expand;
use super::super::listing::Filter;
use super::super::stat_cache::Looked;
use super::{Search, Source, file, folder, folders_above, kept, split};

/// What a source names in a context: nothing for a pattern that fits nothing.
///
/// # Errors
/// `not_found` for a name that is not there or left out; `invalid_argument` for a special file or a bad pattern.
pub(in super::super) fn from_context(context: &Context, source: &str, search: &Search) -> Result<Vec<Source>> {
    let (literal, wild) = split(source);
    let root = context.root();
    let start = path_of(root.resolve(&literal)?);
    let names = |path: &Path| {
        let path = start.join(path);
        let is_folder = root.lstat(&path)?.is_some_and(|stat| Looked::from(&stat).kind() == FileType::Directory);
        if is_folder { root.list(&path).map(Some) } else { Ok(None) }
    };
    let mut sources = Vec::new();
    for rest in expand(&wild, search.parents, names)? {
        let found = in_context(context, source, &literal.join(&rest), &start.join(&rest), search)?;
        if found.is_none() && wild.is_empty() {
            return Err(missing(context, source, &literal));
        }
        sources.extend(found);
    }
    Ok(sources)
}

fn missing(context: &Context, source: &str, path: &Path) -> Error {
    let error = Error::not_found(format!("cannot copy '{source}': it is not in the context"));
    let left_out = context.rules().leaves_out_from_root(path).0;
    if left_out && matches!(context.root().lstat(path), Ok(Some(_))) {
        return error.with_hint("the context's ignore rules leave it out");
    }
    error
}

fn in_context(context: &Context, source: &str, shown: &Path, path: &Path, search: &Search) -> Result<Option<Source>> {
    let (root, rules) = (context.root(), context.rules());
    // A link that leads nowhere is a link.
    let real = path_of(root.resolve(path)?);
    let (real, stat) = match root.lstat(&real)? {
        Some(stat) => (real, stat),
        None => match root.lstat(path)? {
            Some(stat) => (path.to_path_buf(), stat),
            None => return Ok(None),
        },
    };
    let looked = Looked::from(&stat);
    let is_folder = looked.kind() == FileType::Directory;
    for path in [shown, &real] {
        if rules.leaves_out_from_root(path).0 && !(is_folder && rules.may_keep_below(path)) {
            return Ok(None);
        }
    }
    let kept = if search.parents { kept(source, shown) } else { PathBuf::new() };
    let before: PathBuf = shown.components().take(shown.components().count() - kept.components().count()).collect();
    let look = |above: &Path| Ok(root.stat(before.join(above))?.map(|stat| Looked::from(&stat)));
    let above = folders_above(&kept, is_folder, look)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let name = shown.file_name().map(OsStr::to_os_string);
    if !is_folder {
        let parent = real.parent().unwrap_or(Path::new(""));
        let root = Root::from_fd(std::os::fd::AsFd::as_fd(&root.open_with(parent, flags)?), parent)?;
        return file(root, real.file_name(), looked, name, above, search).map(Some);
    }
    let root = Root::from_fd(std::os::fd::AsFd::as_fd(&root.open_with(&real, flags)?), &real)?;
    let copy = Root::from_fd(root.fd(), &real)?;
    let kept_itself = !rules.leaves_out_from_root(&real).0;
    let filters = [Filter { rules, base: real }, Filter { rules: search.exclude, base: PathBuf::new() }];
    let items = folder(copy, &filters, search.cancel)?;
    if items.len() == 1 && !kept_itself {
        return Ok(None);
    }
    Source { root: Some(root), items, is_folder, name, unpack: false, commit: None, above }.check().map(Some)
}

fn path_of(parts: Vec<Vec<u8>>) -> PathBuf {
    parts.into_iter().map(OsString::from_vec).collect()
}
