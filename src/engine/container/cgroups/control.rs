//! Control files: reading and writing them, and what the kernel means when it refuses a value.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::procfs;

/// Reads a control file; `None` when there is none, because the kernel lacks it or the cgroup is gone.
///
/// # Errors
/// `os`.
pub(super) fn read(folder: &Path, file: &str) -> Result<Option<String>> {
    let path = folder.join(file);
    match procfs::read_whole(&path) {
        Ok(text) => Ok(Some(text)),
        // ENODEV: the cgroup was removed between opening and reading.
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(e) => Err(e).os(|| format!("read {}", path.display())),
    }
}

/// Reads a control file that holds one number; `None` when there is none, or when it says `max`.
///
/// # Errors
/// `os`.
pub(super) fn number(folder: &Path, file: &str) -> Result<Option<u64>> {
    Ok(read(folder, file)?.and_then(|text| text.trim().parse().ok()))
}

/// The number after a word in a file of lines `WORD NUMBER`.
pub(super) fn field(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Writes a control file in one piece, never making one.
pub(super) fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    // Not fs::write: a file that is missing would be created, which the kernel calls a lack of permission.
    OpenOptions::new().write(true).open(folder.join(file))?.write_all(value.as_bytes())
}

/// Writes values one after the other to a control file that takes one at a time. On failure, the refused one.
pub(super) fn write_each<'a>(folder: &Path, file: &str, values: &'a [String]) -> Result<(), (&'a str, io::Error)> {
    let Some(first) = values.first() else { return Ok(()) };
    let file = OpenOptions::new().write(true).open(folder.join(file)).map_err(|e| (first.as_str(), e))?;
    for value in values {
        file.write_all_at(value.as_bytes(), 0).map_err(|e| (value.as_str(), e))?;
    }
    Ok(())
}

/// What a refused limit means, in the words of the option that asked for it.
pub(super) fn refused(option: &str, shown: &str, error: &io::Error) -> Error {
    let (kind, reason) = match error.raw_os_error() {
        Some(libc::ENOENT) => (Kind::Unsupported, "this kernel does not have it"),
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => (Kind::Unsupported, "this kernel does not do it"),
        Some(libc::EINVAL | libc::ERANGE | libc::EOVERFLOW) => (Kind::InvalidArgument, "the kernel refuses this value"),
        Some(libc::EBUSY) => (Kind::InUse, "more than that is in use"),
        Some(libc::ENODEV | libc::ENXIO) => (Kind::InvalidArgument, "there is no such device"),
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => (Kind::Permission, "writing this limit is not permitted"),
        Some(errno) => return Error::os(errno, format!("{option} '{shown}'")),
        None => (Kind::Os(libc::EIO), "the control file cannot be written"),
    };
    Error::new(kind, format!("{option} '{shown}': {reason}"))
}

/// Parses a list of numbers and ranges such as `0-3,7`; `None` when it is none.
pub(super) fn list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // No machine has more; a mistyped range shall not fill memory.
        if first > last || last > 65_535 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(list("0-2,7\n"), Some(vec![0, 1, 2, 7]));
        assert_eq!(list(""), Some(vec![]));
        for wrong in ["a", "3-1", "0-99999999", "-", "1-"] {
            assert_eq!(list(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fields_are_whole_words() {
        let text = "oom 3\noom_kill 7\n";
        assert_eq!(field(text, "oom_kill"), Some(7));
        assert_eq!(field(text, "oom"), Some(3));
        assert_eq!(field(text, "kill"), None);
    }
}
