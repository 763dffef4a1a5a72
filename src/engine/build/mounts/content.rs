//! The key of a folder or file that a step sees: what is in it, not when it was written or who owns it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::super::super::cancel::Cancel;
use super::super::super::digest::Digest;
use super::super::super::error::{Error, OsContext, Result};
use super::super::reading::{BUFFER, digest_of};
use super::super::stat_cache::{Looked, StatCache};

/// What is known of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Of names, kinds, modes, contents and the attributes that count as such.
    pub digest: Digest,
    /// Of what tells, without reading any file, that something was written.
    pub stamp: Digest,
}

/// The key of what is at `root`. Files that `known` knows are not read.
///
/// # Errors
/// `interrupted`, `os`.
pub(super) fn content_key(root: &Path, known: Option<&mut StatCache>, cancel: &Cancel) -> Result<Content> {
    let mut walk = Walk { known, cancel, text: Some(Vec::new()), stamps: Vec::new() };
    walk.entry(root, Path::new(""))?;
    Ok(Content { digest: Digest::of(walk.text.unwrap_or_default()), stamp: Digest::of(walk.stamps) })
}

/// The stamp alone: no file is read.
///
/// # Errors
/// As [`content_key`].
pub fn stamp(root: &Path, cancel: &Cancel) -> Result<Digest> {
    let mut walk = Walk { known: None, cancel, text: None, stamps: Vec::new() };
    walk.entry(root, Path::new(""))?;
    Ok(Digest::of(walk.stamps))
}

struct Walk<'a> {
    known: Option<&'a mut StatCache>,
    cancel: &'a Cancel,
    // What makes the digest; none when only stamps are wanted.
    text: Option<Vec<u8>>,
    stamps: Vec<u8>,
}

impl Walk<'_> {
    fn entry(&mut self, path: &Path, name: &Path) -> Result<()> {
        self.cancel.check()?;
        let what = || format!("look at {}", path.display());
        // The first one may be a path that stands for a descriptor.
        let is_root = name.as_os_str().is_empty();
        let meta = if is_root { fs::metadata(path) } else { fs::symlink_metadata(path) }.os(what)?;
        let kind = meta.file_type();
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        self.stamps.extend(format!("{} {} {times:?} ", meta.ino(), meta.size()).bytes());
        self.stamps.extend(name.as_os_str().as_bytes());
        self.stamps.push(0);
        if self.text.is_some() {
            let what_it_is = self.describe(path, &meta)?;
            let line =
                format!("{} {} {:o} {what_it_is} ", name.as_os_str().len(), kind_of(&meta), meta.mode() & 0o7777);
            if let Some(text) = &mut self.text {
                text.extend(line.bytes());
                text.extend(name.as_os_str().as_bytes());
            }
        }
        if !kind.is_dir() {
            return Ok(());
        }
        let entries = fs::read_dir(path).os(what)?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().os(what)?;
        names.sort();
        for below in names {
            self.entry(&path.join(&below), &name.join(&below))?;
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// What counts of a thing besides its name, kind and mode.
    fn describe(&mut self, path: &Path, meta: &Metadata) -> Result<String> {
        let what = || format!("read {}", path.display());
        let kind = meta.file_type();
        if kind.is_symlink() {
            return Ok(Digest::of(fs::read_link(path).os(what)?.as_os_str().as_bytes()).to_string());
        }
        if !kind.is_file() {
            return Ok(meta.rdev().to_string());
        }
        let looked = Looked::from(meta);
        if let Some(digest) = self.known.as_mut().and_then(|known| known.get(&looked)) {
            return Ok(digest.to_string());
        }
        let started = SystemTime::now();
        let mut file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).os(what)?;
        // Between the look and the opening something else may have come.
        if Looked::from(&file.metadata().os(what)?) != looked {
            return Err(Error::integrity(format!("{} changed while it was read", path.display())));
        }
        let mut buffer = vec![0; BUFFER.min(looked.size as usize + 1)];
        let digest = digest_of(&mut file, &mut buffer, self.cancel).map_err(|e| e.context(what()))?;
        if let Some(known) = &mut self.known {
            known.add(&looked, &digest, started);
        }
        Ok(digest.to_string())
    }
}

fn kind_of(meta: &Metadata) -> char {
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_file() => 'f',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () if kind.is_block_device() => 'b',
        () => 'c',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_and_time_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::new().unwrap();
        let key = || content_key(dir.path(), None, &cancel).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), "a").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("sub/link")).unwrap();
        let first = key();
        fs::File::options()
            .write(true)
            .open(dir.path().join("sub/a"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let touched = key();
        assert!(touched.digest == first.digest && touched.stamp != first.stamp);
        assert_eq!(stamp(dir.path(), &cancel).unwrap(), touched.stamp);
        fs::write(dir.path().join("sub/a"), "b").unwrap();
        assert_ne!(key().digest, first.digest);
        fs::write(dir.path().join("sub/a"), "a").unwrap();
        assert_eq!(key().digest, first.digest);
        fs::rename(dir.path().join("sub/a"), dir.path().join("sub/b")).unwrap();
        assert_ne!(key().digest, first.digest);
    }

    #[test]
    fn attributes_count_as_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "a").unwrap();
        let file = fs::File::open(&path).unwrap();
        let key = || content_key(dir.path(), None, &Cancel::new().unwrap()).unwrap().digest;
        let before = key();
        if rustix::fs::fsetxattr(&file, "user.a", b"1", rustix::fs::XattrFlags::empty()).is_err() {
            eprintln!("skipped: this file system has no attributes");
            return;
        }
        assert_ne!(key(), before);
        // The digest that a copy of the same file looks up.
        let cancel = Cancel::new().unwrap();
        let mut walk = Walk { known: None, cancel: &cancel, text: None, stamps: Vec::new() };
        let seen = walk.describe(&path, &fs::metadata(&path).unwrap()).unwrap();
        let copied = digest_of(&mut fs::File::open(&path).unwrap(), &mut [0; 64], &cancel).unwrap();
        assert_eq!(seen, copied.to_string());
    }
}
