//! Copying into and out of containers, with a plain folder as the container's root; what changed; commits.
//!
//! Needs root: owners, devices, overlay mounts.

mod attacks;
mod changes;
mod commit;
#[path = "../support/engine.rs"]
mod engine_support;
#[path = "../support/hostile.rs"]
mod hostile;
mod looks;
mod rules;
mod streams;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use moonshell::engine::cancel::Cancel;
use moonshell::engine::container::files::{CopyOptions, copy_in, copy_out, tar_in, tar_out};
use moonshell::engine::error::Result;
use rustix::fs::{CWD, Mode, OFlags};

/// A host's folder, a container's root, and something beside both that nobody may touch.
struct Scene {
    dir: tempfile::TempDir,
    root: OwnedFd,
    cancel: Cancel,
}

impl Scene {
    fn new() -> Scene {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["host/dir/sub", "host/full/dir", "root/etc", "root/data/y", "root/empty", "root/full/data"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        for (name, content) in [
            ("host/file", "host file"),
            ("host/other", "other"),
            ("host/dir/inner", "inner"),
            ("host/dir/sub/deep", "deep"),
            ("host/full/dir/old", "old"),
            ("root/file", "root file"),
            ("root/etc/passwd", "root:x:0:0"),
            ("root/data/x", "x"),
            ("root/data/y/z", "z"),
            ("root/full/data/old", "old"),
        ] {
            fs::write(path(name), content).unwrap();
        }
        for (target, name) in [
            ("file", "host/to-file"),
            ("dir", "host/to-dir"),
            ("nowhere", "host/dangling"),
            ("/etc/passwd", "root/to-file"),
            ("/data", "root/to-dir"),
            ("nowhere", "root/dangling"),
            ("../../../../../../data", "root/etc/up"),
            ("loop", "root/loop"),
        ] {
            symlink(target, path(name)).unwrap();
        }
        symlink(path("canary"), path("root/out")).unwrap();
        hostile::make_canary(&path("canary"));
        for fifo in ["host/fifo", "root/fifo"] {
            rustix::fs::mkfifoat(CWD, path(fifo), Mode::from_raw_mode(0o640)).unwrap();
        }
        let root = open(&path("root"));
        Scene { dir, root, cancel: Cancel::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn copy_in(&self, source: &str, target: &str, options: &CopyOptions) -> Result<()> {
        // Joining would take a dot or slash at the end away.
        let source = PathBuf::from(format!("{}/{source}", self.path("host").display()));
        copy_in(self.root.as_fd(), &source, target, options, &self.cancel)
    }

    fn copy_out(&self, source: &str, target: &str, options: &CopyOptions) -> Result<()> {
        let target = PathBuf::from(format!("{}/{target}", self.path("host").display()));
        copy_out(self.root.as_fd(), source, &target, options, &self.cancel)
    }

    fn tar_in(&self, tar: &[u8], target: &str, options: &CopyOptions) -> Result<()> {
        tar_in(self.root.as_fd(), &mut &tar[..], target, options, &self.cancel)
    }

    fn tar_out(&self, source: &str) -> Result<Vec<u8>> {
        let mut tar = Vec::new();
        tar_out(self.root.as_fd(), source, &mut tar, &CopyOptions::default(), &self.cancel).map(|()| tar)
    }
}

/// A folder's descriptor, as callers open a root.
fn open(path: &Path) -> OwnedFd {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Keeps owners and attributes.
fn archive() -> CopyOptions {
    CopyOptions { archive: true, ..CopyOptions::default() }
}
