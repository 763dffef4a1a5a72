//! Reading the files of a copy: their digests for the key, and their content for the layer.
//!
//! A file's digest is that of its content and, if it has some, of the attributes that belong to it. What is copied is
//! what was looked at, or the copy fails: a file that was old enough when it was read may not look different after the
//! copy; of any other the copy's digest is taken again.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use super::super::Engine;
use super::super::cancel::Cancel;
use super::super::container::files::copy_content;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, Kind, OsContext, Result};
use super::listing::processors;
use super::source::{Content, Item, Source};
use super::stat_cache::{Looked, StatCache};

/// Files that are worth a second thread.
const SHARE: usize = 32;
const THREADS: usize = 4;
pub(super) const BUFFER: usize = 128 << 10;
/// Longer ones the kernel copies, sharing blocks where it can.
const LONG: u64 = 64 << 10;

type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Fills in the digests of all files, from the cache where they are known.
///
/// # Errors
/// `integrity` for a file that changes while it is read; `interrupted`, `os`.
pub(super) fn read_all(engine: &Engine, sources: &mut [Source], mut cache: Option<&mut StatCache>) -> Result<()> {
    let mut unread = Vec::new();
    for (number, source) in sources.iter_mut().enumerate() {
        for (at, item) in source.items.iter_mut().enumerate() {
            if let Content::File(digest) = &mut item.content {
                *digest = cache.as_mut().and_then(|cache| cache.get(&item.looked));
                if digest.is_none() {
                    unread.push((number, at));
                }
            }
        }
    }
    for ((number, at), (digest, started)) in unread.iter().zip(read(sources, &unread, engine.cancel())?) {
        let item = &mut sources[*number].items[*at];
        if let Some(cache) = cache.as_mut() {
            cache.add(&item.looked, &digest, started);
        }
        item.content = Content::File(Some(digest));
    }
    if let Some(cache) = cache {
        cache.save(engine.store());
    }
    Ok(())
}

type Known = (Digest, SystemTime);

fn read(sources: &[Source], unread: &[(usize, usize)], cancel: &Cancel) -> Result<Vec<Known>> {
    let read = |part: &[(usize, usize)]| -> Result<Vec<Known>> {
        let mut buffer = vec![0; BUFFER];
        let one = |(number, at): &(usize, usize)| {
            cancel.check()?;
            digest(&sources[*number], &sources[*number].items[*at], &mut buffer, cancel)
        };
        part.iter().map(one).collect()
    };
    let threads = (unread.len() / SHARE).clamp(1, processors().min(THREADS));
    if threads == 1 {
        return read(unread);
    }
    std::thread::scope(|scope| {
        let part = unread.len().div_ceil(threads);
        let parts: Vec<_> = unread.chunks(part).map(|part| scope.spawn(move || read(part))).collect();
        let mut all = Vec::with_capacity(unread.len());
        for part in parts {
            all.extend(part.join().map_err(|_| Error::new(Kind::Internal, "a thread that reads files panicked"))??);
        }
        Ok(all)
    })
}

fn changed(source: &Source, item: &Item) -> Error {
    Error::integrity(format!("{} changed while it was being copied", source.label(item).display()))
        .with_hint("copy it when nothing writes to it")
}

/// Opens a file that still is what was looked at.
pub(super) fn open(source: &Source, item: &Item) -> Result<File> {
    let file = match source.open(item) {
        Err(e) if matches!(e.errno(), Some(libc::ELOOP | libc::ENXIO | libc::ENOTDIR)) => {
            return Err(changed(source, item));
        }
        Err(e) if e.kind() == Kind::NotFound => return Err(changed(source, item)),
        other => other?,
    };
    check(&file, source, item)?;
    Ok(file)
}

/// An open file still looks as it did. Those of layers never change, but get further names.
fn check(file: &File, source: &Source, item: &Item) -> Result<()> {
    let stat = rustix::fs::fstat(file).os(|| format!("stat {}", source.label(item).display()))?;
    let mut looked = Looked::from(&stat);
    if item.is_in_layer() {
        looked.ctime = item.looked.ctime;
    }
    if looked == item.looked { Ok(()) } else { Err(changed(source, item)) }
}

fn digest(source: &Source, item: &Item, buffer: &mut [u8], cancel: &Cancel) -> Result<Known> {
    let started = SystemTime::now();
    let mut file = open(source, item)?;
    let digest = digest_of(&mut file, buffer, cancel)
        .map_err(|e| e.context(format!("read {}", source.label(item).display())))?;
    check(&file, source, item)?;
    Ok((digest, started))
}

/// The digest of a file, as the cache of digests has it.
///
/// # Errors
/// `interrupted`, `os`.
pub(super) fn digest_of(file: &mut File, buffer: &mut [u8], cancel: &Cancel) -> Result<Digest> {
    let mut hash = Hashing::new(std::io::sink());
    pump(file, &mut hash, buffer, cancel)?;
    let (_, digest, _) = hash.finish();
    Ok(with_attributes(digest, &attributes(file).os(|| "read attributes")?))
}

fn pump(from: &mut impl Read, to: &mut impl std::io::Write, buffer: &mut [u8], cancel: &Cancel) -> Result<()> {
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).os(|| "write")?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e).os(|| "read"),
        }
        cancel.check()?;
    }
}

fn with_attributes(content: Digest, attributes: &Attributes) -> Digest {
    if attributes.is_empty() {
        return content;
    }
    let mut all = content.bytes().to_vec();
    for (name, value) in attributes {
        for part in [name, value] {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        }
    }
    Digest::of(all)
}

/// The extended attributes that belong to a file's content: file capabilities and the user's own.
fn attributes(file: &File) -> rustix::io::Result<Attributes> {
    let mut names = [0u8; 1024];
    let names = match rustix::fs::flistxattr(file, &mut names) {
        Ok(count) => names[..count].to_vec(),
        Err(rustix::io::Errno::RANGE) => {
            let mut names = vec![0u8; 64 << 10];
            let count = rustix::fs::flistxattr(file, &mut names)?;
            names[..count].to_vec()
        }
        // A file system without attributes has none.
        Err(_) => return Ok(Vec::new()),
    };
    let mut list = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        let kept =
            name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
        if kept {
            let mut value = vec![0u8; 64 << 10];
            let size = rustix::fs::fgetxattr(file, name, &mut value)?;
            value.truncate(size);
            list.push((name.to_vec(), value));
        }
    }
    list.sort();
    Ok(list)
}

/// Makes sure that what was read of a file since it was looked at is what was looked at.
///
/// # Errors
/// `integrity` when it is not; `interrupted`, `os`.
pub(super) fn verify(source: &Source, item: &Item, started: SystemTime, cancel: &Cancel) -> Result<()> {
    let same = match &item.content {
        _ if item.looked.is_settled(started) => return open(source, item).map(drop),
        Content::File(Some(expected)) => digest(source, item, &mut vec![0; BUFFER], cancel)?.0 == *expected,
        _ => false,
    };
    if same { Ok(()) } else { Err(changed(source, item)) }
}

/// Copies a file into one that was just made; returns its attributes.
///
/// # Errors
/// `integrity` when it is not what was looked at; `interrupted`, `os`.
pub(super) fn copy_into(source: &Source, item: &Item, to: &OwnedFd, cancel: &Cancel) -> Result<Attributes> {
    let Content::File(Some(expected)) = &item.content else { return Err(changed(source, item)) };
    let started = SystemTime::now();
    let mut file = open(source, item)?;
    let attributes = attributes(&file).os(|| format!("read attributes of {}", source.label(item).display()))?;
    let what = || format!("copy {}", source.label(item).display());
    if item.looked.size >= LONG && item.looked.is_settled(started) {
        copy_content(&file, to, item.looked.size, cancel).map_err(|e| e.context(what()))?;
        check(&file, source, item)?;
        return Ok(attributes);
    }
    let mut hash = Hashing::new(File::from(to.try_clone().os(what)?));
    let mut buffer = vec![0; BUFFER.min(item.looked.size as usize + 1)];
    pump(&mut file, &mut hash, &mut buffer, cancel).map_err(|e| e.context(what()))?;
    let (_, digest, _) = hash.finish();
    if with_attributes(digest, &attributes) == *expected { Ok(attributes) } else { Err(changed(source, item)) }
}
