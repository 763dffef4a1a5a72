//! Writing a layer by hand: files, folders and links over a stack of layers, in overlayfs' upper form.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, OsContext, Result};
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

/// A layer under construction.
pub struct TreeWriter {
    area: Workspace,
    // The layers below, and the new one's tree on top.
    stack: Vec<PathBuf>,
    // Folders whose times are set when everything in them is there.
    folders: Vec<(PathBuf, i64)>,
    now: i64,
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
        let mut writer =
            TreeWriter { area, stack: lowers.iter().cloned().chain([top.clone()]).collect(), folders: Vec::new(), now };
        let looks = match lowers.last() {
            Some(lower) => looks_of(&fs::metadata(lower).os(|| format!("stat {}", lower.display()))?),
            None => Looks { mode: 0o755, uid: 0, gid: 0, mtime: now },
        };
        writer.dress_folder(&top, looks)?;
        Ok(writer)
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
    /// new ones get `looks` (only the last) or root's. Returns its resolved path.
    ///
    /// # Errors
    /// `invalid_argument` when something on the way is not a folder.
    pub fn folder(&mut self, path: &Path, looks: Option<Looks>) -> Result<PathBuf> {
        let (real, found) = self.resolve(path)?;
        if let Some(found) = &found
            && !found.meta.is_dir()
        {
            return Err(Error::invalid(format!("{} is not a folder", path.display())));
        }
        let here = self.on_host(&real);
        if here.is_dir() {
            return Ok(real);
        }
        if let Some(parent) = real.parent() {
            self.folder(parent, None)?;
        }
        make_dir(&here)?;
        let fresh = Looks { mode: 0o755, uid: 0, gid: 0, mtime: self.now };
        let looks = found.map_or(looks.unwrap_or(fresh), |found| looks_of(&found.meta));
        self.dress_folder(&here, looks)?;
        Ok(real)
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
        let parent = self.folder(parent, None)?;
        let real = parent.join(name);
        let (_, found) = View::new(&self.stack).resolve_link(&real)?;
        if found.is_some_and(|found| found.meta.is_dir()) {
            return Err(Error::invalid(format!("{} is a folder", real.display())));
        }
        let here = self.on_host(&real);
        match fs::remove_file(&here) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).os(|| format!("replace {}", real.display())),
            _ => Ok(here),
        }
    }

    /// Writes a file from `content`; returns its digest.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder; `os`.
    pub fn file(&mut self, real: &Path, content: impl Read, looks: Looks) -> Result<Digest> {
        let here = self.room(real)?;
        let what = || format!("write {}", real.display());
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&here).os(what)?;
        let mut content = Hashing::new(content);
        std::io::copy(&mut content, &mut file).os(what)?;
        drop(file);
        dress(&here, looks)?;
        set_time(&here, looks.mtime)?;
        Ok(content.finish().1)
    }

    /// Copies the extended attributes that belong to a file's content: file capabilities and the user's own.
    ///
    /// # Errors
    /// `os`.
    pub fn attributes(&mut self, real: &Path, from: &File) -> Result<()> {
        let here = self.on_host(real);
        let mut names = vec![0u8; 64 << 10];
        // A file system without attributes has none to copy.
        let Ok(count) = rustix::fs::flistxattr(from, &mut names) else { return Ok(()) };
        for name in names[..count].split(|byte| *byte == 0) {
            let kept =
                name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
            if !kept {
                continue;
            }
            let what = || format!("attribute {} of {}", String::from_utf8_lossy(name), real.display());
            let mut value = vec![0u8; 64 << 10];
            let size = rustix::fs::fgetxattr(from, name, &mut value).os(what)?;
            rustix::fs::lsetxattr(&here, name, &value[..size], rustix::fs::XattrFlags::empty()).os(what)?;
        }
        Ok(())
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
