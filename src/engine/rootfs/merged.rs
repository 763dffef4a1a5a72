//! Deep stacks of layers: overlayfs takes a few hundred at most (a page of options on older kernels), so the bottom
//! of a deeper stack is merged into one layer, of hard links, once.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, OsContext, Result};
use super::super::layer::LayerMeta;
use super::view::{Found, View};

/// Stacks up to this height are mounted as they are. Any kernel with overlayfs takes as many.
const HIGHEST: usize = 120;
/// Bottoms are merged in multiples of this many layers, so that a stack that grows by one finds them made.
const PART: usize = 64;

impl Engine {
    /// The same file system as `lowers` (base first) in a stack that any kernel can mount.
    ///
    /// # Errors
    /// `os`, `interrupted`.
    pub fn mountable(&self, lowers: &[PathBuf]) -> Result<Vec<PathBuf>> {
        if lowers.len() <= HIGHEST {
            return Ok(lowers.to_vec());
        }
        let parts = (lowers.len() - HIGHEST).div_ceil(PART) * PART;
        let bottom = &lowers[..parts + 1];
        let names: Vec<String> = bottom.iter().map(|path| path.display().to_string()).collect();
        let id = format!("merged-{}", &Digest::of(names.join("\n")).hex()[..32]);
        let _mine = self.store().lock_object(&format!("layer-{id}"), self.cancel())?;
        if !self.store().has_layer(&id) {
            let area = self.store().workspace()?;
            let view = View::new(bottom);
            let root = view.find(Path::new("/"))?.ok_or_else(|| Error::not_found("the stack has no root"))?;
            let mut meta = LayerMeta { diff_id: None, bytes: 0, entries: 0 };
            self.merge(&view, Path::new("/"), &root, &area.join("fs"), &mut meta)?;
            self.store().install_layer(&id, area, &meta)?;
        }
        Ok([self.store().layer_fs(&id)].into_iter().chain(lowers[parts + 1..].iter().cloned()).collect())
    }

    /// Makes the folder `to` of what is in the folder `at` of a view, files by hard links.
    ///
    /// # Errors
    /// `os`, `interrupted`.
    pub(in super::super) fn merge(
        &self,
        view: &View<'_>,
        at: &Path,
        found: &Found,
        to: &Path,
        count: &mut LayerMeta,
    ) -> Result<()> {
        self.cancel().check()?;
        fs::create_dir(to).os(|| format!("create {}", to.display()))?;
        for (name, child) in view.list(at)? {
            count.entries += 1;
            if child.meta.is_dir() {
                self.merge(view, &at.join(&name), &child, &to.join(&name), count)?;
                continue;
            }
            count.bytes += child.meta.len();
            fs::hard_link(&child.path, to.join(&name)).os(|| format!("link {}", at.join(&name).display()))?;
        }
        dress(&found.meta, &found.path, to).os(|| format!("set looks of {}", at.display()))
    }
}

/// Gives a merged folder the looks of its topmost part, `from`.
///
/// # Errors
/// Those of the system.
pub fn dress(meta: &fs::Metadata, from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::chown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    let mut names = vec![0u8; 64 << 10];
    // A file system without attributes has none to copy.
    let count = rustix::fs::llistxattr(from, &mut names).unwrap_or(0);
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // Overlayfs' own marks are about what was below, and nothing is below now.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0u8; 64 << 10];
        let size = rustix::fs::lgetxattr(from, name, &mut value)?;
        rustix::fs::lsetxattr(to, name, &value[..size], rustix::fs::XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
