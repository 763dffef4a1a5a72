//! What a copy takes: each source looked at, and the content of its files by digest.
//!
//! A source is resolved inside what it is from: a context's links lead nowhere but into the context. What is found is
//! opened from a folder's descriptor without following a link, so that a name that is swapped meanwhile leads to an
//! error and never elsewhere.

mod context;
mod host;
mod state;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};

use super::super::cancel::Cancel;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::inroot::Root;
use super::expand::{parts, pivot};
use super::globs::{has_wildcards, unescape};
use super::ignore::Rules;
use super::listing::{Filter, list};
use super::stat_cache::Looked;

pub(super) use context::from_context;
pub(super) use host::from_host;
pub(super) use state::from_state;

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
