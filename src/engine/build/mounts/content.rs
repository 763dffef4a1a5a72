//! The key of a folder or file that a step sees: what is in it, not when it was written or who owns it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::super::super::cancel::Cancel;
use super::super::super::digest::{Digest, Hashing};
use super::super::super::error::{Error, OsContext, Result};

/// What is known of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Of names, kinds, modes and contents.
    pub digest: Digest,
    /// Of what tells, without reading any file, that something was written.
    pub stamp: Digest,
}

/// Which names, relative to the tree, count as if they were not there.
pub type Ignore<'a> = dyn Fn(&Path, bool) -> bool + 'a;

/// The key of what is at `root`.
///
/// # Errors
/// `interrupted`, `os`.
pub fn content_key(root: &Path, ignore: Option<&Ignore<'_>>, cancel: &Cancel) -> Result<Content> {
    let mut walk = Walk { ignore, cancel, text: Some(Vec::new()), stamps: Vec::new() };
    walk.entry(root, Path::new(""))?;
    Ok(Content { digest: Digest::of(walk.text.unwrap_or_default()), stamp: Digest::of(walk.stamps) })
}

/// The stamp alone: no file is read.
///
/// # Errors
/// As [`content_key`].
pub fn stamp(root: &Path, ignore: Option<&Ignore<'_>>, cancel: &Cancel) -> Result<Digest> {
    let mut walk = Walk { ignore, cancel, text: None, stamps: Vec::new() };
    walk.entry(root, Path::new(""))?;
    Ok(Digest::of(walk.stamps))
}

struct Walk<'a> {
    ignore: Option<&'a Ignore<'a>>,
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
        if !is_root && self.ignore.is_some_and(|ignore| ignore(name, kind.is_dir())) {
            return Ok(());
        }
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        self.stamps.extend(format!("{} {} {times:?} ", meta.ino(), meta.size()).bytes());
        self.stamps.extend(name.as_os_str().as_bytes());
        self.stamps.push(0);
        if self.text.is_some() {
            let what_it_is = describe(path, &meta)?;
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

/// What counts of a thing besides its name, kind and mode.
fn describe(path: &Path, meta: &Metadata) -> Result<String> {
    let what = || format!("read {}", path.display());
    let kind = meta.file_type();
    if kind.is_symlink() {
        return Ok(Digest::of(fs::read_link(path).os(what)?.as_os_str().as_bytes()).to_string());
    }
    if !kind.is_file() {
        return Ok(meta.rdev().to_string());
    }
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).os(what)?;
    // Between the look and the opening something else may have come.
    if !file.metadata().os(what)?.is_file() {
        return Err(Error::integrity(format!("{} changed while it was read", path.display())));
    }
    digest(file).os(what)
}

fn digest(file: File) -> io::Result<String> {
    let mut reader = Hashing::new(file);
    io::copy(&mut reader, &mut io::sink())?;
    Ok(reader.finish().1.to_string())
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
        File::options()
            .write(true)
            .open(dir.path().join("sub/a"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let touched = key();
        assert!(touched.digest == first.digest && touched.stamp != first.stamp);
        assert_eq!(stamp(dir.path(), None, &cancel).unwrap(), touched.stamp);
        fs::write(dir.path().join("sub/a"), "b").unwrap();
        assert_ne!(key().digest, first.digest);
        fs::write(dir.path().join("sub/a"), "a").unwrap();
        assert_eq!(key().digest, first.digest);
        fs::rename(dir.path().join("sub/a"), dir.path().join("sub/b")).unwrap();
        assert_ne!(key().digest, first.digest);
        let ignore: &Ignore<'_> = &|name, _| name == Path::new("sub");
        let empty = content_key(dir.path(), Some(ignore), &cancel).unwrap();
        fs::remove_dir_all(dir.path().join("sub")).unwrap();
        assert_eq!(key().digest, empty.digest);
    }
}
