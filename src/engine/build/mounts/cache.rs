//! Folders of cache mounts: they outlive steps and builds, and are part of no layer and no key.
//!
//! ```text
//! ROOT/cache/mounts/HASH/lock   held shared or alone by whoever uses it, for as long as the step's monitor lives
//! ROOT/cache/mounts/HASH/id     what HASH is the digest of
//! ROOT/cache/mounts/HASH/fs     the folder itself; it appears whole, by a rename
//! ROOT/cache/mounts/HASH.N      the further folders of a private cache
//! ```
//!
//! An id is any text, and only its digest is a name. Nobody but steps writes below `fs`, so a descriptor of it is
//! always the folder itself; what is mounted of it is found inside by the kernel.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::super::Engine;
use super::super::super::container::data::copy_folder;
use super::super::super::digest::Digest;
use super::super::super::error::{Error, OsContext, Result};
use super::super::super::rootfs::view::View;
use super::super::super::store::{Hold, Store};
use super::{Files, Owned, Sharing};

/// So many steps at most have a folder each of one private cache.
const MOST: usize = 1000;

/// A cache folder in use.
pub struct Cache {
    /// Carries the lock.
    pub lock: File,
    /// The folder.
    pub path: PathBuf,
}

/// What is wanted of a cache.
pub struct Wanted<'a> {
    /// Which.
    pub id: &'a str,
    /// Who gets it.
    pub sharing: Sharing,
    /// Looks of a new one.
    pub owned: Owned,
    /// What a new one begins with.
    pub(super) seed: Option<&'a Files>,
}

/// The name of a cache's folder; also the order in which a step takes several, so that no two steps wait for each
/// other.
pub fn name_of(id: &str) -> String {
    Digest::of(id).hex()
}

impl Wanted<'_> {
    /// Takes it, waiting for whoever has it alone.
    ///
    /// # Errors
    /// `interrupted`; `not_found` for a seed that is missing; `os`.
    pub fn take(&self, engine: &Engine) -> Result<Cache> {
        let name = name_of(self.id);
        if self.sharing != Sharing::Private {
            let late = || engine.warn(format!("waiting for cache '{}', which another step uses", self.id));
            let hold = if self.sharing == Sharing::Shared { Hold::Shared } else { Hold::Alone };
            return loop {
                if let Some(cache) = self.slot(engine, &name, |store, file, made| {
                    let hold = if made { hold } else { Hold::Alone };
                    store.hold(file, hold, engine.cancel(), &late).map(|()| true)
                })? {
                    break Ok(cache);
                }
            };
        }
        for number in 0..MOST {
            let name = if number == 0 { name.clone() } else { format!("{name}.{number}") };
            let mut busy = false;
            while !busy {
                let cache = self.slot(engine, &name, |store, file, _| {
                    let taken = store.try_hold(file)?;
                    busy = !taken;
                    Ok(taken)
                })?;
                if let Some(cache) = cache {
                    return Ok(cache);
                }
            }
        }
        Err(Error::invalid(format!("cache '{}' is used by {MOST} steps", self.id)))
    }

    /// Takes one folder with `take`, which says whether it did; none when it did not, or another try is needed.
    fn slot(
        &self,
        engine: &Engine,
        name: &str,
        take: impl FnOnce(&Store, &File, bool) -> Result<bool>,
    ) -> Result<Option<Cache>> {
        let dir = engine.store().join("cache/mounts").join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).os(|| format!("create {}", dir.display()))?;
        let (lock, path) = (dir.join("lock"), dir.join("fs"));
        let file = match fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock) {
            // Somebody has taken the folder away meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.os(|| format!("open {}", lock.display()))?,
        };
        let made = path.exists();
        if !take(engine.store(), &file, made)? || !engine.store().is_at(&file, &lock)? {
            return Ok(None);
        }
        if path.exists() {
            // One that was made while this one waited to make it is held alone: the next try holds it as asked.
            return Ok((made || self.sharing != Sharing::Shared).then_some(Cache { lock: file, path }));
        }
        if made {
            return Ok(None);
        }
        self.make(engine, &dir, &path)?;
        Ok((self.sharing != Sharing::Shared).then_some(Cache { lock: file, path }))
    }

    /// Makes the folder while its lock is held alone.
    fn make(&self, engine: &Engine, dir: &Path, path: &Path) -> Result<()> {
        let area = engine.store().workspace()?;
        let fresh = area.join("fs");
        let what = || format!("make cache '{}'", self.id.escape_debug());
        fs::write(dir.join("id"), self.id).os(what)?;
        fs::DirBuilder::new().mode(0o700).create(&fresh).os(what)?;
        match self.seed {
            Some(Files::State { state, source }) => {
                let lowers = state.ready_lowers(engine)?;
                fill(&lowers, source, &fresh)?;
            }
            Some(Files::Host { fd, .. }) => fill(&[super::super::super::sys::fd::path(fd)], Path::new("/"), &fresh)?,
            None => {}
        }
        std::os::unix::fs::chown(&fresh, Some(self.owned.uid), Some(self.owned.gid))
            .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(self.owned.mode)))
            .and_then(|()| fs::rename(&fresh, path))
            .os(what)
    }
}

fn fill(lowers: &[PathBuf], source: &Path, to: &Path) -> Result<()> {
    let view = View::new(lowers);
    let missing = || Error::not_found(format!("a cache cannot begin with '{}': no such folder", source.display()));
    let (real, found) = view.resolve(source)?;
    if !found.ok_or_else(missing)?.meta.is_dir() {
        return Err(Error::invalid(format!("a cache cannot begin with '{}': it is not a folder", source.display())));
    }
    copy_folder(&view, &real, to)
}
