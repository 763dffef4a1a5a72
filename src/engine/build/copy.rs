//! Copying into a state, from the host or from another state, keyed by content.
//!
//! As Dockerfile's COPY has it: of a folder its contents are copied; a target that ends in `/` or is a folder takes
//! things into it; several sources need such a target; parents are made; links are copied as links; owner is root
//! unless asked. Times do not count for the cache, content, names, kinds and modes do.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Engine;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, OsContext, Result};
use super::super::rootfs::view::View;
use super::State;
use super::cache::{Manner, Operation};
use super::files::unix_now;
use super::tree::{Looks, TreeWriter};

/// Where things are copied from.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// The host; relative paths start at this folder.
    Host(PathBuf),
    /// Another state's file system.
    State(State),
}

/// How to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Globs of what to leave out, relative to each source folder; `*` stays within a name, `**` does not.
    pub exclude: Vec<String>,
    /// `USER[:GROUP]` of the image; root by default.
    pub owner: Option<String>,
    /// Permission bits of files and folders instead of the source's.
    pub mode: Option<u32>,
    /// How it is shown and kept.
    pub manner: Manner,
}

/// One thing to copy.
struct Item {
    // Where it goes, below the target.
    to: PathBuf,
    // Where it is now.
    from: PathBuf,
    meta: fs::Metadata,
    content: Content,
}

/// What counts of a thing for the cache.
#[derive(Serialize, PartialEq)]
enum Content {
    Folder,
    File(Digest),
    Link(PathBuf),
}

#[derive(Serialize)]
struct CopyInputs<'a> {
    target: &'a Path,
    owner: (u32, u32),
    items: Vec<(&'a Path, u32, &'a Content)>,
}

/// One source, looked at.
struct Root {
    items: Vec<Item>,
    is_folder: bool,
}

impl State {
    /// The state with `sources` copied to `target`.
    ///
    /// # Errors
    /// `not_found` for a missing source; `invalid_argument` for several sources and a target that is no folder, a
    /// special file, or a file where a folder must be; `integrity` when a file changes while it is copied.
    pub fn copy(
        &self,
        engine: &Engine,
        from: &CopySource,
        sources: &[String],
        target: &str,
        options: &CopyOptions,
    ) -> Result<State> {
        let lowers = self.ready_lowers(engine)?;
        let owner = self.owner(&lowers, options.owner.as_deref())?;
        let exclude = patterns(&options.exclude)?;
        let mut roots = Vec::new();
        for source in sources {
            engine.cancel().check()?;
            roots.push(look_at(engine, from, source, &exclude)?);
        }
        let into = self.absolute(target)?;
        let is_folder = self.takes_things_into(&lowers, target, &into, sources, &roots)?;
        let items = place(roots, sources, &into, is_folder)?;
        let mode = |item: &Item| options.mode.unwrap_or(item.meta.mode() & 0o7777);
        let inputs = CopyInputs {
            target: &into,
            owner,
            items: items.iter().map(|item| (item.to.as_path(), mode(item), &item.content)).collect(),
        };
        let step = format!("COPY {} {target}", sources.join(" "));
        let operation = Operation::new("copy", &inputs, step, &options.manner)?;
        self.take(engine, operation, |_| {
            let mut tree = TreeWriter::new(engine.store(), &lowers, unix_now(engine))?;
            for item in &items {
                engine.cancel().check()?;
                let looks = Looks { mode: mode(item), uid: owner.0, gid: owner.1, mtime: item.meta.mtime() };
                write_item(&mut tree, item, looks)?;
            }
            Ok(Some(tree.finish()?))
        })
    }

    fn takes_things_into(
        &self,
        lowers: &[PathBuf],
        target: &str,
        into: &Path,
        sources: &[String],
        roots: &[Root],
    ) -> Result<bool> {
        let named = target.ends_with('/') || target == "." || target.ends_with("/.");
        let exists = View::new(lowers).find(into)?;
        let is_folder = named || exists.as_ref().is_some_and(|found| found.meta.is_dir());
        let brings_folder = roots.iter().any(|root| root.is_folder);
        if exists.is_some_and(|found| !found.meta.is_dir()) && (named || brings_folder) {
            return Err(Error::invalid(format!("cannot copy into {target}: it is not a folder")));
        }
        if sources.len() > 1 && !is_folder {
            let message =
                format!("cannot copy {} things to '{target}': end it with '/' to name a folder", sources.len());
            return Err(Error::invalid(message));
        }
        Ok(is_folder)
    }
}

/// Gives every item its place: a folder's contents go into the target, a file goes into it or becomes it.
fn place(roots: Vec<Root>, sources: &[String], into: &Path, is_folder: bool) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for (root, source) in roots.into_iter().zip(sources) {
        for mut item in root.items {
            item.to = match (root.is_folder, is_folder) {
                (true, _) => into.join(&item.to),
                (false, false) => into.to_path_buf(),
                (false, true) => {
                    let name = Path::new(source).file_name();
                    into.join(name.ok_or_else(|| Error::invalid(format!("'{source}' has no name to copy it under")))?)
                }
            };
            items.push(item);
        }
    }
    Ok(items)
}

fn patterns(list: &[String]) -> Result<Vec<glob::Pattern>> {
    let parse = |text: &String| {
        glob::Pattern::new(text.trim_start_matches('/'))
            .map_err(|e| Error::invalid(format!("invalid pattern '{text}': {}", e.msg)))
    };
    list.iter().map(parse).collect()
}

fn is_excluded(exclude: &[glob::Pattern], path: &Path) -> bool {
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    // A pattern without a slash is about a name, wherever it is.
    exclude.iter().any(|pattern| {
        pattern.matches_path_with(path, options)
            || (!pattern.as_str().contains('/')
                && path.file_name().is_some_and(|name| pattern.matches_path_with(Path::new(name), options)))
    })
}

fn look_at(engine: &Engine, from: &CopySource, source: &str, exclude: &[glob::Pattern]) -> Result<Root> {
    match from {
        CopySource::Host(base) => {
            let path = base.join(source);
            let meta = match fs::metadata(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::not_found(format!(
                        "cannot copy '{source}': no such file or folder on the host"
                    )));
                }
                other => other.os(|| format!("stat {}", path.display()))?,
            };
            let is_folder = meta.is_dir();
            let mut items = Vec::new();
            collect_host(engine, &path, PathBuf::new(), meta, exclude, &mut items)?;
            Ok(Root { items, is_folder })
        }
        CopySource::State(state) => {
            let lowers = state.ready_lowers(engine)?;
            let view = View::new(&lowers);
            let path = state.absolute(source)?;
            let Some(found) = view.find(&path)? else {
                return Err(Error::not_found(format!("cannot copy '{source}': it does not exist in the other state")));
            };
            let is_folder = found.meta.is_dir();
            let mut items = Vec::new();
            collect_view(engine, &view, &path, PathBuf::new(), (found.path, found.meta), exclude, &mut items)?;
            Ok(Root { items, is_folder })
        }
    }
}

fn collect_host(
    engine: &Engine,
    path: &Path,
    to: PathBuf,
    meta: fs::Metadata,
    exclude: &[glob::Pattern],
    items: &mut Vec<Item>,
) -> Result<()> {
    engine.cancel().check()?;
    let is_dir = meta.is_dir();
    items.push(item(to.clone(), path.to_path_buf(), meta)?);
    if !is_dir {
        return Ok(());
    }
    let entries = fs::read_dir(path).os(|| format!("list {}", path.display()))?;
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .os(|| format!("list {}", path.display()))?;
    names.sort();
    for name in names {
        let child = to.join(&name);
        if is_excluded(exclude, &child) {
            continue;
        }
        let path = path.join(&name);
        let meta = fs::symlink_metadata(&path).os(|| format!("stat {}", path.display()))?;
        collect_host(engine, &path, child, meta, exclude, items)?;
    }
    Ok(())
}

fn collect_view(
    engine: &Engine,
    view: &View<'_>,
    path: &Path,
    to: PathBuf,
    (host, meta): (PathBuf, fs::Metadata),
    exclude: &[glob::Pattern],
    items: &mut Vec<Item>,
) -> Result<()> {
    engine.cancel().check()?;
    let is_dir = meta.is_dir();
    items.push(item(to.clone(), host, meta)?);
    if !is_dir {
        return Ok(());
    }
    for (name, found) in view.list(path)? {
        let child = to.join(&name);
        if !is_excluded(exclude, &child) {
            let inner = (found.path, found.meta);
            collect_view(engine, view, &path.join(&name), child, inner, exclude, items)?;
        }
    }
    Ok(())
}

fn item(to: PathBuf, from: PathBuf, meta: fs::Metadata) -> Result<Item> {
    let content = if meta.is_dir() {
        Content::Folder
    } else if meta.is_symlink() {
        Content::Link(fs::read_link(&from).os(|| format!("read link {}", from.display()))?)
    } else if meta.is_file() {
        let mut reader = Hashing::new(open(&from)?);
        std::io::copy(&mut reader, &mut std::io::sink()).os(|| format!("read {}", from.display()))?;
        Content::File(reader.finish().1)
    } else {
        return Err(Error::invalid(format!("cannot copy {}: it is neither file, folder nor link", from.display())));
    };
    Ok(Item { to, from, meta, content })
}

/// Opens a file that was a regular one a moment ago: if it has become a fifo, this does not wait for a writer.
fn open(path: &Path) -> Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .os(|| format!("open {}", path.display()))
}

fn write_item(tree: &mut TreeWriter, item: &Item, looks: Looks) -> Result<()> {
    match &item.content {
        Content::Folder => {
            tree.folder(&item.to, Some(looks))?;
        }
        Content::Link(target) => {
            let (real, _) = tree.resolve(item.to.parent().unwrap_or(Path::new("/")))?;
            tree.link(&real.join(item.to.file_name().unwrap_or_default()), target, looks)?;
        }
        Content::File(digest) => {
            let (real, _) = tree.resolve(&item.to)?;
            let source = open(&item.from)?;
            let written = tree.file(&real, &source, looks)?;
            if written != *digest {
                let message = format!("{} changed while it was being copied", item.from.display());
                return Err(Error::integrity(message).with_hint("copy it when nothing writes to it"));
            }
            tree.attributes(&real, &source)?;
        }
    }
    Ok(())
}
