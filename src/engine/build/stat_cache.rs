//! What is known of files' content by how they look: a file that looks as it did when it was read is not read again.
//!
//! ```text
//! ROOT/cache/stat/NAME   magic, then per file, sorted: device, inode, size, mtime, ctime, digest; then the digest
//!                        of all before it
//! ```
//!
//! Nobody can set a file's ctime, so a change shows, unless it came so soon after the reading that the clock of the
//! file system had not moved on. As git does with its index, a file that was younger than that when it was read is
//! not remembered. A cache that cannot be read is empty: it is expendable, and not synced for the same reason.

use std::cmp::Ordering;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

use super::super::digest::Digest;
use super::super::store::Store;

const MAGIC: &[u8; 16] = b"moonshell stat 1";
const LOOKS: usize = 48;
const RECORD: usize = LOOKS + 32;
/// Some file systems have times of two seconds.
const COARSEST: Duration = Duration::from_secs(2);
/// Records of files that were not met are kept up to this many, and twice as many as were met.
const MOST_UNMET: usize = 10_000;
/// Files in the folder; the oldest go first.
const MOST_CACHES: usize = 256;

/// How a file looks without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looked {
    pub dev: u64,
    pub ino: u64,
    /// Kind and permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    pub size: u64,
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
}

impl From<&Stat> for Looked {
    fn from(stat: &Stat) -> Looked {
        Looked {
            dev: stat.st_dev as _,
            ino: stat.st_ino as _,
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as _, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as _, stat.st_ctime_nsec as u32),
        }
    }
}

impl From<&fs::Metadata> for Looked {
    fn from(meta: &fs::Metadata) -> Looked {
        Looked {
            dev: meta.dev(),
            ino: meta.ino(),
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec() as u32),
            ctime: (meta.ctime(), meta.ctime_nsec() as u32),
        }
    }
}

impl Looked {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// A change after `now` cannot be missed: the clock has moved on since the last one.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanos) = self.mtime.max(self.ctime);
        let Ok(seconds) = u64::try_from(seconds) else { return false };
        now.checked_sub(COARSEST).is_some_and(|limit| UNIX_EPOCH + Duration::new(seconds, nanos) < limit)
    }

    /// Big-endian, so that bytes sort as numbers do.
    fn bytes(&self) -> [u8; LOOKS] {
        let mut bytes = [0; LOOKS];
        let numbers = [self.dev, self.ino, self.size, self.mtime.0 as u64, self.ctime.0 as u64];
        for (at, number) in numbers.iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&number.to_be_bytes());
        }
        bytes[40..44].copy_from_slice(&self.mtime.1.to_be_bytes());
        bytes[44..48].copy_from_slice(&self.ctime.1.to_be_bytes());
        bytes
    }
}

/// The digests of one folder's files.
#[derive(Debug)]
pub(super) struct StatCache {
    path: PathBuf,
    // The records as they are in the file.
    records: Vec<u8>,
    // Which of them were asked for.
    met: Vec<bool>,
    fresh: Vec<[u8; RECORD]>,
}

impl StatCache {
    /// Reads the cache of this name.
    pub fn open(store: &Store, name: &str) -> StatCache {
        let path = store.join("cache/stat").join(Digest::of(name).hex());
        let mut records = fs::read(&path).unwrap_or_default();
        let whole = records.len() >= MAGIC.len() + 32 && records.starts_with(MAGIC) && {
            let (body, digest) = records.split_at(records.len() - 32);
            Digest::of(body).bytes() == digest && (body.len() - MAGIC.len()).is_multiple_of(RECORD)
        };
        if whole {
            records.truncate(records.len() - 32);
            records.drain(..MAGIC.len());
        } else {
            records.clear();
        }
        let met = vec![false; records.len() / RECORD];
        StatCache { path, records, met, fresh: Vec::new() }
    }

    /// The digest of a file that looks so, if it is known.
    pub fn get(&mut self, looked: &Looked) -> Option<Digest> {
        let wanted = looked.bytes();
        let (mut low, mut high) = (0, self.met.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let record = &self.records[middle * RECORD..(middle + 1) * RECORD];
            match record[..LOOKS].cmp(&wanted) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    self.met[middle] = true;
                    return record[LOOKS..].try_into().ok().map(Digest::from_bytes);
                }
            }
        }
        None
    }

    /// Remembers a file that was read from `started` on, unless it was too young then.
    pub fn add(&mut self, looked: &Looked, digest: &Digest, started: SystemTime) {
        if looked.is_settled(started) {
            let mut record = [0; RECORD];
            record[..LOOKS].copy_from_slice(&looked.bytes());
            record[LOOKS..].copy_from_slice(digest.bytes());
            self.fresh.push(record);
        }
    }

    /// Writes what is new. Failures do not matter: then the files are read again.
    pub fn save(&mut self, store: &Store) {
        if self.fresh.is_empty() {
            return;
        }
        let met = self.met.iter().filter(|met| **met).count() + self.fresh.len();
        let all = self.met.len() <= met * 2 + MOST_UNMET;
        let old = self.records.chunks_exact(RECORD).zip(&self.met).filter(|(_, met)| all || **met);
        let mut list: Vec<&[u8]> = old.map(|(record, _)| record).chain(self.fresh.iter().map(|r| &r[..])).collect();
        list.sort_unstable();
        list.dedup_by(|a, b| a[..LOOKS] == b[..LOOKS]);
        let records = list.concat();
        if write(store, &self.path, &records).is_ok() {
            (self.met, self.records) = (vec![true; records.len() / RECORD], records);
            self.fresh.clear();
        }
    }
}

fn write(store: &Store, path: &Path, records: &[u8]) -> std::io::Result<()> {
    let folder = store.join("cache/stat");
    fs::create_dir_all(&folder)?;
    let mut file = store.temporary_file().map_err(super::super::error::to_io)?;
    let content = [MAGIC, records].concat();
    file.write_all(&content)?;
    file.write_all(Digest::of(&content).bytes())?;
    file.persist(path)?;
    prune(&folder)
}

fn prune(folder: &Path) -> std::io::Result<()> {
    let list = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    if list.len() <= MOST_CACHES {
        return Ok(());
    }
    let mut list: Vec<_> =
        list.iter().filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    list.sort();
    for (_, path) in &list[..list.len().saturating_sub(MOST_CACHES)] {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(ino: u64) -> Looked {
        Looked { dev: 1, ino, mode: 0o100644, owner: (0, 0), size: 5, mtime: (100, 1), ctime: (100, 2) }
    }

    #[test]
    fn what_was_read_is_known_until_it_looks_different() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut cache = StatCache::open(&store, "a");
        for ino in (0..100).rev() {
            cache.add(&looked(ino), &Digest::of(ino.to_string()), SystemTime::now());
        }
        cache.save(&store);
        let mut again = StatCache::open(&store, "a");
        for ino in 0..100 {
            assert_eq!(again.get(&looked(ino)), Some(Digest::of(ino.to_string())));
        }
        for other in [
            Looked { size: 6, ..looked(1) },
            Looked { mtime: (100, 2), ..looked(1) },
            Looked { ctime: (101, 2), ..looked(1) },
            Looked { dev: 2, ..looked(1) },
            looked(100),
        ] {
            assert_eq!(again.get(&other), None);
        }
        assert_eq!(StatCache::open(&store, "b").get(&looked(1)), None);
    }

    #[test]
    fn files_that_were_young_when_read_are_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut cache = StatCache::open(&store, "a");
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        cache.add(&looked(1), &Digest::of("x"), at(101));
        cache.add(&looked(2), &Digest::of("x"), at(50));
        cache.add(&looked(3), &Digest::of("x"), at(103));
        cache.save(&store);
        let mut again = StatCache::open(&store, "a");
        assert_eq!([1, 2, 3].map(|ino| again.get(&looked(ino)).is_some()), [false, false, true]);
    }

    #[test]
    fn a_damaged_cache_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut cache = StatCache::open(&store, "a");
        cache.add(&looked(1), &Digest::of("x"), SystemTime::now());
        cache.save(&store);
        let good = fs::read(&cache.path).unwrap();
        let mut flipped = good.clone();
        flipped[70] ^= 1;
        for bad in [&good[..good.len() - 1], &good[..20], &flipped, b"", b"moonshell stat 1"] {
            fs::write(&cache.path, bad).unwrap();
            assert_eq!(StatCache::open(&store, "a").get(&looked(1)), None);
        }
    }
}
