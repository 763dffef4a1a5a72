//! Copying a folder into a fresh tmpfs (`tmpcopyup`), by descriptors.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, chownat, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, fstat, futimens, mkdirat, mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::super::super::error::{OsContext, Result};

/// Copies what is in `from` into `to`, owners, modes, times and attributes included.
fn copy_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let what = || "copy a folder into a tmpfs";
    for entry in Dir::read_from(from).os(what)? {
        let entry = entry.os(what)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name).os(|| format!("copy '{}' into a tmpfs", name.to_string_lossy()))?;
            let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).os(what)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = openat(from, name, flags, Mode::empty()).os(what)?;
                let into = openat(to, name, flags, Mode::empty()).os(what)?;
                copy_folder(below.as_fd(), into.as_fd())?;
                dress(&below, &into, &stat).os(what)?;
            }
        }
    }
    Ok(())
}

/// Fills a new tmpfs with the folder it is about to cover, and gives it the looks of that.
///
/// # Errors
/// `os`: ENOSPC when it does not fit.
pub fn copy_up(from: &OwnedFd, tmpfs: &OwnedFd) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A new mount's own descriptor is good for paths only.
    let to = openat(tmpfs, ".", flags, Mode::empty()).os(|| "open a new tmpfs")?;
    copy_folder(from.as_fd(), to.as_fd())?;
    fstat(from).and_then(|stat| dress(from, &to, &stat)).os(|| "copy a folder into a tmpfs")
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return mkdirat(to, name, Mode::RWXU),
        FileType::RegularFile => {
            let reading = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let source = openat(from, name, reading, Mode::empty())?;
            let writing = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let copy = openat(to, name, writing, Mode::RWXU)?;
            let (mut source, mut copy) = (File::from(source), File::from(copy));
            std::io::copy(&mut source, &mut copy)
                .map_err(|e| e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
            return dress(&source.into(), &copy.into(), &stat);
        }
        FileType::Symlink => symlinkat(readlinkat(from, name, Vec::new())?, to, name)?,
        kind => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    let owner = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
    utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

/// Owner first: changing it clears set-user-id bits and capabilities.
fn dress(from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> rustix::io::Result<()> {
    let owner = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    fchown(to, Some(owner.0), Some(owner.1))?;
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = vec![0; 64 << 10];
        let size = fgetxattr(from, name, &mut value[..])?;
        match fsetxattr(to, name, &value[..size], rustix::fs::XattrFlags::empty()) {
            // A kind of attribute that tmpfs does not keep.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e),
        }
    }
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    futimens(to, &times(stat))
}
