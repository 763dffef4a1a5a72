//! Writing a layer by hand: files, folders and links over a stack of layers, in overlayfs' upper form.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, OsContext, Result};
use super::super::layer::dress::{Meta, dress_file};
use super::super::rootfs::view::{Found, View};
use super::super::store::{Store, Workspace};

/// Owner, mode and time of something written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Permission bits.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

/// A folder of the new layer.
struct Known {
    /// Without links.
    real: PathBuf,
    /// What the layers below have there; none for a folder that is new.
    below: Option<Found>,
}

/// A layer under construction.
pub struct TreeWriter {
    area: Workspace,
    // The layers below, and the new one's tree on top.
    stack: Vec<PathBuf>,
    // Folders that are in the new layer, by the paths they were asked for.
    known: HashMap<PathBuf, Rc<Known>>,
    // Folders whose times are set when everything in them is there.
    folders: Vec<(PathBuf, i64)>,
    now: i64,
    // Who owns folders that have to be made.
    maker: (u32, u32),
}

impl TreeWriter {
    /// Starts a layer over `lowers` (base first). `now` is the time of folders that have to be made.
    ///
    /// # Errors
    /// `os`.
    pub fn new(store: &Store, lowers: &[PathBuf], now: i64) -> Result<TreeWriter> {
        let area = store.workspace()?;
        let top = area.join("fs");
        make_dir(&top)?;
        let mut writer = TreeWriter {
            area,
            stack: lowers.iter().cloned().chain([top.clone()]).collect(),
            known: HashMap::new(),
            folders: Vec::new(),
            now,
            maker: (0, 0),
        };
        let looks = match lowers.last() {
            Some(lower) => looks_of(&fs::metadata(lower).os(|| format!("stat {}", lower.display()))?),
            None => Looks { mode: 0o755, uid: 0, gid: 0, mtime: now },
        };
        writer.dress_folder(&top, looks)?;
        Ok(writer)
    }

    /// The owner, from here on, of folders that have to be made and nobody asked for: root at first.
    pub fn set_maker(&mut self, owner: (u32, u32)) {
        self.maker = owner;
    }

    fn top(&self) -> PathBuf {
        self.area.join("fs")
    }

    /// Where a path really is, and what is there now.
    ///
    /// # Errors
    /// As [`View::resolve`].
    pub fn resolve(&self, path: &Path) -> Result<(PathBuf, Option<Found>)> {
        View::new(&self.stack).resolve(path)
    }

    /// Makes sure that a folder exists in the new layer, with its parents; those that exist below keep their looks,
    /// new ones get `looks` (only the last) or are the maker's. Returns its resolved path.
    ///
    /// # Errors
    /// `invalid_argument` when something on the way is not a folder.
    pub fn folder(&mut self, path: &Path, looks: Option<Looks>) -> Result<PathBuf> {
        Ok(self.enter(path, looks)?.real.clone())
    }

    fn enter(&mut self, path: &Path, looks: Option<Looks>) -> Result<Rc<Known>> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let lowers = self.stack.len() - 1;
        let (real, found) = self.resolve(path)?;
        if let Some(found) = &found
            && !found.meta.is_dir()
        {
            return Err(Error::invalid(format!("{} is not a folder", path.display())));
        }
        let here = self.on_host(&real);
        if !here.is_dir() {
            if let Some(parent) = real.parent() {
                self.enter(parent, None)?;
            }
            make_dir(&here)?;
            let fresh = Looks { mode: 0o755, uid: self.maker.0, gid: self.maker.1, mtime: self.now };
            let looks = found.map_or(looks.unwrap_or(fresh), |found| looks_of(&found.meta));
            self.dress_folder(&here, looks)?;
        }
        let below = View::new(&self.stack[..lowers]).find_link(&real)?;
        let known = Rc::new(Known { real, below });
        self.known.insert(path.to_path_buf(), known.clone());
        Ok(known)
    }

    fn dress_folder(&mut self, here: &Path, looks: Looks) -> Result<()> {
        dress(here, looks)?;
        self.folders.push((here.to_path_buf(), looks.mtime));
        Ok(())
    }

    fn on_host(&self, real: &Path) -> PathBuf {
        self.top().join(real.strip_prefix("/").unwrap_or(real))
    }

    /// Makes room for something that is no folder at a resolved path; returns its place on the host.
    fn room(&mut self, real: &Path) -> Result<PathBuf> {
        let parent = real.parent().ok_or_else(|| Error::invalid("cannot write to /"))?;
        let name = real.file_name().ok_or_else(|| Error::invalid("cannot write to /"))?;
        let parent = self.enter(parent, None)?;
        let here = self.on_host(&parent.real.join(name));
        let is_folder = |meta: &fs::Metadata| match meta.is_dir() {
            true => Err(Error::invalid(format!("{} is a folder", real.display()))),
            false => Ok(()),
        };
        let what = || format!("replace {}", real.display());
        match fs::symlink_metadata(&here) {
            Ok(meta) => {
                is_folder(&meta)?;
                fs::remove_file(&here).os(what)?;
                self.replaced(&meta);
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let below = parent.below.as_ref().map(|below| below.child(name)).transpose()?.flatten();
                if let Some(below) = below {
                    is_folder(&below.meta)?;
                    self.replaced(&below.meta);
                }
            }
            Err(e) => return Err(e).os(what),
        }
        Ok(here)
    }

    /// What was found by a link that is gone now may be elsewhere.
    fn replaced(&mut self, meta: &fs::Metadata) {
        if meta.is_symlink() {
            self.known.clear();
        }
    }

    /// Writes a file from `content`; returns its digest.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`.
    pub fn file(&mut self, real: &Path, content: impl Read, looks: Looks) -> Result<Digest> {
        let mut content = Hashing::new(content);
        self.file_with(real, looks, |file| {
            let mut file = File::from(file.try_clone().os(|| "duplicate a descriptor")?);
            std::io::copy(&mut content, &mut file).os(|| format!("write {}", real.display()))?;
            Ok(Vec::new())
        })?;
        Ok(content.finish().1)
    }

    /// Makes a file with the content that `fill` gives it; `fill` returns its extended attributes.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`; those of `fill`.
    pub fn file_with(
        &mut self,
        real: &Path,
        looks: Looks,
        fill: impl FnOnce(&OwnedFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>>,
    ) -> Result<()> {
        let here = self.room(real)?;
        let what = || format!("write {}", real.display());
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&here).os(what)?;
        let file = OwnedFd::from(file);
        let xattrs = fill(&file)?;
        let mtime = (looks.mtime, 0);
        let meta = Meta { mode: looks.mode, uid: looks.uid, gid: looks.gid, mtime, xattrs: &xattrs };
        dress_file(&file, &meta).map_err(|e| e.context(what()))
    }

    /// Moves something that is no folder here, as it is, from another folder of the store.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`.
    pub fn adopt(&mut self, real: &Path, from: &Path) -> Result<()> {
        let here = self.room(real)?;
        fs::rename(from, &here).os(|| format!("write {}", real.display()))
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`.
    pub fn link(&mut self, real: &Path, target: &Path, looks: Looks) -> Result<()> {
        let here = self.room(real)?;
        std::os::unix::fs::symlink(target, &here)
            .and_then(|()| std::os::unix::fs::lchown(&here, Some(looks.uid), Some(looks.gid)))
            .os(|| format!("link {}", real.display()))?;
        set_time(&here, looks.mtime)
    }

    /// Makes a pipe or a device.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`.
    pub fn special(&mut self, real: &Path, (kind, device): (FileType, u64), looks: Looks) -> Result<()> {
        let here = self.room(real)?;
        mknodat(CWD, &here, kind, Mode::empty(), device).os(|| format!("create {}", real.display()))?;
        dress(&here, looks)?;
        set_time(&here, looks.mtime)
    }

    /// Hides what is at a resolved path in the layers below.
    ///
    /// # Errors
    /// `os`.
    pub fn remove(&mut self, real: &Path) -> Result<()> {
        if let Some(parent) = real.parent() {
            self.folder(parent, None)?;
        }
        let here = self.on_host(real);
        let what = || format!("remove {}", real.display());
        mknodat(CWD, &here, FileType::CharacterDevice, Mode::empty(), 0).os(what)
    }

    /// Ends the layer: a work area whose `fs/` is its tree.
    ///
    /// # Errors
    /// `os`.
    pub fn finish(self) -> Result<Workspace> {
        for (path, mtime) in self.folders.iter().rev() {
            set_time(path, *mtime)?;
        }
        Ok(self.area)
    }
}

/// The looks of something that exists.
pub fn looks_of(meta: &fs::Metadata) -> Looks {
    Looks { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), mtime: meta.mtime() }
}

fn make_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path).os(|| format!("create {}", path.display()))
}

/// Owner first: changing it clears the setuid bit.
fn dress(path: &Path, looks: Looks) -> Result<()> {
    std::os::unix::fs::chown(path, Some(looks.uid), Some(looks.gid))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(looks.mode)))
        .os(|| format!("set owner and mode of {}", path.display()))
}

fn set_time(path: &Path, mtime: i64) -> Result<()> {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).os(|| format!("set time of {}", path.display()))
}
