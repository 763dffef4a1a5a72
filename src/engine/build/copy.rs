//! Copying into a state, from the host, a context or another state, keyed by content.
//!
//! As Dockerfile's COPY has it: of a folder its contents are copied; a target that ends in `/` or is a folder takes
//! things into it; several sources need such a target; parents are made; links are copied as links, and several names of
//! one file as that; the owner is root unless asked, or of another state's files the one they have. Times do not count for
//! the cache, content, names, kinds and modes do.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::super::Engine;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, OsContext, Result};
use super::super::rootfs::view::View;
use super::add::write_archive;
use super::cache::{Manner, Operation};
use super::context::Context;
use super::files::unix_now;
use super::ignore::Rules;
use super::mode::ModeChange;
use super::parts::Part;
use super::reading::{copy_into, read_all};
use super::source::{Content, Item, Search, Source, from_context, from_host, from_state};
use super::stat_cache::{Looked, StatCache};
use super::tree::{Looks, TreeWriter};
use super::{State, key_of};

/// Where things are copied from.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// The host; relative paths start at this folder.
    Host(PathBuf),
    /// A context, which its paths cannot leave.
    Context(Context),
    /// Another state's file system.
    State(State),
}

/// How to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// What to leave out, relative to each source folder: rules as in `.dockerignore` for a context; elsewhere one
    /// without a slash fits names anywhere.
    pub exclude: Vec<String>,
    /// `USER[:GROUP]` of the image; by default root, for another state's files the owner they have.
    pub owner: Option<String>,
    /// A change of the source's permission bits.
    pub mode: Option<ModeChange>,
    /// Keeps the folders of a source's path, from `/./` on if that is in it.
    pub parents: bool,
    /// The layer does not depend on what is below it: nothing there is looked at, and it serves any state.
    pub link: bool,
    /// How it is shown and kept.
    pub manner: Manner,
}

/// What is copied where, and how it looks there.
pub(super) struct Plan<'a> {
    pub into: PathBuf,
    is_folder: bool,
    pub owner: (u32, u32),
    pub options: &'a CopyOptions,
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
        let found = find(engine, from, sources, options)?;
        plan(self, engine, &found, "COPY", (sources, target), options)
    }

    /// Takes the step that puts sources, all read, in their places.
    fn place(
        &self,
        engine: &Engine,
        found: &[Source],
        plan: &Plan<'_>,
        below: &[PathBuf],
        step: String,
    ) -> Result<State> {
        let describe = || plan.parts(found);
        let operation = Operation::of_digest("copy", plan.key(found)?, step, &plan.options.manner, describe);
        let make = || {
            if found.iter().all(|source| source.items.is_empty()) {
                return Ok(None);
            }
            let mut tree = TreeWriter::new(engine.store(), below, unix_now(engine))?;
            tree.set_maker(plan.owner);
            for source in found {
                plan.write(engine, &mut tree, source)?;
            }
            Ok(Some(tree.finish()?))
        };
        if !plan.options.link {
            return self.take(engine, operation, |_| make());
        }
        // Known by what it holds alone.
        let key = key_of(&["link", &operation.inputs.to_string()]);
        let operation = Operation { layers: None, ..operation };
        let done = self.cached(engine, &key, &operation, false, |_| Ok((make()?, None)))?;
        Ok(self.after(self.key_after(&operation), Some(done), operation))
    }
}

/// The state after a step, called `word`, that puts what was found at a target.
///
/// # Errors
/// As [`State::copy`].
pub(super) fn plan(
    state: &State,
    engine: &Engine,
    found: &[Source],
    word: &str,
    (sources, target): (&[String], &str),
    options: &CopyOptions,
) -> Result<State> {
    let lowers = state.ready_lowers(engine)?;
    let owner = state.chown(&lowers, options.owner.as_deref())?;
    let below: &[PathBuf] = if options.link { &[] } else { &lowers };
    let into = state.absolute(target)?;
    let is_folder = takes_things_into(below, target, &into, found, sources.len(), options)?;
    let plan = Plan { into, is_folder, owner, options };
    state.place(engine, found, &plan, below, format!("{word} {} {target}", sources.join(" ")))
}

/// Looks at the sources and reads what is not known of them.
pub(super) fn find(
    engine: &Engine,
    from: &CopySource,
    sources: &[String],
    options: &CopyOptions,
) -> Result<Vec<Source>> {
    let exclude = match from {
        CopySource::Context(_) => Rules::new(&options.exclude)?,
        _ => Rules::anywhere(&options.exclude)?,
    };
    let search = Search { exclude: &exclude, parents: options.parents, cancel: engine.cancel() };
    let mut found = Vec::new();
    for source in sources {
        found.extend(match from {
            CopySource::Host(base) => from_host(base, source, &search)?,
            CopySource::Context(context) => from_context(context, source, &search)?,
            CopySource::State(state) => from_state(engine, state, source, &search)?,
        });
    }
    match from {
        CopySource::Context(context) => {
            read_all(engine, &mut found, context.stats(engine.store()).as_mut())?;
        }
        CopySource::Host(base) => {
            read_all(engine, &mut found, Some(&mut StatCache::open(engine.store(), &base.to_string_lossy())))?;
        }
        CopySource::State(_) => read_all(engine, &mut found, Some(&mut StatCache::open(engine.store(), "layers")))?,
    }
    Ok(found)
}

/// Whether the target is a folder that takes things into it.
fn takes_things_into(
    below: &[PathBuf],
    target: &str,
    into: &Path,
    found: &[Source],
    asked: usize,
    options: &CopyOptions,
) -> Result<bool> {
    let named = target.ends_with('/') || target == "." || target.ends_with("/.") || options.parents;
    let exists = View::new(below).find(into)?;
    let is_folder = named || into == Path::new("/") || exists.as_ref().is_some_and(|found| found.meta.is_dir());
    let brings_folder = found.iter().any(|source| source.is_folder || source.unpack);
    if exists.is_some_and(|found| !found.meta.is_dir()) && (named || brings_folder) {
        return Err(Error::invalid(format!("cannot copy into {target}: it is not a folder")));
    }
    let count = found.len().max(asked);
    if count > 1 && !is_folder {
        let message = format!("cannot copy {count} things to '{target}': end it with '/' to name a folder");
        return Err(Error::invalid(message));
    }
    Ok(is_folder)
}

impl Plan<'_> {
    /// Where a thing goes.
    fn target(&self, source: &Source, item: &Item) -> Result<PathBuf> {
        let into = match source.above.last() {
            Some((above, _)) => self.into.join(above),
            None => self.into.clone(),
        };
        match (source.is_folder, self.is_folder) {
            _ if source.unpack => Ok(into),
            (true, _) if item.path.as_os_str().is_empty() => Ok(into),
            (true, _) => Ok(into.join(&item.path)),
            (false, false) => Ok(into),
            (false, true) => match &source.name {
                Some(name) => Ok(into.join(name)),
                None => Err(Error::invalid("a source has no name to copy it under")
                    .with_hint("name the file in the target, without a slash at its end")),
            },
        }
    }

    /// The owner something of a source gets.
    fn owner(&self, source: &Source, looked: &Looked) -> (u32, u32) {
        if self.options.owner.is_none() && source.is_of_state() { looked.owner } else { self.owner }
    }

    /// The permission bits something gets.
    pub fn mode(&self, mode: u32, is_folder: bool) -> u32 {
        self.options.mode.as_ref().map_or(mode & 0o7777, |change| change.apply(mode, is_folder))
    }

    /// What counts for the cache, as a digest: a copy may have very many things.
    fn key(&self, found: &[Source]) -> Result<Digest> {
        let mut hash = Hashing::new(std::io::sink());
        let mut part = |bytes: &[u8]| {
            let written = hash.write_all(&(bytes.len() as u64).to_be_bytes()).and_then(|()| hash.write_all(bytes));
            written.os(|| "make a key")
        };
        part(self.into.as_os_str().as_bytes())?;
        // A folder that is named as one is made before what goes there, with looks of its own.
        let (mode, asked) = (&self.options.mode, self.options.owner.is_some());
        part(format!("{mode:?} {asked} {}", self.is_folder).as_bytes())?;
        let bytes = |owner: (u32, u32)| [owner.0.to_be_bytes(), owner.1.to_be_bytes()].concat();
        part(&bytes(self.owner))?;
        for source in found {
            for (above, looked) in &source.above {
                part(above.as_os_str().as_bytes())?;
                part(&self.mode(looked.mode, true).to_be_bytes())?;
                part(&bytes(self.owner(source, looked)))?;
            }
            part(&[u8::from(source.unpack)])?;
            part(source.commit.as_deref().unwrap_or("").as_bytes())?;
            let mut names = FirstNames::default();
            for item in source.items.iter().filter(|item| source.commit.is_none() || !item.path.starts_with(".git")) {
                part(self.target(source, item)?.as_os_str().as_bytes())?;
                let (device, same);
                let (kind, content): (u8, &[u8]) = match &item.content {
                    Content::File(_) if let Some(first) = names.before(item) => {
                        same = self.target(source, first)?;
                        (b'h', same.as_os_str().as_bytes())
                    }
                    Content::Folder => (b'd', b""),
                    Content::Special(kind, number) => {
                        device = [u64::from(kind.as_raw_mode()), *number].map(u64::to_be_bytes).concat();
                        (b's', &device)
                    }
                    Content::Link(target) => (b'l', target.as_os_str().as_bytes()),
                    Content::File(digest) => (b'f', digest.as_ref().map_or(&[], |digest| &digest.bytes()[..])),
                };
                let mode = self.mode(item.looked.mode, kind == b'd').to_be_bytes();
                part(&[kind, mode[0], mode[1], mode[2], mode[3]])?;
                part(&bytes(self.owner(source, &item.looked)))?;
                part(content)?;
            }
        }
        Ok(hash.finish().1)
    }

    /// The same, thing by thing, for people.
    fn parts(&self, found: &[Source]) -> Vec<Part> {
        let (uid, gid) = self.owner;
        let mut parts = vec![
            Part::option("target", self.into.display().to_string()),
            Part::option("owner", format!("{uid}:{gid}")),
        ];
        for source in found {
            let mut names = FirstNames::default();
            for item in &source.items {
                let target = self.target(source, item).unwrap_or_default();
                let is_folder = matches!(item.content, Content::Folder);
                let value = match &item.content {
                    Content::File(_) if let Some(first) = names.before(item) => {
                        format!("the same as {}", self.target(source, first).unwrap_or_default().display())
                    }
                    Content::Folder => "folder".to_string(),
                    Content::Special(FileType::Fifo, _) => "pipe".to_string(),
                    Content::Special(_, number) => format!("device {number:x}"),
                    Content::Link(to) => format!("-> {}", to.display()),
                    Content::File(digest) => digest.as_ref().map_or_else(String::new, Digest::to_string),
                };
                let mode = self.mode(item.looked.mode, is_folder);
                let owner = match self.owner(source, &item.looked) {
                    owner if owner == self.owner => String::new(),
                    (uid, gid) => format!(" {uid}:{gid}"),
                };
                parts.push(Part::file(target.display().to_string(), format!("{mode:04o}{owner} {value}")));
            }
        }
        parts
    }

    fn write(&self, engine: &Engine, tree: &mut TreeWriter, source: &Source) -> Result<()> {
        let looks = |looked: &Looked, is_folder| {
            let (uid, gid) = self.owner(source, looked);
            Looks { mode: self.mode(looked.mode, is_folder), uid, gid, mtime: looked.mtime.0 }
        };
        if self.is_folder && !source.items.is_empty() {
            tree.folder(&self.into, None)?;
        }
        for (above, looked) in &source.above {
            tree.folder(&self.into.join(above), Some(looks(looked, true)))?;
        }
        let mut names = HashMap::new();
        for item in &source.items {
            engine.cancel().check()?;
            if source.unpack {
                write_archive(engine, tree, self, source, item)?;
                continue;
            }
            let is_folder = matches!(item.content, Content::Folder);
            let looks = looks(&item.looked, is_folder);
            let mut target = self.target(source, item)?;
            if !source.is_folder && !self.is_folder {
                // The target itself: a link there stands for what it leads to.
                target = tree.resolve(&target)?.0;
            }
            match &item.content {
                Content::Folder => {
                    tree.folder(&target, Some(looks))?;
                }
                Content::Link(to) => tree.link(&target, to, looks)?,
                Content::Special(kind, number) => tree.special(&target, (*kind, *number), looks)?,
                Content::File(_) => {
                    let id = (item.looked.dev, item.looked.ino);
                    if !names.get(&id).map_or(Ok(false), |made| tree.name_again(&target, made))? {
                        let fill = |file: &OwnedFd| copy_into(source, item, file, engine.cancel());
                        names.insert(id, tree.file_with(&target, looks, fill)?);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Files of a source that may have further names there: those are written as names of one file.
#[derive(Default)]
struct FirstNames<'a>(HashMap<(u64, u64), &'a Item>);

impl<'a> FirstNames<'a> {
    /// The name that a file was met under before.
    fn before(&mut self, item: &'a Item) -> Option<&'a Item> {
        let first = *self.0.entry((item.looked.dev, item.looked.ino)).or_insert(item);
        (!std::ptr::eq(first, item)).then_some(first)
    }
}

/// Puts sources below the root of a tree, as they are, owned by root.
pub(super) fn write_sources(engine: &Engine, tree: &mut TreeWriter, found: &[Source]) -> Result<()> {
    let options = CopyOptions::default();
    let plan = Plan { into: "/".into(), is_folder: true, owner: (0, 0), options: &options };
    found.iter().try_for_each(|source| plan.write(engine, tree, source))
}
