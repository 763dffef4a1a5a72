//! Adding to a state: a copy that also takes archives apart, downloads URLs and fetches git repositories.
//!
//! A local archive is told by its content (tar, plain or compressed with gzip, bzip2, xz or zstd) and unpacked into
//! the target with its owners and modes; a downloaded one only if asked. Each is unpacked into a work area first,
//! where nothing can leave it, and moved into the layer from there. A download has mode 0600 and the server's time.
//!
//! Source: Dockerfile reference, "ADD".

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::rootfs::view::is_whiteout;
use super::State;
use super::context::Context;
use super::copy::{CopyOptions, CopySource, Plan, find, plan};
use super::git::Remote;
use super::ignore::Rules;
use super::source::{Content, Item, Search, Source, downloaded, from_context};
use super::tree::{Looks, TreeWriter, looks_of};
use super::unpack::{is_archive, unpack_archive};
use super::web::{WebFile, fetch, is_url, name_of};

/// How to add.
#[derive(Debug, Clone, Default)]
pub struct AddOptions {
    /// As for a copy.
    pub copy: CopyOptions,
    /// Take archives apart, or not; by default those that are local.
    pub unpack: Option<bool>,
    /// The digest that a download must have.
    pub checksum: Option<Digest>,
    /// Keep what git keeps itself.
    pub keep_git_dir: bool,
}

/// What must live until the copy is made.
#[derive(Default)]
struct Held {
    _files: Vec<WebFile>,
    _contexts: Vec<Context>,
}

impl State {
    /// The state with `sources` added at `target`.
    ///
    /// # Errors
    /// As [`State::copy`]; `integrity` for a wrong checksum, and for a damaged archive or one that leads out of the
    /// target; `network`.
    pub fn add(
        &self,
        engine: &Engine,
        from: &CopySource,
        sources: &[String],
        target: &str,
        options: &AddOptions,
    ) -> Result<State> {
        let (mut found, mut held) = (Vec::new(), Held::default());
        for source in sources {
            let remote = Remote::parse(source);
            if options.checksum.is_some() && (remote.is_some() || !is_url(source)) {
                let error = Error::invalid(format!("'{source}' is no download: it has no checksum"));
                return Err(error);
            }
            if let Some(remote) = remote {
                found.extend(repository(engine, &remote, options, &mut held)?);
            } else if is_url(source) {
                found.push(download(engine, source, options, &mut held)?);
            } else {
                let mut local = find(engine, from, std::slice::from_ref(source), &options.copy)?;
                for source in local.iter_mut().filter(|_| options.unpack != Some(false)) {
                    source.unpack = is_local_archive(engine, source)?;
                }
                found.extend(local);
            }
        }
        plan(self, engine, &found, "ADD", (sources, target), &options.copy)
    }
}

fn repository(engine: &Engine, remote: &Remote, options: &AddOptions, held: &mut Held) -> Result<Vec<Source>> {
    let (context, commit) = Context::of_git(engine, remote, options.keep_git_dir)?;
    let exclude = Rules::new(&options.copy.exclude)?;
    let search = Search { exclude: &exclude, parents: false, cancel: engine.cancel() };
    let mut found = from_context(&context, "/", &search)?;
    super::reading::read_all(engine, &mut found, None)?;
    for source in &mut found {
        source.commit = options.keep_git_dir.then(|| commit.clone());
    }
    held._contexts.push(context);
    Ok(found)
}

fn download(engine: &Engine, url: &str, options: &AddOptions, held: &mut Held) -> Result<Source> {
    let file = fetch(engine, url, options.checksum.as_ref())?;
    let mut source = downloaded(&file.path, file.digest, name_of(url))?;
    source.unpack = options.unpack == Some(true);
    held._files.push(file);
    Ok(source)
}

fn is_local_archive(engine: &Engine, source: &Source) -> Result<bool> {
    match source.items.as_slice() {
        [item] if !source.is_folder && matches!(item.content, Content::File(_)) => {
            Ok(is_archive(engine, source.open(item)?))
        }
        _ => Ok(false),
    }
}

/// Unpacks an archive into the plan's target.
pub(super) fn write_archive(
    engine: &Engine,
    tree: &mut TreeWriter,
    plan: &Plan<'_>,
    source: &Source,
    item: &Item,
) -> Result<()> {
    let area = engine.store().workspace()?;
    let folder = area.join("fs");
    fs::create_dir(&folder).os(|| format!("create {}", folder.display()))?;
    let label = source.name.as_deref().map_or_else(|| item.path.clone(), PathBuf::from);
    let named = |e: Error| e.context(format!("cannot unpack '{}'", label.display()));
    unpack_archive(engine, super::reading::open(source, item)?, &folder).map_err(named)?;
    tree.folder(&plan.into, None)?;
    take(engine, tree, plan, &folder, &plan.into).map_err(named)
}

/// Moves what is in a folder into the layer.
fn take(engine: &Engine, tree: &mut TreeWriter, plan: &Plan<'_>, from: &Path, to: &Path) -> Result<()> {
    engine.cancel().check()?;
    let what = || format!("list {}", from.display());
    let mut entries = fs::read_dir(from).os(what)?.collect::<std::io::Result<Vec<_>>>().os(what)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (here, there) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&here).os(|| format!("stat {}", here.display()))?;
        let mut looks: Looks = looks_of(&meta);
        if plan.options.owner.is_some() {
            (looks.uid, looks.gid) = plan.owner;
        }
        if meta.is_dir() {
            looks.mode = plan.mode(looks.mode, true);
            tree.folder(&there, Some(looks))?;
            take(engine, tree, plan, &here, &there)?;
            continue;
        }
        if is_whiteout(&meta) {
            let name = entry.file_name();
            return Err(Error::invalid(format!("'.wh.{}' in it would mean a removal", name.display())));
        }
        change(&here, &meta, plan, looks)?;
        tree.adopt(&there, &here)?;
    }
    Ok(())
}

/// Gives what was unpacked the owner and mode that were asked for.
fn change(here: &Path, meta: &fs::Metadata, plan: &Plan<'_>, looks: Looks) -> Result<()> {
    let mode = if meta.is_symlink() { looks.mode } else { plan.mode(looks.mode, false) };
    let owner = (looks.uid, looks.gid) != (meta.uid(), meta.gid());
    let what = || format!("set owner and mode of {}", here.display());
    if owner {
        std::os::unix::fs::lchown(here, Some(looks.uid), Some(looks.gid)).os(what)?;
    }
    // A change of the owner takes the set-id bits away.
    if !meta.is_symlink() && (owner || mode != looks.mode) {
        fs::set_permissions(here, fs::Permissions::from_mode(mode)).os(what)?;
    }
    Ok(())
}
