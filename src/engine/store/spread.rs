//! A hint to ext4 that the folders in a folder have nothing to do with each other: each gets, with its content, a part
//! of the disk of its own.
//!
//! Together they would slow each other down. ext4 gives the number of a deleted file to nobody for a while, and for each
//! file that is made in the same part of the disk it looks at all numbers that became free lately; a container makes,
//! and deletes, some twenty files. Other file systems know no such hint, and need none.
//!
//! Source: chattr(1), attribute `T`; fs/ext4/ialloc.c, `find_group_orlov` and `recently_deleted`.

use std::fs::File;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Gives the hint, where it is understood.
pub fn apart(folder: &Path) {
    if let Ok(folder) = File::open(folder)
        && let Ok(flags) = ioctl_getflags(&folder)
    {
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_never_an_error() {
        apart(Path::new("/none"));
        let dir = tempfile::tempdir().unwrap();
        apart(dir.path());
        let before = ioctl_getflags(File::open(dir.path()).unwrap());
        apart(dir.path());
        assert_eq!(ioctl_getflags(File::open(dir.path()).unwrap()), before);
    }
}
