//! Reading a stack of layers as one tree, without mounting it and without privileges.
//!
//! Follows overlayfs' rules: a 0:0 character device hides what is below (a whiteout), a folder marked opaque hides
//! the folders below it, other folders merge. Links are followed inside the tree, as a process in a container would
//! see them. Layers do not change, so looking at each component by its path in its layer is safe.
//!
//! Source: Documentation/filesystems/overlayfs.rst, "Upper and Lower" and "whiteouts and opaque directories".

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::super::error::{Error, OsContext, Result};

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// A stack of layers.
pub struct View<'a> {
    lowers: &'a [PathBuf],
}

/// What a path leads to.
pub struct Found {
    /// Where it is on the host; of a folder, its topmost layer's.
    pub path: PathBuf,
    /// What it is.
    pub meta: Metadata,
    // Of a folder: every layer's part of it, topmost first.
    parts: Vec<PathBuf>,
}

impl Found {
    /// What a folder has under a name; links are not followed.
    ///
    /// # Errors
    /// `os`.
    pub fn child(&self, name: &OsStr) -> Result<Option<Found>> {
        look_up(self, name)
    }

    /// Of a folder, what each layer has of it, topmost first: an overlay of these shows the same.
    pub fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    /// True when both are one and the same, from the same layers: nothing in them can differ.
    pub fn is_same_place(&self, other: &Found) -> bool {
        self.path == other.path && self.parts == other.parts
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// `os`.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let mut names = BTreeSet::new();
        for part in &self.parts {
            for entry in fs::read_dir(part).os(|| format!("list {}", part.display()))? {
                let name = entry.os(|| format!("list {}", part.display()))?.file_name();
                if !names.contains(&name) && look_up(self, &name)?.is_some() {
                    names.insert(name);
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

impl<'a> View<'a> {
    /// A view of layer folders, base first.
    pub fn new(lowers: &'a [PathBuf]) -> View<'a> {
        View { lowers }
    }

    /// Finds what `path` leads to, following links. `None` when nothing is there.
    ///
    /// # Errors
    /// `invalid_argument` when links go round in circles, `os`.
    pub fn find(&self, path: &Path) -> Result<Option<Found>> {
        Ok(self.walk(path, true)?.1)
    }

    /// The same, but a link at the end is found itself.
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn find_link(&self, path: &Path) -> Result<Option<Found>> {
        Ok(self.walk(path, false)?.1)
    }

    /// Where `path` really is in the tree, without links and dots, and what is there. Of a path that does not exist,
    /// the part that does is resolved and the rest taken as it is.
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn resolve(&self, path: &Path) -> Result<(PathBuf, Option<Found>)> {
        self.walk(path, true)
    }

    /// The root folder.
    ///
    /// # Errors
    /// `not_found` when there is no layer, `os`.
    pub fn root(&self) -> Result<Found> {
        let mut parts = Vec::new();
        for lower in self.lowers.iter().rev() {
            parts.push(lower.clone());
            if is_opaque(lower) {
                break;
            }
        }
        let path = parts.first().cloned().ok_or_else(|| Error::not_found("the root file system has no layers"))?;
        let meta = fs::metadata(&path).os(|| format!("stat {}", path.display()))?;
        Ok(Found { path, meta, parts })
    }

    fn walk(&self, path: &Path, follow_last: bool) -> Result<(PathBuf, Option<Found>)> {
        // What is on the way, each with its name; `None` from where nothing exists.
        let mut way: Vec<(OsString, Option<Found>)> = Vec::new();
        let root = if self.lowers.is_empty() { None } else { Some(self.root()?) };
        let mut todo: VecDeque<OsString> = names(path).collect();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                way.pop();
                continue;
            }
            let here = way.last().map_or(root.as_ref(), |(_, found)| found.as_ref());
            let found = match here {
                Some(here) => look_up(here, &name)?,
                None => None,
            };
            match found {
                Some(link) if link.meta.is_symlink() && (follow_last || !todo.is_empty()) => {
                    links += 1;
                    if links > MOST_LINKS {
                        let message = format!("too many symbolic links on the way to {}", path.display());
                        return Err(Error::invalid(message));
                    }
                    let target = fs::read_link(&link.path).os(|| format!("read link {}", path.display()))?;
                    if target.is_absolute() {
                        way.clear();
                    }
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        todo.push_front(name);
                    }
                }
                found => way.push((name, found)),
            }
        }
        let real = Path::new("/").join(way.iter().map(|(name, _)| name).collect::<PathBuf>());
        Ok((real, if way.is_empty() { root } else { way.pop().and_then(|(_, found)| found) }))
    }

    /// The names in a folder, with what each is (links not followed), sorted.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for something that is not a folder; `os`.
    pub fn list(&self, path: &Path) -> Result<BTreeMap<OsString, Found>> {
        let found = self.must_find(path)?;
        if !found.meta.is_dir() {
            return Err(Error::invalid(format!("'{}' is not a folder", path.display())));
        }
        let mut list = BTreeMap::new();
        for part in &found.parts {
            for entry in fs::read_dir(part).os(|| format!("list {}", path.display()))? {
                let name = entry.os(|| format!("list {}", path.display()))?.file_name();
                if list.contains_key(&name) {
                    continue;
                }
                if let Some(child) = look_up(&found, &name)? {
                    list.insert(name, child);
                }
            }
        }
        Ok(list)
    }

    /// Opens a regular file.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for anything but a regular file; `os`.
    pub fn open(&self, path: &Path) -> Result<File> {
        let found = self.must_find(path)?;
        if !found.meta.is_file() {
            return Err(Error::invalid(format!("'{}' is not a regular file", path.display())));
        }
        let open =
            fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&found.path);
        open.os(|| format!("open {}", path.display()))
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`View::open`]; `invalid_argument` when it is longer.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(path)?.take(limit + 1).read_to_end(&mut content).os(|| format!("read {}", path.display()))?;
        if content.len() as u64 > limit {
            return Err(Error::invalid(format!("{} is longer than {limit} bytes", path.display())));
        }
        Ok(content)
    }

    /// As [`View::resolve`], but a link at the end is not followed.
    ///
    /// # Errors
    /// As [`View::find`].
    pub fn resolve_link(&self, path: &Path) -> Result<(PathBuf, Option<Found>)> {
        self.walk(path, false)
    }

    fn must_find(&self, path: &Path) -> Result<Found> {
        self.find(path)?.ok_or_else(|| Error::not_found(format!("'{}' does not exist", path.display())))
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// One name in a folder, over all its layers.
fn look_up(folder: &Found, name: &OsStr) -> Result<Option<Found>> {
    let mut found: Option<Found> = None;
    for part in &folder.parts {
        let path = part.join(name);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => continue,
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            Err(e) => return Err(e).os(|| format!("stat {}", path.display())),
        };
        match &mut found {
            _ if is_whiteout(&meta) => break,
            None if meta.is_dir() => found = Some(Found { parts: vec![path.clone()], path: path.clone(), meta }),
            None => return Ok(Some(Found { path, meta, parts: Vec::new() })),
            Some(found) if meta.is_dir() => found.parts.push(path.clone()),
            Some(_) => break,
        }
        if is_opaque(&path) {
            break;
        }
    }
    Ok(found)
}

/// Overlayfs' mark of a removed name.
pub fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// True for a folder that hides those below it.
pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0u8; 2];
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| matches!(rustix::fs::lgetxattr(path, *name, &mut value), Ok(1) if value[0] == b'y'))
}

/// The kind of a thing, in a word.
pub fn kind_name(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_dir() {
        "dir"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_file() {
        "file"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else if kind.is_fifo() {
        "fifo"
    } else {
        "socket"
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Kind;
    use super::*;
    use std::os::unix::fs::symlink;

    fn layers() -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let lowers: Vec<PathBuf> = ["a", "b"].iter().map(|name| dir.path().join(name)).collect();
        for lower in &lowers {
            fs::create_dir_all(lower.join("etc")).unwrap();
        }
        fs::write(lowers[0].join("etc/base"), "base").unwrap();
        fs::write(lowers[0].join("etc/both"), "old").unwrap();
        fs::write(lowers[1].join("etc/both"), "new").unwrap();
        symlink("/etc/both", lowers[1].join("link")).unwrap();
        symlink("../../../etc", lowers[1].join("up")).unwrap();
        symlink("loop", lowers[1].join("loop")).unwrap();
        fs::create_dir(lowers[0].join("dir")).unwrap();
        fs::write(lowers[0].join("dir/x"), "x").unwrap();
        fs::write(lowers[1].join("dir"), "now a file").unwrap();
        (dir, lowers)
    }

    #[test]
    fn merges_layers_and_follows_links_inside() {
        let (_dir, lowers) = layers();
        let view = View::new(&lowers);
        let read = |path: &str| view.read(Path::new(path), 100).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(read("/etc/base").unwrap(), "base");
        assert_eq!(read("etc/both").unwrap(), "new");
        assert_eq!(read("/link").unwrap(), "new");
        assert_eq!(read("/up/base").unwrap(), "base");
        assert_eq!(read("/dir").unwrap(), "now a file");
        assert_eq!(read("/dir/x").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(read("/../../etc/base").unwrap(), "base");
        let (real, found) = view.resolve(Path::new("up/../up/new/./x")).unwrap();
        assert!(real == Path::new("/etc/new/x") && found.is_none());
        assert!(read("/loop").unwrap_err().message().starts_with("too many symbolic links"));
        assert_eq!(read("/etc").unwrap_err().message(), "'/etc' is not a regular file");
        let names: Vec<_> = view.list(Path::new("/etc")).unwrap().into_keys().collect();
        assert_eq!(names, ["base", "both"]);
        assert!(view.find_link(Path::new("/loop")).unwrap().unwrap().meta.is_symlink());
    }

    #[test]
    fn a_long_file_is_refused_without_reading_it() {
        let (_dir, lowers) = layers();
        File::create(lowers[1].join("huge")).unwrap().set_len(10 << 30).unwrap();
        let error = View::new(&lowers).read(Path::new("/huge"), 1000).unwrap_err();
        assert_eq!(error.message(), "/huge is longer than 1000 bytes");
    }
}
