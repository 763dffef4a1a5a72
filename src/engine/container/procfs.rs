//! This process's own view of a procfs that is one.
//!
//! What is written below `/proc` decides about limits, labels and kernel settings. It is opened before a container's
//! own file systems are in sight, checked to be procfs itself, and paths in it go through no mount and no link but
//! `self` (CVE-2019-16884, CVE-2025-52881).
//!
//! Source: proc(5), openat2(2).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat, openat2};

use super::super::error::{Error, OsContext, Result};

const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_XDEV).union(ResolveFlags::NO_MAGICLINKS);

/// A checked `/proc`.
#[derive(Debug)]
pub struct Proc(OwnedFd);

impl Proc {
    /// Opens the `/proc` this process sees now.
    ///
    /// # Errors
    /// `integrity` when it is something else; `not_found`, `os`.
    pub fn open() -> Result<Proc> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, "/proc", flags, Mode::empty()).os(|| "open /proc")?;
        match fstatfs(&fd).os(|| "stat /proc")?.f_type {
            PROC_SUPER_MAGIC => Ok(Proc(fd)),
            _ => Err(Error::integrity("/proc is not a proc file system")),
        }
    }

    /// Opens a file for writing.
    ///
    /// # Errors
    /// `not_found`, `permission`, `os`.
    pub fn writer(&self, path: &str) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat2(&self.0, path, flags, Mode::empty(), BELOW).map(File::from).os(|| format!("open /proc/{path}"))
    }

    /// Writes a value in one call, as kernel files want it.
    ///
    /// # Errors
    /// As [`Proc::writer`]; what the kernel says to the value.
    pub fn write(&self, path: &str, value: &str) -> Result<()> {
        let text = || format!("write '{}' to /proc/{path}", value.trim_end());
        self.writer(path)?.write_all(value.as_bytes()).os(text)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// `not_found`, `permission`, `os`.
    pub fn read(&self, path: &str) -> Result<String> {
        let what = || format!("read /proc/{path}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mut file = File::from(openat2(&self.0, path, flags, Mode::empty(), BELOW).os(what)?);
        read_rest(&mut file).os(what)
    }

    /// The id of this process, as the processes of this procfs know it.
    ///
    /// # Errors
    /// `os`.
    pub fn own_pid(&self) -> Result<i32> {
        let link = rustix::fs::readlinkat(&self.0, "self", Vec::new()).os(|| "read /proc/self")?;
        let text = link.to_str().unwrap_or_default();
        text.parse().map_err(|_| Error::integrity(format!("/proc/self leads to '{text}'")))
    }
}

/// Reads a file of the kernel's, which says nothing of its size: a page at once is all of most of them.
///
/// # Errors
/// Those of open(2) and read(2); `InvalidData` for what is no UTF-8.
pub fn read_whole(path: &Path) -> io::Result<String> {
    read_rest(&mut File::open(path)?)
}

fn read_rest(file: &mut File) -> io::Result<String> {
    const PAGE: usize = 4096;
    let (mut bytes, mut done) = (vec![0; PAGE], 0);
    loop {
        if done == bytes.len() {
            bytes.resize(done + PAGE, 0);
        }
        match file.read(&mut bytes[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(done);
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
