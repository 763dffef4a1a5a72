//! Walking a folder for a copy: every name in it with how it looks, less what rules leave out.
//!
//! The folders of one depth are read by several threads. Each is opened from the walk's root without following any
//! link, so that nothing outside is met whatever happens to the folder meanwhile. Links are listed as links.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, openat2, readlinkat, statat};
use rustix::io::Errno;

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::inroot::Root;
use super::super::layer::tree::MAX_DEPTH;
use super::ignore::{Above, Rules};
use super::stat_cache::Looked;

/// Threads that read folders: more only wait for each other.
const THREADS: usize = 4;
/// Folders of one depth that are worth a second thread.
const SHARE: usize = 8;

/// Rules, and where the walk's root is for them.
pub(super) struct Filter<'a> {
    pub rules: &'a Rules,
    pub base: PathBuf,
}

/// Something that was found.
pub(super) struct Listed {
    /// From the walk's root on.
    pub path: PathBuf,
    pub looked: Looked,
    /// What a symbolic link says.
    pub link: Option<PathBuf>,
}

struct Name {
    name: CString,
    looked: Looked,
    link: Option<PathBuf>,
    // It is not left out itself.
    kept: bool,
    // Of a folder that is entered: its place in the list of folders.
    folder: Option<usize>,
}

struct Folder {
    path: PathBuf,
    above: Vec<Above>,
    names: Vec<Name>,
}

/// All that is below `root`, sorted, each folder before what is in it. A folder that is left out is listed where
/// something in it is kept.
///
/// # Errors
/// `unsupported` for a tree that is too deep, `interrupted`, `os`.
pub(super) fn list(root: &Root, filters: &[Filter<'_>], cancel: &Cancel) -> Result<Vec<Listed>> {
    let filters: Vec<&Filter> = filters.iter().filter(|filter| !filter.rules.is_empty()).collect();
    let above = filters.iter().map(|filter| filter.rules.leaves_out_from_root(&filter.base).1).collect();
    let mut folders = vec![Folder { path: PathBuf::new(), above, names: Vec::new() }];
    let mut done = 0;
    for depth in 0.. {
        if done == folders.len() {
            break;
        }
        if depth > MAX_DEPTH {
            let message = format!("{} is more than {MAX_DEPTH} folders deep", root.path().display());
            return Err(Error::new(Kind::Unsupported, message));
        }
        let end = folders.len();
        let found = read_all(root, &folders[done..end], &filters, cancel)?;
        for (at, (mut names, above)) in (done..end).zip(found) {
            for (name, above) in names.iter_mut().zip(above) {
                if let Some(above) = above {
                    name.folder = Some(folders.len());
                    let path = folders[at].path.join(OsStr::from_bytes(name.name.to_bytes()));
                    folders.push(Folder { path, above, names: Vec::new() });
                }
            }
            folders[at].names = names;
        }
        done = end;
    }
    let mut list = Vec::new();
    emit(&mut folders, 0, &mut list);
    Ok(list)
}

/// Puts a folder's content into the list; says whether there was any.
fn emit(folders: &mut [Folder], at: usize, list: &mut Vec<Listed>) -> bool {
    let before = list.len();
    for entry in std::mem::take(&mut folders[at].names) {
        let path = folders[at].path.join(OsStr::from_bytes(entry.name.to_bytes()));
        let place = list.len();
        list.push(Listed { path, looked: entry.looked, link: entry.link });
        let inside = entry.folder.is_some_and(|folder| emit(folders, folder, list));
        if !entry.kept && !inside {
            list.truncate(place);
        }
    }
    list.len() > before
}

/// The names of a folder, and for each that is a folder to be entered what the rules know of it.
type Names = (Vec<Name>, Vec<Option<Vec<Above>>>);

fn read_all(root: &Root, folders: &[Folder], filters: &[&Filter], cancel: &Cancel) -> Result<Vec<Names>> {
    let read = |folders: &[Folder]| -> Result<Vec<Names>> {
        let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
        folders.iter().map(|folder| read(root, folder, filters, cancel, &mut buffer)).collect()
    };
    let threads = (folders.len() / SHARE).clamp(1, processors().min(THREADS));
    if threads == 1 {
        return read(folders);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            folders.chunks(folders.len().div_ceil(threads)).map(|part| scope.spawn(move || read(part))).collect();
        let mut all = Vec::with_capacity(folders.len());
        for part in parts {
            all.extend(part.join().map_err(|_| Error::new(Kind::Internal, "a thread that lists folders panicked"))??);
        }
        Ok(all)
    })
}

/// How many threads are worth starting.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn read(
    root: &Root,
    folder: &Folder,
    filters: &[&Filter],
    cancel: &Cancel,
    buffer: &mut [MaybeUninit<u8>],
) -> Result<Names> {
    cancel.check()?;
    let what = || format!("list {}", root.path().join(&folder.path).display());
    let path = if folder.path.as_os_str().is_empty() { Path::new(".") } else { &folder.path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat2(root.fd(), path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        // It was there a moment ago.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if folder.path != Path::new("") => return Ok(Names::default()),
        other => other.os(what)?,
    };
    let mut listed = Vec::new();
    let mut dir = RawDir::new(&fd, buffer);
    while let Some(entry) = dir.next() {
        let name = entry.os(what)?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            listed.push(name);
        }
    }
    listed.sort_unstable();
    let (mut names, mut folders) = (Vec::with_capacity(listed.len()), Vec::new());
    for name in listed {
        let looked = match statat(&fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => Looked::from(&other.os(what)?),
        };
        let is_folder = looked.kind() == FileType::Directory;
        let Some((kept, above)) = judge(folder, &name, is_folder, filters) else { continue };
        let link = match looked.kind() {
            FileType::Symlink => Some(readlinkat(&fd, &name, Vec::new()).os(what)?.into_bytes()),
            _ => None,
        };
        let link = link.map(|target| PathBuf::from(std::ffi::OsString::from_vec(target)));
        names.push(Name { name, looked, link, kept, folder: None });
        folders.push(is_folder.then_some(above));
    }
    Ok((names, folders))
}

/// Whether a name is kept itself, and what the rules know of it; none for what has nothing to offer.
fn judge(folder: &Folder, name: &CString, is_folder: bool, filters: &[&Filter]) -> Option<(bool, Vec<Above>)> {
    let mut kept = true;
    let mut all = Vec::with_capacity(filters.len());
    for (filter, above) in filters.iter().zip(&folder.above) {
        let path = filter.base.join(&folder.path).join(OsStr::from_bytes(name.to_bytes()));
        let (out, here) = filter.rules.leaves_out(&path, above);
        if out && !(is_folder && filter.rules.may_keep_below(&path)) {
            return None;
        }
        kept &= !out;
        all.push(here);
    }
    Some((kept, all))
}
