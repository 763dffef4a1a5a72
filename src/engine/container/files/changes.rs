//! What a container changed against its image: its upper folder, read against the layers below.
//!
//! As overlayfs has it, a 0:0 character device hides a name, and an opaque folder hides all that lower folders have in
//! its place. A folder that is in the upper one only because something in it changed counts as changed itself, as
//! Docker shows it; one that was merely copied up does not. The upper folder may be in use: it is read by
//! descriptors, following no link.
//!
//! Source: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::layer::entry::shown;
use super::super::super::layer::inspect::is_opaque;
use super::super::super::layer::tree::{MAX_DEPTH, is_folder, is_whiteout, join};
use super::super::super::rootfs::view::{Found, View};
use super::walk::names;

/// How a path differs from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It was there, and differs or has something in it that does.
    Changed,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// `A`, `C` or `D`.
    pub fn letter(self) -> char {
        match self {
            ChangeKind::Added => 'A',
            ChangeKind::Changed => 'C',
            ChangeKind::Deleted => 'D',
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// Where, from `/` on.
    pub path: PathBuf,
}

/// What `upper` changes of `lowers` (base first), sorted by path. Empty folders and files that are in no layer and
/// were made for `mounts` (paths from `/` on) do not count.
///
/// # Errors
/// `unsupported` for a tree that is too deep, `os`.
pub fn changes(lowers: &[PathBuf], upper: &Path, mounts: &[PathBuf]) -> Result<Vec<Change>> {
    let mut changes = compare(lowers, upper, mounts)?.changes;
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// The paths in `upper`, relative to it, that are there only because something was mounted on them.
///
/// # Errors
/// As [`changes`].
pub fn mount_points(lowers: &[PathBuf], upper: &Path, mounts: &[PathBuf]) -> Result<HashSet<Vec<u8>>> {
    Ok(compare(lowers, upper, mounts)?.mount_points)
}

fn compare(lowers: &[PathBuf], upper: &Path, mounts: &[PathBuf]) -> Result<Comparison> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let upper = openat(CWD, upper, flags, Mode::empty()).os(|| format!("open {}", upper.display()))?;
    let view = View::new(lowers);
    let below = if lowers.is_empty() { None } else { Some(view.root()?) };
    let mut mounts = mounts.to_vec();
    if !lowers.is_empty() {
        // Where a link of the image leads, there is the mount point.
        for at in 0..mounts.len() {
            mounts.push(view.resolve(&mounts[at])?.0);
        }
    }
    let mut comparison = Comparison { mounts: relative(&mounts), ..Comparison::default() };
    comparison.folder(&upper, b"", below.as_ref(), false, 0)?;
    Ok(comparison)
}

/// The mounts' paths as names below the root, without dots.
fn relative(mounts: &[PathBuf]) -> HashSet<Vec<u8>> {
    let parts = |path: &PathBuf| {
        let names = path.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.as_bytes().to_vec()),
            _ => None,
        });
        names.collect::<Vec<_>>().join(&b'/')
    };
    mounts.iter().map(parts).collect()
}

#[derive(Default)]
struct Comparison {
    mounts: HashSet<Vec<u8>>,
    mount_points: HashSet<Vec<u8>>,
    changes: Vec<Change>,
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Comparison {
    fn add(&mut self, kind: ChangeKind, path: &[u8]) {
        let path = PathBuf::from(OsString::from_vec([b"/", path].concat()));
        self.changes.push(Change { kind, path });
    }

    /// Compares what is in a folder with what is below it; in an `opaque` one nothing below shows through.
    fn folder(
        &mut self,
        upper: &OwnedFd,
        path: &[u8],
        below: Option<&Found>,
        opaque: bool,
        depth: usize,
    ) -> Result<()> {
        if depth >= MAX_DEPTH {
            let message = format!("'/{}' lies more than {MAX_DEPTH} folders deep", shown(path));
            return Err(Error::new(Kind::Unsupported, message));
        }
        let below = below.filter(|found| found.meta.is_dir());
        let here = names(upper, path)?;
        for name in &here {
            let found = below.map(|below| below.child(OsStr::from_bytes(name))).transpose()?.flatten();
            self.name(upper, name, join(path, name), found, opaque, depth)?;
        }
        if let (Some(below), true) = (below, opaque) {
            for name in below.names()? {
                if here.binary_search_by(|other| other.as_slice().cmp(name.as_bytes())).is_err() {
                    self.add(ChangeKind::Deleted, &join(path, name.as_bytes()));
                }
            }
        }
        Ok(())
    }

    fn name(
        &mut self,
        folder: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        below: Option<Found>,
        opaque: bool,
        depth: usize,
    ) -> Result<()> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let handle = match openat2(folder, name, HANDLE, Mode::empty(), resolve) {
            // Removed since the folder was listed.
            Err(Errno::NOENT) => return Ok(()),
            other => other.os(|| format!("open '/{}'", shown(&path)))?,
        };
        let stat = fstat(&handle).os(|| format!("stat '/{}'", shown(&path)))?;
        if is_whiteout(&stat) {
            if below.is_some() {
                self.add(ChangeKind::Deleted, &path);
            }
            return Ok(());
        }
        let kind = if below.is_some() { ChangeKind::Changed } else { ChangeKind::Added };
        if !is_folder(&stat) {
            if below.is_none() && stat.st_size == 0 && self.mounts.contains(&path) {
                self.mount_points.insert(path);
            } else {
                self.add(kind, &path);
            }
            return Ok(());
        }
        let fresh = below.as_ref().is_none_or(|found| !found.meta.is_dir());
        let opaque = opaque || is_opaque(&handle).os(|| format!("read attributes of '/{}'", shown(&path)))?;
        let (changes, points) = (self.changes.len(), self.mount_points.len());
        self.folder(&handle, &path, below.as_ref(), opaque, depth + 1)?;
        let (inner, inner_points) = (self.changes.len() > changes, self.mount_points.len() > points);
        if fresh && !inner && below.is_none() && (inner_points || self.mounts.contains(&path)) {
            self.mount_points.insert(path);
        } else if fresh || inner || below.is_some_and(|found| !same_folder(&stat, &found.meta, inner_points)) {
            self.add(kind, &path);
        }
        Ok(())
    }
}

/// Whether a folder looks as the one it was copied up from. Its time tells of names that were made or removed in it,
/// also of those that are gone again; but not when the engine made mount points in it.
fn same_folder(upper: &Stat, below: &std::fs::Metadata, mounts: bool) -> bool {
    let time = (upper.st_mtime, upper.st_mtime_nsec as i64) == (below.mtime(), below.mtime_nsec());
    (upper.st_mode, upper.st_uid, upper.st_gid) == (below.mode(), below.uid(), below.gid()) && (time || mounts)
}
