//! Paths inside a root file system that somebody else filled.
//!
//! Every path is resolved as a process whose root is that folder would: absolute links and `..` stay inside. The kernel
//! does it (`openat2` with RESOLVE_IN_ROOT, 5.6), on a descriptor, so nothing can be swapped between check and use.
//! Reads refuse what is no regular file and never wait: an image's `/etc/passwd` may be a pipe, a device or a link
//! to `/etc/shadow` (CVE-2024-9676).
//!
//! Source: openat2(2).

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{Error, Kind, OsContext, Result};

/// Symbolic links one path may go through: the kernel's own number.
const MAX_LINKS: usize = 40;

/// A folder seen as the root of a file system.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// The components without symbolic links that `path` leads to. `readlink` is asked for the target of a name in a
/// folder given by such components, and says `None` for what is no link or does not exist: it is then taken as it is
/// written. None for more than 40 links.
///
/// # Errors
/// Those of `readlink`.
pub(super) fn resolve_links<E>(
    path: &[u8],
    mut readlink: impl FnMut(&[Vec<u8>], &[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<Vec<u8>>>, E> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> { path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect() };
    let mut todo = split(path);
    let mut real: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.as_slice() {
            b"" | b"." => {}
            // At the root `..` is the root, as after chroot(2).
            b".." => {
                real.pop();
            }
            name => match readlink(&real, name)? {
                None => real.push(part),
                Some(_) if links == MAX_LINKS => return Ok(None),
                Some(target) => {
                    links += 1;
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                    todo.extend(split(&target));
                }
            },
        }
    }
    Ok(Some(real))
}

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn open(path: impl AsRef<Path>) -> Result<Root> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).os(|| format!("open {}", path.display()))?;
        Ok(Root { fd, path: path.to_path_buf() })
    }

    /// Takes a folder that is open already; `path` is for messages only.
    ///
    /// # Errors
    /// `os`.
    pub fn from_fd(fd: BorrowedFd<'_>, path: impl Into<PathBuf>) -> Result<Root> {
        let fd = fd.try_clone_to_owned().os(|| "duplicate a descriptor")?;
        Ok(Root { fd, path: path.into() })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's descriptor (O_PATH).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens anything inside; a last link is followed unless `flags` has NOFOLLOW.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn open_with(&self, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd> {
        let path = path.as_ref();
        self.openat2(path.as_os_str().as_bytes(), flags, ResolveFlags::IN_ROOT).os(|| format!("open '{}'", show(path)))
    }

    fn openat2(&self, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        // With O_PATH openat2 takes no flag that is about opening.
        let flags =
            flags | if flags.contains(OFlags::PATH) { OFlags::CLOEXEC } else { OFlags::CLOEXEC | OFlags::NOCTTY };
        let path = if path.is_empty() { b"." } else { path };
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS) {
                // A rename somewhere on the system while `..` was resolved.
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens a regular file for reading, without waiting.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for what is no regular file; `os`.
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        // Opening a device can have an effect, so look first.
        regular(&self.open_with(path, OFlags::PATH)?, path)?;
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        regular(&fd, path)?;
        Ok(File::from(fd))
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for what is no regular file; `integrity` for a longer one; `os`.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open_file(path)?;
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content).os(|| format!("read '{}'", show(path)))?;
        if content.len() as u64 > limit {
            return Err(Error::integrity(format!("'{}' is longer than {limit} bytes", show(path))));
        }
        Ok(content)
    }

    /// What a path leads to, links followed; none when nothing is there.
    ///
    /// # Errors
    /// `os`.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Option<Stat>> {
        self.stat_with(path.as_ref(), OFlags::PATH)
    }

    /// What is at a path, a last link not followed; none when nothing is there.
    ///
    /// # Errors
    /// `os`.
    pub fn lstat(&self, path: impl AsRef<Path>) -> Result<Option<Stat>> {
        self.stat_with(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn stat_with(&self, path: &Path, flags: OFlags) -> Result<Option<Stat>> {
        match self.openat2(path.as_os_str().as_bytes(), flags, ResolveFlags::IN_ROOT) {
            Ok(fd) => rustix::fs::fstat(&fd).os(|| format!("stat '{}'", show(path))).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e).os(|| format!("stat '{}'", show(path))),
        }
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let path = path.as_ref();
        let what = || format!("list '{}'", show(path));
        let fd = self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&fd).os(what)? {
            let entry = entry.os(what)?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(OsString::from_vec(name.to_vec())),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a folder, making it and its parents with `mode` where they are missing; links on the way are followed,
    /// also to what does not exist yet.
    ///
    /// # Errors
    /// `already_exists` when something else is in the way, `os`.
    pub fn mkdir_all(&self, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
        let path = path.as_ref();
        let real = self.resolve(path)?;
        self.make(&real, mode, path)
    }

    fn make(&self, real: &[Vec<u8>], mode: u32, path: &Path) -> Result<OwnedFd> {
        let what = || format!("make folder '{}'", show(path));
        let mut parent = self.folder(&[]).os(what)?;
        for depth in 1..=real.len() {
            parent = match self.folder(&real[..depth]) {
                Err(Errno::NOENT) => {
                    let name = &real[depth - 1][..];
                    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
                        Ok(()) => {
                            let made = self.folder(&real[..depth]).os(what)?;
                            // Here and not above, for the process's file mode mask.
                            rustix::fs::fchmod(&made, Mode::from_raw_mode(mode)).os(what)?;
                            made
                        }
                        Err(Errno::EXIST) => self.folder(&real[..depth]).os(what)?,
                        Err(e) => return Err(e).os(what),
                    }
                }
                Err(Errno::NOTDIR) => {
                    let found = String::from_utf8_lossy(&real[..depth].join(&b'/')).into_owned();
                    return Err(Error::new(Kind::AlreadyExists, format!("'/{found}' is not a folder")));
                }
                other => other.os(what)?,
            };
        }
        Ok(parent)
    }

    fn folder(&self, real: &[Vec<u8>]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        self.openat2(&real.join(&b'/'), flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
    }

    /// The path without links that `path` leads to; what does not exist is taken as it is written. Only a name:
    /// what it stands for may change, so open it with the methods here.
    ///
    /// # Errors
    /// `os`, also for more than 40 links.
    pub(super) fn resolve(&self, path: &Path) -> Result<Vec<Vec<u8>>> {
        let what = || format!("resolve '{}'", show(path));
        let readlink = |folder: &[Vec<u8>], name: &[u8]| -> rustix::io::Result<Option<Vec<u8>>> {
            let fd = self.openat2(
                &folder.join(&b'/'),
                OFlags::PATH | OFlags::DIRECTORY,
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            );
            let fd = match fd {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                other => other?,
            };
            match rustix::fs::readlinkat(&fd, name, Vec::new()) {
                Ok(target) => Ok(Some(target.into_bytes())),
                Err(Errno::INVAL | Errno::NOENT) => Ok(None),
                Err(e) => Err(e),
            }
        };
        resolve_links(path.as_os_str().as_bytes(), readlink).os(what)?.ok_or_else(|| Error::os(libc::ELOOP, what()))
    }

    /// The folder that holds what `path` leads to (links followed), and the last component: for calls that take a
    /// descriptor and a name. Nothing is made.
    ///
    /// # Errors
    /// `invalid_argument` for the root itself, `not_found`, `os`.
    pub fn resolve_parent(&self, path: impl AsRef<Path>) -> Result<(OwnedFd, OsString)> {
        let path = path.as_ref();
        let real = self.resolve(path)?;
        let Some((name, parents)) = real.split_last() else {
            return Err(Error::invalid(format!("'{}' is the root folder", show(path))));
        };
        let parent = self.folder(parents).os(|| format!("open the folder of '{}'", show(path)))?;
        Ok((parent, OsString::from_vec(name.clone())))
    }

    /// Opens a regular file for writing, empty, made with `mode` where it is missing; its folder must exist. A link is
    /// followed, also to what does not exist yet.
    ///
    /// # Errors
    /// `invalid_argument` when something else is in its place, `not_found`, `os`.
    pub fn create_file(&self, path: impl AsRef<Path>, mode: u32) -> Result<File> {
        let path = path.as_ref();
        let what = || format!("create '{}'", show(path));
        let (parent, name) = self.resolve_parent(path)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fresh = flags | OFlags::CREATE | OFlags::EXCL;
        let fd = match rustix::fs::openat(&parent, &name, fresh, Mode::from_raw_mode(0o600)) {
            Ok(fd) => {
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)).os(what)?;
                fd
            }
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW).os(what)?;
                check_regular(&stat, path)?;
                let fd = rustix::fs::openat(&parent, &name, flags, Mode::empty()).os(what)?;
                regular(&fd, path)?;
                rustix::fs::ftruncate(&fd, 0).os(what)?;
                fd
            }
            Err(e) => return Err(e).os(what),
        };
        Ok(File::from(fd))
    }
}

fn show(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn regular(fd: &OwnedFd, path: &Path) -> Result<()> {
    check_regular(&rustix::fs::fstat(fd).os(|| format!("stat '{}'", show(path)))?, path)
}

fn check_regular(stat: &Stat, path: &Path) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::invalid(format!("'{}' is a folder", show(path)))),
        _ => Err(Error::invalid(format!("'{}' is not a regular file", show(path)))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with links of all kinds to `outside`, which lies beside it.
    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("etc")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        fs::write(inside.join("etc/passwd"), "root:x:0:0").unwrap();
        symlink(dir.path().join("outside/secret"), inside.join("absolute")).unwrap();
        symlink("../../../../outside/secret", inside.join("etc/relative")).unwrap();
        symlink("/etc", inside.join("etc-link")).unwrap();
        symlink("/missing/deep", inside.join("dangling")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        rustix::fs::mkfifoat(CWD, inside.join("etc/fifo"), Mode::from_raw_mode(0o600)).unwrap();
        let root = Root::open(inside).unwrap();
        (dir, root)
    }

    #[test]
    fn reads_stay_inside_and_never_wait() {
        let (_dir, root) = root();
        for path in ["/etc/passwd", "etc/passwd", "/etc-link/passwd", "../../etc/passwd", "etc-link/../etc/passwd"] {
            assert_eq!(root.read(path, 100).unwrap(), b"root:x:0:0", "{path}");
        }
        for (path, kind) in [
            ("/absolute", "not_found"),
            ("/etc/relative", "not_found"),
            ("/etc/fifo", "invalid_argument"),
            ("/etc", "invalid_argument"),
            ("/loop", "os"),
            ("/nothing", "not_found"),
        ] {
            assert_eq!(root.read(path, 100).unwrap_err().kind().name(), kind, "{path}");
        }
        assert_eq!(root.read("/etc/passwd", 9).unwrap_err().message(), "'/etc/passwd' is longer than 9 bytes");
        assert!(root.stat("/absolute").unwrap().is_none());
        assert!(root.lstat("/absolute").unwrap().is_some());
        assert_eq!(root.list("/etc-link").unwrap(), ["fifo", "passwd", "relative"]);
    }

    #[test]
    fn writes_stay_inside() {
        let (dir, root) = root();
        root.mkdir_all("/dangling/a/b", 0o750).unwrap();
        assert!(dir.path().join("root/missing/deep/a/b").is_dir());
        root.mkdir_all("/../../x", 0o755).unwrap();
        assert!(dir.path().join("root/x").is_dir());
        assert_eq!(root.mkdir_all("/etc/passwd/x", 0o755).unwrap_err().message(), "'/etc/passwd' is not a folder");
        assert_eq!(root.create_file("/absolute", 0o644).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(root.create_file("/etc/fifo", 0o644).unwrap_err().kind(), Kind::InvalidArgument);
        assert_eq!(root.create_file("/", 0o644).unwrap_err().kind(), Kind::InvalidArgument);
        root.mkdir_all("/outside", 0o755).unwrap();
        root.create_file("/etc/relative", 0o640).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(dir.path().join("root/outside/secret")).unwrap(), b"new");
        assert_eq!(fs::read(dir.path().join("outside/secret")).unwrap(), b"secret");
    }
}
