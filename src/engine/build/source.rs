//! What a copy takes: each source looked at, and the content of its files by digest.
//!
//! A source is resolved inside what it is from: a context's links lead nowhere but into the context. What is found is
//! opened from a folder's descriptor without following a link, so that a name that is swapped meanwhile leads to an
//! error and never elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};

use super::super::Engine;
use super::super::cancel::Cancel;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::inroot::Root;
use super::super::rootfs::view::{Found, View};
use super::State;
use super::context::Context;
use super::expand::{expand, parts, pivot};
use super::globs::{has_wildcards, unescape};
use super::ignore::{Above, Rules};
use super::listing::{Filter, list};
use super::stat_cache::Looked;

/// One thing to copy.
pub(super) struct Item {
    /// From the source's folder on; empty for the source itself, if that is a folder.
    pub path: PathBuf,
    pub looked: Looked,
    pub content: Content,
    /// Where it is, for what is in a layer.
    layer: Option<PathBuf>,
}

/// What counts of a thing for the cache.
pub(super) enum Content {
    Folder,
    Link(PathBuf),
    /// A pipe, or of a state a device with its number.
    Special(FileType, u64),
    /// Of a file that was not read yet: none.
    File(Option<Digest>),
}

/// One source, looked at.
pub(super) struct Source {
    /// What the items' paths start at; none for a state's layers.
    root: Option<Root>,
    pub items: Vec<Item>,
    pub is_folder: bool,
    /// What it is called inside a folder.
    pub name: Option<OsString>,
    /// It is an archive to be unpacked at the target.
    pub unpack: bool,
    /// The commit it is of, if what git keeps itself comes too: it counts for the cache in the place of that.
    pub commit: Option<String>,
    /// Its folders' names that are kept at the target, each with the looks of that folder.
    pub above: Vec<(PathBuf, Looked)>,
}

/// How sources are looked for.
pub(super) struct Search<'a> {
    pub exclude: &'a Rules,
    pub parents: bool,
    pub cancel: &'a Cancel,
}

/// A path up to its first wildcard, and the parts from there on.
fn split(source: &str) -> (PathBuf, Vec<&str>) {
    let parts = parts(source);
    let wild = parts.iter().position(|part| has_wildcards(part)).unwrap_or(parts.len());
    (parts[..wild].iter().map(|part| unescape(part)).collect(), parts[wild..].to_vec())
}

impl Source {
    /// Opens one of its files for reading, without waiting for anybody.
    pub fn open(&self, item: &Item) -> Result<File> {
        let what = || format!("open {}", self.label(item).display());
        match (&self.root, &item.layer) {
            (Some(root), None) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                openat2(root.fd(), &item.path, flags, Mode::empty(), inside).os(what).map(File::from)
            }
            (_, layer) => fs::OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(layer.as_ref().unwrap_or(&item.path))
                .os(what),
        }
    }

    /// What messages call one of its things.
    pub fn label(&self, item: &Item) -> PathBuf {
        let root = self.root.as_ref().map_or(Path::new(""), |root| root.path());
        root.join(item.layer.as_ref().unwrap_or(&item.path))
    }

    /// It is of a state, whose files have owners that mean something.
    pub fn is_of_state(&self) -> bool {
        self.root.is_none()
    }

    fn check(self) -> Result<Source> {
        for item in &self.items {
            if matches!(item.content, Content::File(_)) && item.looked.kind() != FileType::RegularFile {
                let label = self.label(item);
                let message = format!("cannot copy {}: it is neither file, folder, link nor pipe", label.display());
                return Err(Error::invalid(message));
            }
        }
        Ok(self)
    }
}

impl Item {
    /// It is in a layer of a state.
    pub fn is_in_layer(&self) -> bool {
        self.layer.is_some()
    }
}

fn item(path: PathBuf, looked: Looked, link: Option<PathBuf>) -> Item {
    let content = match (looked.kind(), link) {
        (FileType::Directory, _) => Content::Folder,
        (_, Some(target)) => Content::Link(target),
        (FileType::Fifo, _) => Content::Special(FileType::Fifo, 0),
        _ => Content::File(None),
    };
    Item { path, looked, content, layer: None }
}

/// A folder with all that is in it.
fn folder(root: Root, filters: &[Filter<'_>], cancel: &Cancel) -> Result<Vec<Item>> {
    let stat = rustix::fs::fstat(root.fd()).os(|| format!("stat {}", root.path().display()))?;
    let below = list(&root, filters, cancel)?;
    let mut items = vec![item(PathBuf::new(), Looked::from(&stat), None)];
    // A socket is nothing without the program that made it.
    let below = below.into_iter().filter(|listed| listed.looked.kind() != FileType::Socket);
    items.extend(below.map(|listed| item(listed.path, listed.looked, listed.link)));
    Ok(items)
}

/// What of a source's path is kept at the target.
fn kept(source: &str, path: &Path) -> PathBuf {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_)));
    names.skip(pivot(source)).collect()
}

/// The folders above a path's last name, topmost first, as they are kept at the target.
fn folders_above(
    kept: &Path,
    is_folder: bool,
    look: impl Fn(&Path) -> Result<Option<Looked>>,
) -> Result<Vec<(PathBuf, Looked)>> {
    let mut list = Vec::new();
    for above in kept.ancestors().skip(usize::from(!is_folder)).filter(|above| !above.as_os_str().is_empty()) {
        if let Some(looked) = look(above)? {
            list.push((above.to_path_buf(), looked));
        }
    }
    list.reverse();
    Ok(list)
}

/// What a source names in a context: nothing for a pattern that fits nothing.
///
/// # Errors
/// `not_found` for a name that is not there or left out; `invalid_argument` for a special file or a bad pattern.
pub(super) fn from_context(context: &Context, source: &str, search: &Search) -> Result<Vec<Source>> {
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

/// A file of the web cache, under another name.
///
/// # Errors
/// `os`.
pub(super) fn downloaded(path: &Path, digest: Digest, name: Option<String>) -> Result<Source> {
    let meta = fs::symlink_metadata(path).os(|| format!("stat {}", path.display()))?;
    let root = Root::open(path.parent().unwrap_or(Path::new("/")))?;
    let mut item = item(path.file_name().unwrap_or_default().into(), Looked::from(&meta), None);
    item.content = Content::File(Some(digest));
    let (name, above) = (name.map(OsString::from), Vec::new());
    Source { root: Some(root), items: vec![item], is_folder: false, name, unpack: false, commit: None, above }.check()
}

/// A source that is no folder: nothing in it, if it is excluded by its name.
fn file(
    root: Root,
    real_name: Option<&OsStr>,
    looked: Looked,
    name: Option<OsString>,
    above: Vec<(PathBuf, Looked)>,
    search: &Search,
) -> Result<Source> {
    let real_name = PathBuf::from(real_name.unwrap_or_default());
    let shown = name.as_deref().map_or(real_name.as_path(), Path::new);
    let link = match looked.kind() {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(root.fd(), &real_name, Vec::new());
            Some(target.os(|| format!("read link {}", root.path().join(&real_name).display()))?.into_bytes())
        }
        _ => None,
    };
    let items = match search.exclude.leaves_out_from_root(shown).0 {
        true => Vec::new(),
        false => vec![item(real_name, looked, link.map(|target| OsString::from_vec(target).into()))],
    };
    Source { root: Some(root), items, is_folder: false, name, unpack: false, commit: None, above }.check()
}

fn path_of(parts: Vec<Vec<u8>>) -> PathBuf {
    parts.into_iter().map(OsString::from_vec).collect()
}

/// What a source names on the host; relative ones start at `base`.
///
/// # Errors
/// `not_found` for a name that is not there; `invalid_argument` for a special file or a bad pattern; `os`.
pub(super) fn from_host(base: &Path, source: &str, search: &Search) -> Result<Vec<Source>> {
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

/// What a source names in another state.
///
/// # Errors
/// As [`from_host`].
pub(super) fn from_state(engine: &Engine, state: &State, source: &str, search: &Search) -> Result<Vec<Source>> {
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
