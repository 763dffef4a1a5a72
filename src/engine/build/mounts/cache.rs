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
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::super::Engine;
use super::super::super::container::data::copy_folder;
use super::super::super::digest::Digest;
use super::super::super::error::{Error, OsContext, Result};
use super::super::super::rootfs::view::View;
use super::super::super::store::Hold;
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

impl Cache {
    /// Nobody has taken the folder away while this one waited for its lock.
    fn is_whole(&self, engine: &Engine, lock: &Path) -> Result<bool> {
        Ok(engine.store().is_at(&self.lock, lock)? && self.path.exists())
    }
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
            loop {
                let (cache, lock) = self.open(engine, &name)?;
                engine.store().hold(&cache.lock, hold, engine.cancel(), &late)?;
                if cache.is_whole(engine, &lock)? {
                    return Ok(cache);
                }
            }
        }
        for number in 0..MOST {
            let name = if number == 0 { name.clone() } else { format!("{name}.{number}") };
            loop {
                let (cache, lock) = self.open(engine, &name)?;
                if !engine.store().try_hold(&cache.lock)? {
                    break;
                }
                if cache.is_whole(engine, &lock)? {
                    return Ok(cache);
                }
            }
        }
        Err(Error::invalid(format!("cache '{}' is used by {MOST} steps", self.id)))
    }

    /// Opens the lock of one folder, which is made where it is missing.
    fn open(&self, engine: &Engine, name: &str) -> Result<(Cache, PathBuf)> {
        let dir = engine.store().join("cache/mounts").join(name);
        let (lock, path) = (dir.join("lock"), dir.join("fs"));
        if !path.exists() {
            let _mine = engine.store().lock_object(&format!("cache-{name}"), engine.cancel())?;
            if !path.exists() {
                self.make(engine, &dir, &path)?;
            }
        }
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        Ok((Cache { lock: file.os(|| format!("open {}", lock.display()))?, path }, lock))
    }

    fn make(&self, engine: &Engine, dir: &Path, path: &Path) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).os(|| format!("create {}", dir.display()))?;
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
