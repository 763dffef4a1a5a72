//! `ROOT/run/ID`: locked by whoever starts a container, and then by its monitor for as long as that lives.
//!
//! The lock belongs to an open file description, so that it passes from the engine to the monitor with the descriptor,
//! ends with the last process that has it, and can be asked about without being taken (fcntl(2), F_OFD_GETLK).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};

use super::super::cancel::Cancel;
use super::super::error::{OsContext, Result};
use super::{Store, same_file};

/// The lock of one container, held by this process; given back, and its file removed, when dropped.
#[derive(Debug)]
pub struct RunLock {
    file: Option<File>,
    path: PathBuf,
}

impl RunLock {
    /// Takes over a lock that another process passed on with its descriptor.
    pub fn from_parts(file: File, path: PathBuf) -> RunLock {
        RunLock { file: Some(file), path }
    }

    /// The descriptor that carries the lock; none once it was handed over.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(|file| file.as_fd())
    }

    /// Leaves the lock to the process that was sent its descriptor.
    pub fn hand_over(mut self) {
        self.file = None;
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // While the lock is held the name can only be ours; whoever waits looks at the file again afterwards.
            let _ = fs::remove_file(&self.path);
            drop(file);
        }
    }
}

fn whole_file() -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 }
}

/// True while another open file description holds the lock.
fn is_held(file: &File) -> bool {
    let mut question = whole_file();
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut question)).is_ok() && i32::from(question.l_type) != libc::F_UNLCK
}

impl Store {
    fn run_path(&self, id: &str) -> PathBuf {
        self.root.join("run").join(id)
    }

    /// Takes the lock of a container that is to be started; `None` while somebody has it.
    ///
    /// # Errors
    /// `os`.
    pub fn try_run_lock(&self, id: &str) -> Result<Option<RunLock>> {
        let path = self.run_path(id);
        loop {
            let file = fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.os(|| format!("open {}", path.display()))?;
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
                Ok(_) => {}
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => return Ok(None),
                Err(e) => return Err(e).os(|| format!("lock {}", path.display())),
            }
            if same_file(&file, &path)? {
                return Ok(Some(RunLock { file: Some(file), path }));
            }
        }
    }

    /// The same, waiting until whoever has it has ended.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub fn run_lock(&self, id: &str, cancel: &Cancel) -> Result<RunLock> {
        loop {
            if let Some(lock) = self.try_run_lock(id)? {
                return Ok(lock);
            }
            let path = self.run_path(id);
            let file = match fs::OpenOptions::new().read(true).write(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.os(|| format!("open {}", path.display()))?,
            };
            let wait = move || fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file())).map(drop).map_err(io::Error::from);
            super::wait_in_thread(cancel, None, wait, "wait for a container's monitor")?;
        }
    }

    /// The containers that are being started or run, each with whether somebody does: if not, its monitor was killed.
    ///
    /// # Errors
    /// `os`.
    pub fn runs(&self) -> Result<Vec<(String, bool)>> {
        let folder = self.root.join("run");
        let mut list = Vec::new();
        for entry in fs::read_dir(&folder).os(|| format!("list {}", folder.display()))? {
            let entry = entry.os(|| format!("list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let held = self.is_running(&name);
            list.push((name, held));
        }
        Ok(list)
    }

    /// True while somebody starts or watches this container.
    pub fn is_running(&self, id: &str) -> bool {
        File::open(self.run_path(id)).is_ok_and(|file| is_held(&file))
    }
}

/// Where the lock file of a container is.
pub fn path(root: &Path, id: &str) -> PathBuf {
    root.join("run").join(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_and_asking_disturbs_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lock = store.try_run_lock("aa").unwrap().unwrap();
        assert!(store.is_running("aa") && !store.is_running("bb"));
        assert!(store.try_run_lock("aa").unwrap().is_none());
        assert_eq!(store.runs().unwrap(), [("aa".to_string(), true)]);
        drop(lock);
        assert!(store.runs().unwrap().is_empty());
    }

    #[test]
    fn a_lock_left_behind_is_seen_as_dead() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.try_run_lock("aa").unwrap().unwrap().hand_over();
        assert_eq!(store.runs().unwrap(), [("aa".to_string(), false)]);
        assert!(store.try_run_lock("aa").unwrap().is_some());
    }
}
