//! Several layers become one, in overlayfs' upper form: mounted over what was below them it shows the same tree.
//!
//! Files are hard links to those of the layers, so nothing is copied and names of one file stay names of one file. A
//! removal is kept when there is something below to be hidden, and so is the mark of a folder that hides the one below.
//!
//! Source: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat};

use super::super::cancel::Cancel;
use super::super::error::{OsContext, Result};
use super::super::layer::overlay_xattr_prefix;
use super::super::rootfs::merged::dress;
use super::super::rootfs::view::{Found, View, is_opaque, is_whiteout};

/// Makes the folder `to` of the layers `group`, which stand on the layers `below` (both base first). False when the
/// group changes nothing.
///
/// # Errors
/// `os`, `interrupted`.
pub(super) fn flatten(below: &[PathBuf], group: &[PathBuf], to: &Path, cancel: &Cancel) -> Result<bool> {
    let mut folder = Folder::default();
    for layer in group.iter().rev() {
        folder.parts.push(layer.clone());
        if is_opaque(layer) {
            folder.hides = true;
            break;
        }
    }
    let root = if below.is_empty() { None } else { Some(View::new(below).root()?) };
    let written = Flattening { cancel }.folder(&folder, root.as_ref(), to)?;
    Ok(written > 0 || (folder.hides && root.is_some()))
}

/// Takes the opaque mark off folders that hide nothing: overlayfs puts it on every new folder, and over another state
/// it would hide that state's.
///
/// # Errors
/// `os`.
pub(super) fn unmark(upper: &Path, lowers: &[PathBuf]) -> Result<()> {
    let root = if lowers.is_empty() { None } else { Some(View::new(lowers).root()?) };
    unmark_below(upper, root.as_ref())
}

fn unmark_below(folder: &Path, below: Option<&Found>) -> Result<()> {
    let what = || format!("list {}", folder.display());
    for entry in fs::read_dir(folder).os(what)? {
        let entry = entry.os(what)?;
        if !entry.file_type().os(what)?.is_dir() {
            continue;
        }
        let hidden = child_of(below, &entry.file_name())?.filter(|found| found.meta.is_dir());
        let opaque = is_opaque(&entry.path());
        if opaque && hidden.is_none() {
            let name = format!("{}opaque", overlay_xattr_prefix());
            rustix::fs::lremovexattr(entry.path(), name).os(|| format!("unmark {}", entry.path().display()))?;
        }
        unmark_below(&entry.path(), hidden.as_ref().filter(|_| !opaque))?;
    }
    Ok(())
}

fn child_of(below: Option<&Found>, name: &OsStr) -> Result<Option<Found>> {
    below.map_or(Ok(None), |found| found.child(name))
}

/// A folder of the group: its part in each layer, topmost first.
#[derive(Default)]
struct Folder {
    parts: Vec<PathBuf>,
    // What lower layers have in its place is not to be seen.
    hides: bool,
}

/// What the group has under a name.
enum Thing {
    Removed,
    Leaf(PathBuf),
    Folder(Folder),
}

struct Flattening<'a> {
    cancel: &'a Cancel,
}

impl Flattening<'_> {
    /// Returns how many things were written into the folder.
    fn folder(&self, folder: &Folder, below: Option<&Found>, to: &Path) -> Result<usize> {
        self.cancel.check()?;
        fs::create_dir(to).os(|| format!("create {}", to.display()))?;
        let seen = below.filter(|_| !folder.hides);
        let mut written = 0;
        for name in names(&folder.parts)? {
            let Some(thing) = look_up(&folder.parts, &name)? else { continue };
            let hidden = child_of(seen, &name)?;
            written += usize::from(self.thing(thing, hidden.as_ref(), &to.join(&name))?);
        }
        if let Some(top) = folder.parts.first() {
            let meta = stat(top)?;
            dress(&meta, top, to).os(|| format!("set looks of {}", to.display()))?;
        }
        if folder.hides && below.is_some_and(|found| found.meta.is_dir()) {
            let name = format!("{}opaque", overlay_xattr_prefix());
            rustix::fs::lsetxattr(to, name, b"y", XattrFlags::empty()).os(|| format!("mark {}", to.display()))?;
        }
        Ok(written)
    }

    /// False for a removal of what is not there.
    fn thing(&self, thing: Thing, hidden: Option<&Found>, to: &Path) -> Result<bool> {
        match thing {
            Thing::Removed if hidden.is_none() => return Ok(false),
            Thing::Removed => {
                mknodat(CWD, to, FileType::CharacterDevice, Mode::empty(), 0)
                    .os(|| format!("remove {}", to.display()))?;
            }
            Thing::Leaf(from) => fs::hard_link(&from, to).os(|| format!("link {}", to.display()))?,
            Thing::Folder(folder) => {
                self.folder(&folder, hidden, to)?;
            }
        }
        Ok(true)
    }
}

fn names(parts: &[PathBuf]) -> Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for part in parts {
        for entry in fs::read_dir(part).os(|| format!("list {}", part.display()))? {
            names.insert(entry.os(|| format!("list {}", part.display()))?.file_name());
        }
    }
    Ok(names)
}

fn look_up(parts: &[PathBuf], name: &OsStr) -> Result<Option<Thing>> {
    let mut found: Option<Folder> = None;
    for part in parts {
        let path = part.join(name);
        let meta = match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other.os(|| format!("stat {}", path.display()))?,
        };
        if !meta.is_dir() {
            return Ok(Some(match found {
                Some(folder) => Thing::Folder(Folder { hides: true, ..folder }),
                None if is_whiteout(&meta) => Thing::Removed,
                None => Thing::Leaf(path),
            }));
        }
        let folder = found.get_or_insert_default();
        folder.hides = is_opaque(&path);
        folder.parts.push(path);
        if folder.hides {
            break;
        }
    }
    Ok(found.map(Thing::Folder))
}

fn stat(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).os(|| format!("stat {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Layers, base first: each a list of `path` (a folder ends in `/`, `-path` is removed, `!path/` is opaque).
    fn stack(dir: &Path, layers: &[&[&str]]) -> Vec<PathBuf> {
        let one = |(number, names): (usize, &&[&str])| {
            let layer = dir.join(number.to_string());
            fs::create_dir(&layer).unwrap();
            for name in *names {
                let path = layer.join(name.trim_start_matches(['-', '!']));
                if name.starts_with('-') {
                    mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
                } else if name.ends_with('/') {
                    fs::create_dir(&path).unwrap();
                } else {
                    fs::write(&path, format!("{number}")).unwrap();
                }
                if name.starts_with('!') {
                    let attribute = format!("{}opaque", overlay_xattr_prefix());
                    rustix::fs::lsetxattr(&path, attribute, b"y", XattrFlags::empty()).unwrap();
                }
            }
            layer
        };
        layers.iter().enumerate().map(one).collect()
    }

    /// The tree in the same words; a file with the layer it came from.
    fn told(folder: &Path, at: &str, list: &mut Vec<String>) {
        for name in names(&[folder.to_path_buf()]).unwrap() {
            let path = folder.join(&name);
            let shown = format!("{at}{}", name.to_string_lossy());
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                list.push(format!("{}{shown}/", if is_opaque(&path) { "!" } else { "" }));
                told(&path, &format!("{shown}/"), list);
            } else if is_whiteout(&meta) {
                list.push(format!("-{shown}"));
            } else {
                list.push(format!("{shown}={}", fs::read_to_string(&path).unwrap()));
            }
        }
    }

    fn flat(below: &[&[&str]], group: &[&[&str]]) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let all = stack(dir.path(), &[below, group].concat());
        let to = dir.path().join("flat");
        let changed = flatten(&all[..below.len()], &all[below.len()..], &to, &Cancel::new().unwrap()).unwrap();
        let mut list = Vec::new();
        told(&to, "", &mut list);
        (changed, list.join(" "))
    }

    #[test]
    fn later_layers_win_and_marks_stay_where_they_hide_something() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root for devices and attributes");
            return;
        }
        type Case<'a> = (&'a [&'a [&'a str]], &'a [&'a [&'a str]], &'a str);
        let table: &[Case] = &[
            (&[], &[&["a", "b"], &["b", "c"]], "a=0 b=1 c=1"),
            (&[&["a"]], &[&["b"], &["-a", "-b"]], "-a"),
            (&[&["a"]], &[&["-a"], &["a"]], "a=2"),
            (&[], &[&["d/", "d/x"], &["d/", "d/y", "-d/x"]], "d/ d/y=1"),
            (&[&["d/", "d/x"]], &[&["-d"], &["d/", "d/y"]], "!d/ d/y=2"),
            (&[], &[&["-d"], &["d/", "d/y"]], "d/ d/y=1"),
            (&[&["d/", "d/x"]], &[&["!d/", "d/y"], &["d/", "d/z"]], "!d/ d/y=1 d/z=2"),
            (&[], &[&["!d/", "d/y"]], "d/ d/y=0"),
            (&[&["d/", "d/x"]], &[&["d"], &["d/", "d/z"]], "!d/ d/z=2"),
            (&[&["d/", "d/x"]], &[&["d/", "d/y"], &["d"]], "d=2"),
            (&[&["d/", "d/e/", "d/e/x"]], &[&["!d/"], &["d/", "d/e/", "-d/e/x"]], "!d/ d/e/"),
        ];
        for (below, group, want) in table {
            assert_eq!(flat(below, group).1, *want, "{below:?} + {group:?}");
        }
        assert!(!flat(&[], &[&["a"], &["-a"]]).0);
        assert!(flat(&[&["a"]], &[&["-a"]]).0);
    }

    #[test]
    fn names_of_one_file_stay_so() {
        let dir = tempfile::tempdir().unwrap();
        let group = stack(dir.path(), &[&["a", "d/"], &["c"]]);
        fs::hard_link(group[0].join("a"), group[0].join("d/b")).unwrap();
        let to = dir.path().join("flat");
        flatten(&[], &group, &to, &Cancel::new().unwrap()).unwrap();
        let inode = |name: &str| fs::metadata(to.join(name)).unwrap().ino();
        assert!(inode("a") == inode("d/b") && inode("a") != inode("c"));
    }

    #[test]
    fn new_folders_lose_a_mark_that_hides_nothing() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root for attributes");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let all = stack(dir.path(), &[&["old/", "file"], &["!old/", "!new/", "!new/in/", "!file/"]]);
        unmark(&all[1], &all[..1]).unwrap();
        let mut list = Vec::new();
        told(&all[1], "", &mut list);
        assert_eq!(list.join(" "), "file/ new/ new/in/ !old/");
    }
}
