//! Places for mounts that a state does not have. They are a layer of their own, just below the one the step writes,
//! and go away with it: the step's layer never holds them, nor the changed times of the folders above them.

use std::path::{Path, PathBuf};

use super::super::super::error::Result;
use super::super::super::rootfs::view::View;
use super::super::super::store::{Store, Workspace};
use super::super::tree::{Looks, TreeWriter};

/// File systems of the container's own: places below them are made in these.
const OWN: [&str; 3] = ["/proc", "/dev", "/sys"];

/// Makes those of `targets` (each with whether it is a folder) that are missing; none when nothing is.
///
/// # Errors
/// `invalid_argument` when something on the way is no folder; `os`.
pub fn stub_layer(
    store: &Store,
    lowers: &[PathBuf],
    targets: &[(PathBuf, bool)],
    now: i64,
) -> Result<Option<Workspace>> {
    let mut tree = None;
    for (target, is_dir) in targets {
        let is_inside = |other: &Path| target != other && target.starts_with(other);
        if OWN.iter().any(|own| is_inside(Path::new(own))) || targets.iter().any(|(other, _)| is_inside(other)) {
            continue;
        }
        let (real, found) = View::new(lowers).resolve(target)?;
        if found.is_some() {
            continue;
        }
        let tree = match &mut tree {
            Some(tree) => tree,
            None => tree.insert(TreeWriter::new(store, lowers, now)?),
        };
        if *is_dir {
            tree.folder(&real, None)?;
        } else {
            tree.file(&real, &[][..], Looks { mode: 0o644, uid: 0, gid: 0, mtime: now })?;
        }
    }
    tree.map(TreeWriter::finish).transpose()
}
