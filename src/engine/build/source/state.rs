//! Sources in another state: what its layers show together, with the owners it has there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::super::super::Engine;
use super::super::super::error::{Error, OsContext, Result};
use super::super::super::rootfs::view::{Found, View};
use super::super::State;
use super::super::expand::expand;
use super::super::globs::has_wildcards;
use super::super::ignore::Above;
use super::super::stat_cache::Looked;
use super::{Content, Item, Search, Source, folders_above, item, kept, split};

/// What a source names in another state.
///
/// # Errors
/// As [`from_host`].
pub(in super::super) fn from_state(
    engine: &Engine,
    state: &State,
    source: &str,
    search: &Search,
) -> Result<Vec<Source>> {
    let lowers = state.ready_lowers(engine)?;
    let view = View::new(&lowers);
    let path = state.absolute(source)?;
    if let Some(found) = view.find(&path)? {
        return in_state(&view, source, &path, found, search).map(|source| vec![source]);
    }
    if !has_wildcards(source) {
        return Err(Error::not_found(format!("cannot copy '{source}': it does not exist in the other state")));
    }
    let text = path.to_string_lossy();
    let (literal, wild) = split(&text);
    let start = view.resolve(&Path::new("/").join(literal))?.0;
    let names = |path: &Path| match view.find_link(&start.join(path))? {
        Some(found) if found.meta.is_dir() => found.names().map(Some),
        _ => Ok(None),
    };
    let mut sources = Vec::new();
    for rest in expand(&wild, search.parents, names)? {
        let path = start.join(rest);
        let found = match view.find(&path)? {
            Some(found) => Some(found),
            None => view.find_link(&path)?,
        };
        if let Some(found) = found {
            sources.push(in_state(&view, source, &path, found, search)?);
        }
    }
    Ok(sources)
}

fn in_state(view: &View<'_>, source: &str, path: &Path, found: Found, search: &Search) -> Result<Source> {
    let is_folder = found.meta.is_dir();
    let kept = if search.parents { kept(source, path) } else { PathBuf::new() };
    let before: PathBuf = path.components().take(path.components().count() - kept.components().count()).collect();
    let look = |above: &Path| Ok(view.find(&before.join(above))?.map(|found| Looked::from(&found.meta)));
    let above = folders_above(&kept, is_folder, look)?;
    let name = path.file_name().map(OsStr::to_os_string);
    let mut items = Vec::new();
    let at = match is_folder {
        true => PathBuf::new(),
        false => PathBuf::from(name.clone().unwrap_or_default()),
    };
    if is_folder || !search.exclude.leaves_out_from_root(&at).0 {
        collect(at, found, &Above::default(), search, &mut items)?;
    }
    Source { root: None, items, is_folder, name, unpack: false, commit: None, above }.check()
}

fn collect(path: PathBuf, found: Found, above: &Above, search: &Search, items: &mut Vec<Item>) -> Result<()> {
    search.cancel.check()?;
    let link = match found.meta.is_symlink() {
        true => Some(fs::read_link(&found.path).os(|| format!("read link {}", found.path.display()))?),
        false => None,
    };
    let mut first = item(path.clone(), Looked::from(&found.meta), link);
    let kind = first.looked.kind();
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        first.content = Content::Special(kind, found.meta.rdev());
    }
    first.layer = Some(found.path.clone());
    items.push(first);
    if !found.meta.is_dir() {
        return Ok(());
    }
    for name in found.names()? {
        let Some(child) = found.child(&name)? else { continue };
        let path = path.join(&name);
        let (out, here) = search.exclude.leaves_out(&path, above);
        let is_socket = Looked::from(&child.meta).kind() == FileType::Socket;
        if is_socket || out && !(child.meta.is_dir() && search.exclude.may_keep_below(&path)) {
            continue;
        }
        let before = items.len();
        collect(path, child, &here, search, items)?;
        if out && items.len() == before + 1 {
            items.truncate(before);
        }
    }
    Ok(())
}
