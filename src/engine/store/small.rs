//! Many small files of one folder, read one after the other: each is found from the folder's descriptor, and read in
//! one piece. On a list of a thousand, opening is most of the work.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::super::error::{Error, Kind, OsContext, Result};

/// Room for what such a file usually holds.
const USUAL: usize = 16 * 1024;

/// So many make it worthwhile to start a second thread.
const MANY: usize = 64;

/// A folder and the buffer its files are read into.
pub struct SmallFiles {
    folder: OwnedFd,
    buffer: Vec<u8>,
}

impl SmallFiles {
    /// Opens the folder.
    ///
    /// # Errors
    /// `os`.
    pub fn open(folder: &Path) -> Result<SmallFiles> {
        let file = File::open(folder).os(|| format!("open {}", folder.display()))?;
        Ok(SmallFiles { folder: file.into(), buffer: Vec::with_capacity(USUAL) })
    }

    /// The bytes of a file below the folder, at most `limit` of them and one more; `None` when there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&mut self, name: &str, limit: u64) -> io::Result<Option<&[u8]>> {
        let file = match openat(&self.folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            other => other?,
        };
        self.buffer.clear();
        loop {
            match rustix::io::read(&file, spare_capacity(&mut self.buffer)) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            // A regular file gives less than asked for only at its end.
            if self.buffer.len() < self.buffer.capacity() || self.buffer.len() as u64 > limit {
                return Ok(Some(&self.buffer));
            }
            self.buffer.reserve(self.buffer.capacity());
        }
    }
}

/// Has `work` done on many items, by two threads where that is quicker; the results are in the order of the items.
///
/// # Errors
/// Those of `work`.
pub fn shared_out<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Result<Vec<R>> + Sync) -> Result<Vec<R>> {
    if items.len() < MANY {
        return work(items);
    }
    let (one, two) = items.split_at(items.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| work(two));
        let mut done = work(one)?;
        let gone = |_| Error::new(Kind::Internal, "a thread that read small files panicked");
        done.extend(other.join().map_err(gone)??);
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_of_every_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = SmallFiles::open(dir.path()).unwrap();
        assert_eq!(files.read("none", 1 << 20).unwrap(), None);
        std::fs::create_dir(dir.path().join("in")).unwrap();
        for size in [0, 1, USUAL - 1, USUAL, USUAL + 1, 5 * USUAL] {
            let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
            std::fs::write(dir.path().join("in/file"), &content).unwrap();
            assert_eq!(files.read("in/file", 1 << 20).unwrap(), Some(&content[..]), "{size}");
        }
        assert_eq!(files.read("in/file/below", 1 << 20).unwrap(), None);
        assert!(files.read("in/file", 100).unwrap().unwrap().len() > 100);
    }

    #[test]
    fn two_threads_keep_the_order() {
        for count in [0, 1, MANY - 1, MANY, 1001] {
            let items: Vec<usize> = (0..count).collect();
            let done = shared_out(&items, |items| Ok(items.iter().map(|item| item * 2).collect())).unwrap();
            assert_eq!(done, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        let failing = |items: &[usize]| match items.contains(&1000) {
            true => Err(Error::new(Kind::Internal, "the last")),
            false => Ok(items.to_vec()),
        };
        assert!(shared_out(&(0..1001).collect::<Vec<_>>(), failing).is_err());
    }
}
