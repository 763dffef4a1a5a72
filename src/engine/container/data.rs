//! Data folders: what an anonymous mount shows. `ROOT/volumes/NAME/_data`, filled at first with what the image has at
//! that place, read from its layers without running or mounting anything.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::super::Engine;
use super::super::error::{OsContext, Result};
use super::super::rootfs::view::View;
use super::record::Record;

impl Engine {
    /// Makes and fills the data folders of a container.
    ///
    /// # Errors
    /// `os`; what was made is the caller's to remove.
    pub(super) fn seed(&self, record: &Record, lowers: &[PathBuf]) -> Result<()> {
        let view = View::new(lowers);
        for data in &record.data {
            let folder = self.store().join("volumes").join(&data.name);
            fs::DirBuilder::new().mode(0o700).create(&folder).os(|| format!("create {}", folder.display()))?;
            let target = folder.join("_data");
            fs::create_dir(&target).os(|| format!("create {}", target.display()))?;
            if let (real, Some(found)) = view.resolve(&data.target)?
                && found.meta.is_dir()
            {
                copy_folder(&view, &real, &target)?;
                dress(&target, &found.meta)?;
            }
        }
        Ok(())
    }
}

/// Copies what is in the folder `from` of a view into `to`.
pub(in super::super) fn copy_folder(view: &View<'_>, from: &Path, to: &Path) -> Result<()> {
    for (name, found) in view.list(from)? {
        let target = to.join(&name);
        let what = || format!("fill {}", target.display());
        let kind = found.meta.file_type();
        if kind.is_dir() {
            fs::create_dir(&target).os(what)?;
            copy_folder(view, &from.join(&name), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&found.path).os(what)?, &target).os(what)?;
        } else if kind.is_file() {
            copy_file(&found.path, &target)?;
        } else if kind.is_fifo() {
            mknodat(CWD, &target, FileType::Fifo, Mode::from(0o600), 0).os(what)?;
        } else {
            // Devices and sockets of an image are nothing to keep data in.
            continue;
        }
        dress(&target, &found.meta)?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("fill {}", to.display());
    let mut source = File::open(from).os(what)?;
    let mut target = fs::OpenOptions::new().write(true).create_new(true).open(to).os(what)?;
    io::copy(&mut source, &mut target).os(what)?;
    Ok(())
}

/// Gives a copy the looks of its original. Owner first: changing it clears the setuid bit.
pub(in super::super) fn dress(path: &Path, meta: &fs::Metadata) -> Result<()> {
    let what = || format!("set owner and mode of {}", path.display());
    std::os::unix::fs::lchown(path, Some(meta.uid()), Some(meta.gid())).os(what)?;
    if !meta.file_type().is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7777)).os(what)?;
    }
    let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() };
    utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW).os(what)
}
