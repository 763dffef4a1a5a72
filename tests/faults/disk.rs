//! File systems of the tests' own: ext4 in a file, and memory.

use std::path::{Path, PathBuf};

use crate::root::Root;
use crate::support::run;

/// A mounted file system; unmounted when dropped.
pub struct Disk {
    dir: tempfile::TempDir,
    /// Whether somebody who still uses it when it is dropped is a fault.
    strict: bool,
}

impl Disk {
    /// Memory, with `mount -o` options such as `size=4m`.
    pub fn memory(options: &str) -> Disk {
        let disk = Disk { dir: tempfile::tempdir().unwrap(), strict: true };
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", text(&disk.path())]);
        disk
    }

    /// Memory for the files that other file systems are in. Mount namespaces that other tests make meanwhile have
    /// copies of those mounts for a while, and with them the files.
    pub fn for_images(options: &str) -> Disk {
        let mut disk = Disk::memory(options);
        disk.strict = false;
        disk
    }

    /// What an image file holds. Nothing is written to it unless somebody asks for it or memory runs short.
    pub fn file(image: &Path) -> Disk {
        let disk = Disk { dir: tempfile::tempdir().unwrap(), strict: true };
        // A commit of the journal by the clock would write what nobody has asked to be written.
        run("mount", &["-t", "ext4", "-o", "loop,commit=300", text(image), text(&disk.path())]);
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    /// A state folder on it.
    pub fn root(&self) -> Root {
        Root(self.dir.path().join("state"))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.dir.path()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }

    /// Makes it read-only or writable, or (memory) another size.
    pub fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), text(&self.path())]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // `mount -o loop` has the loop device detached with the last use.
        let unmount = |how: &[&str]| {
            let ended = std::process::Command::new("umount").args(how).arg(self.dir.path()).status();
            ended.is_ok_and(|status| status.success())
        };
        // Whoever still uses it after a failed test is about to be killed.
        let unmounted = if self.strict && !std::thread::panicking() { unmount(&[]) } else { unmount(&["-l"]) };
        assert!(unmounted || std::thread::panicking(), "cannot unmount {}", self.dir.path().display());
    }
}

/// An empty ext4 file system in a sparse file, made with `mkfs.ext4` and these arguments.
pub fn format(image: &Path, size: &str, arguments: &[&str]) {
    run("truncate", &["-s", size, text(image)]);
    run("mkfs.ext4", &[&["-q", "-F", "-m", "0"], arguments, &[text(image)]].concat());
}

/// Copies a file with its holes, into a new one: what was there may be in use for a moment yet.
pub fn copy(from: &Path, to: &Path) {
    run("cp", &["--sparse=always", "--remove-destination", text(from), text(to)]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
