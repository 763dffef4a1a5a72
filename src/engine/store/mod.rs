//! The state folder: one tree, many processes, no daemon.
//!
//! ```text
//! ROOT/
//!   format              the number of this layout, checked before anything else
//!   lock                shared while content is being added or used, exclusive for a sweep of content
//!   blobs/sha256/HEX    content (OCI image layout)
//!   refs/REGISTRY/REPOSITORY/:TAG     one file a name -> descriptor of a manifest or index
//!   layers/ID/fs        an unpacked layer, ready as an overlay lower; layers/ID/layer.json describes it
//!   containers/ID/      one folder a container
//!   names/NAME          the id of the container that has the name
//!   run/ID              one file a container that is being started or runs, locked by whoever does
//!   volumes/NAME/       data folders of containers
//!   cache/steps/KEY     one file a cached build step; see `build` for what else is in cache/
//!   cache/mounts/HASH/  folders of cache mounts, each with its lock
//!   cache/stat/NAME     digests of files that build steps read, by how the files look
//!   cache/http/KEY      downloads of build steps
//!   locks/NAME          one file an object someone is making right now
//!   tmp/NAME/           work areas, each locked by its owner: everything is born here
//! ```
//!
//! Rules: content is written in a work area, made durable, and appears by one rename; only then is it named.
//! Nothing is ever changed in place. A work area whose lock is free belongs to a dead process and is swept.
//! Reading needs no lock and no write.

pub mod blobs;
pub mod gc;
mod holding;
pub mod pins;
pub mod refs;
mod removing;
pub mod running;
pub mod small;
mod spread;
pub mod temporary;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};

use super::cancel::Cancel;
use super::error::{Error, Kind, OsContext, Result};
pub use holding::Hold;
pub use removing::remove_tree;
use temporary::TemporaryFile;

const FORMAT: u32 = 2;
/// Whoever waits longer for a lock may want to know.
const LATE_SECONDS: i64 = 5;

/// The folders of this layout.
const FOLDERS: [&str; 11] = [
    "blobs/sha256",
    "refs",
    "layers",
    "containers",
    "names",
    "run",
    "volumes",
    "cache/steps",
    "cache/packed",
    "locks",
    "tmp",
];

/// An open state folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    // This process's own work area, for temporary files; made when first needed.
    scratch: Mutex<Option<Arc<Workspace>>>,
    pins: pins::Pins,
}

/// A held lock; released when dropped (or when the process dies).
#[derive(Debug)]
pub struct Lock {
    file: File,
    // A per-object lock's file, removed by the last holder.
    path: Option<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // While the lock is held the name can only be ours: whoever waits checks the inode afterwards.
            let _ = fs::remove_file(path);
        }
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// A folder below `tmp/` that belongs to this process; removed with all it holds when dropped.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    // The folder itself, flocked; a duplicate held by a monitor keeps the lock.
    lock: File,
}

impl Workspace {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Gives the folder its lasting place, whole; from then on it belongs to nobody.
    ///
    /// # Errors
    /// `os`; the folder is then removed.
    pub fn publish(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).os(|| format!("keep {}", target.display()))?;
        self.path = PathBuf::new();
        Ok(())
    }

    /// The descriptor that carries the lock, to be handed to a monitor.
    pub fn lock_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process: its lock is free then.
        if !self.path.as_os_str().is_empty() {
            let _ = remove_tree(&self.path);
        }
    }
}

impl Store {
    /// Opens the folder, creating it (mode 0700) on first use, and sweeps what dead processes left.
    ///
    /// # Errors
    /// `permission`/`os` when it cannot be made or written; `unsupported` for a newer layout.
    pub fn open(root: &Path) -> Result<Store> {
        Store::open_with(root, |_| Ok(()))
    }

    /// The same; `dead` is called with the name of each dead work area before that is removed, to remove what goes by
    /// the same name elsewhere.
    ///
    /// # Errors
    /// Also those of `dead`.
    pub fn open_with(root: &Path, dead: impl Fn(&str) -> Result<()>) -> Result<Store> {
        let root = std::path::absolute(root).os(|| format!("state folder {}", root.display()))?;
        let store = Store { root, scratch: Mutex::new(None), pins: pins::Pins::default() };
        match fs::read_to_string(store.root.join("format")) {
            Ok(text) => store.check_format(&text)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => store.create()?,
            Err(e) => return Err(e).os(|| format!("read {}", store.root.join("format").display())),
        }
        store.sweep(&dead)?;
        Ok(store)
    }

    /// The folder as it is, for a process that was given its place by one that has opened it: nothing is swept.
    pub fn attach(root: &Path) -> Store {
        Store { root: root.into(), scratch: Mutex::new(None), pins: pins::Pins::default() }
    }

    fn check_format(&self, text: &str) -> Result<()> {
        match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            // The first layout lacked the folders of lasting containers.
            Ok(1) => self.create(),
            Ok(newer) => Err(Error::new(
                Kind::Unsupported,
                format!("state folder {} has format {newer}, this moonshell reads {FORMAT}", self.root.display()),
            )
            .with_hint("use the moonshell that made it, or another folder with --root")),
            Err(_) => Err(Error::integrity(format!("{}/format is not a number", self.root.display()))),
        }
    }

    fn create(&self) -> Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for dir in FOLDERS {
            let path = self.root.join(dir);
            builder.create(&path).os(|| format!("create {}", path.display()))?;
        }
        spread::apart(&self.root.join("tmp"));
        // Never replaced: another process that is here for the first time, too, may hold it already.
        let lock = self.root.join("lock");
        let made = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        made.os(|| format!("create {}", lock.display()))?;
        // Last: a folder without `format` is one whose creation did not finish, and is created again.
        self.write_file(&self.root.join("format"), format!("{FORMAT}\n").as_bytes())
    }

    /// The state folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the state folder.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Writes a small file of a cache: after a power cut it may be damaged or gone.
    ///
    /// # Errors
    /// `os`; the old file, if any, is then untouched.
    pub fn write_expendable(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut file = self.temporary_file()?;
        let write = || -> io::Result<()> {
            io::Write::write_all(&mut file, content)?;
            if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
                fs::create_dir_all(dir)?;
            }
            file.persist(path)
        };
        write().os(|| format!("write {}", path.display()))
    }

    /// Writes a small file so that it is there whole or not at all, and durable on return.
    ///
    /// # Errors
    /// `os`; the old file, if any, is then untouched.
    pub fn write_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        let dir = path.parent().unwrap_or(&self.root);
        let mut file = self.temporary_file()?;
        let write = || -> io::Result<()> {
            io::Write::write_all(&mut file, content)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            sync_dir(dir)
        };
        write().os(|| format!("write {}", path.display()))
    }

    /// This process's own work area, made when first needed.
    fn scratch(&self) -> Result<Arc<Workspace>> {
        let mut slot = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*slot {
            Some(workspace) => workspace.clone(),
            None => slot.insert(Arc::new(self.workspace()?)).clone(),
        })
    }

    /// A temporary file on the store's file system, in this process's work area.
    ///
    /// # Errors
    /// `os`.
    pub fn temporary_file(&self) -> Result<TemporaryFile> {
        TemporaryFile::new_in(self.scratch()?.path())
    }

    /// Holds off sweeps of content while something is being added or used.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn shared(&self, cancel: &Cancel) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::open(&path).os(|| format!("open {}", path.display()))?;
        lock_file(&file, FlockOperation::LockShared, cancel, None)?;
        Ok(Lock { file, path: None })
    }

    /// The sweep's lock, if nobody adds or uses content now.
    ///
    /// # Errors
    /// `os`.
    pub fn try_exclusive(&self) -> Result<Option<Lock>> {
        let path = self.root.join("lock");
        let file = File::open(&path).os(|| format!("open {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { file, path: None })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e).os(|| "lock the store"),
        }
    }

    /// The lock of one object (`blob-HEX`, `layer-ID`, `step-KEY`): whoever holds it makes the object; others wait
    /// here and then find it made.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn lock_object(&self, name: &str, cancel: &Cancel) -> Result<Lock> {
        let path = self.root.join("locks").join(name);
        loop {
            let file = fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .os(|| format!("open {}", path.display()))?;
            lock_file(&file, FlockOperation::LockExclusive, cancel, None)?;
            // The last holder removed the name we opened: take the new one.
            if same_file(&file, &path)? {
                return Ok(Lock { file, path: Some(path) });
            }
        }
    }

    /// Makes a work area.
    ///
    /// # Errors
    /// `os`.
    pub fn workspace(&self) -> Result<Workspace> {
        self.workspace_in(&self.root.join("tmp"))
    }

    /// Makes a work area with this name, which nobody else uses: a container's, by its fresh id.
    ///
    /// # Errors
    /// `os`.
    pub fn workspace_for(&self, id: &str) -> Result<Workspace> {
        loop {
            if let Some(workspace) = self.workspace_at(self.root.join("tmp").join(id))? {
                return Ok(workspace);
            }
        }
    }

    fn workspace_in(&self, parent: &Path) -> Result<Workspace> {
        loop {
            if let Some(workspace) = self.workspace_at(parent.join(random_id()?))? {
                return Ok(workspace);
            }
        }
    }

    /// Makes and locks one; `None` when a sweeper took the folder between its creation and our lock.
    fn workspace_at(&self, path: PathBuf) -> Result<Option<Workspace>> {
        fs::DirBuilder::new().mode(0o700).create(&path).os(|| format!("create {}", path.display()))?;
        let lock = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.os(|| format!("open {}", path.display()))?,
        };
        flock(&lock, FlockOperation::LockExclusive).os(|| format!("lock {}", path.display()))?;
        Ok(same_file(&lock, &path)?.then_some(Workspace { path, lock }))
    }

    fn sweep(&self, dead: &dyn Fn(&str) -> Result<()>) -> Result<()> {
        for folder in ["tmp", "locks"] {
            let folder = self.root.join(folder);
            for entry in fs::read_dir(&folder).os(|| format!("list {}", folder.display()))? {
                let path = entry.os(|| format!("list {}", folder.display()))?.path();
                sweep_one(&path, dead)?;
            }
        }
        Ok(())
    }
}

/// Removes one left-over if its owner is dead; leaves it alone if not.
fn sweep_one(path: &Path, dead: &dyn Fn(&str) -> Result<()>) -> Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() || !same_file(&file, path)? {
        return Ok(());
    }
    if !file.metadata().is_ok_and(|meta| meta.is_dir()) {
        // The file of an object's lock. It may be somebody's the moment it is gone: nothing more is done with it.
        return gone(fs::remove_file(path), path);
    }
    if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
        dead(name)?;
    }
    gone(remove_tree(path), path)
}

/// What a removal in a sweep may end with.
fn gone(removed: io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // On a file system that cannot be written to now, there is still all to read.
        Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        // A container's processes die a moment after their monitor and may still write: the next sweep takes it.
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other.os(|| format!("sweep {}", path.display())),
    }
}

/// True while `path` still names the open `file`.
fn same_file(file: &File, path: &Path) -> Result<bool> {
    let open = file.metadata().os(|| format!("stat {}", path.display()))?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).os(|| format!("stat {}", path.display())),
    }
}

/// Waits for a lock without giving up the cancel token: where it is not free at once, a thread waits in `flock`
/// and this one in `poll`.
fn lock_file(file: &File, operation: FlockOperation, cancel: &Cancel, late: Option<&dyn Fn()>) -> Result<()> {
    let at_once = match operation {
        FlockOperation::LockShared => FlockOperation::NonBlockingLockShared,
        _ => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, at_once) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(e) => return Err(e).os(|| "lock"),
    }
    // The duplicate shares the open file description, so the lock it takes is ours; if we are cancelled first, the
    // thread's duplicate is the last one and gives the lock back the moment it gets it.
    let copy = file.try_clone().os(|| "duplicate a lock's descriptor")?;
    wait_in_thread(cancel, late, move || flock(&copy, operation).map_err(io::Error::from), "lock")
}

/// Waits for something that only blocks, in a thread, without giving up the cancel token. When it is cancelled the
/// thread is left to end by itself. `late` is called once when it takes long.
fn wait_in_thread(
    cancel: &Cancel,
    mut late: Option<&dyn Fn()>,
    wait: impl FnOnce() -> io::Result<()> + Send + 'static,
    what: &str,
) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let (done_read, done_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).os(|| "pipe")?;
    let waiter = std::thread::spawn(move || {
        let result = wait();
        drop(done_write);
        result
    });
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(done_read.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN),
        ];
        match poll(&mut fds, late.map(|_| Timespec { tv_sec: LATE_SECONDS, tv_nsec: 0 }).as_ref()) {
            Ok(0) => late.take().iter().for_each(|late| late()),
            Ok(_) if !fds[0].revents().is_empty() => break,
            Ok(_) => cancel.check()?,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).os(|| "poll"),
        }
    }
    match waiter.join() {
        Ok(result) => result.os(|| what),
        Err(_) => Err(Error::new(Kind::Internal, "the thread that waited for a lock panicked")),
    }
}

/// Sixty-four random hexadecimal digits, the form of container ids.
///
/// # Errors
/// `os` when the kernel gives no random bytes.
pub fn random_id() -> Result<String> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).os(|| "getrandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a folder's entries durable.
///
/// # Errors
/// The system's.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes everything written so far to the file system that holds `path` durable.
///
/// # Errors
/// `os`, also for write-back errors of earlier writes.
pub fn sync_filesystem(path: &Path) -> Result<()> {
    let dir = File::open(path).os(|| format!("open {}", path.display()))?;
    rustix::fs::syncfs(&dir).os(|| format!("syncfs {}", path.display()))
}
