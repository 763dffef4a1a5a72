//! Full disks: of bytes and of inodes, at any point of a pull, of a build step and of a commit.

use crate::disk::{Disk, format};
use crate::root::Root;
use crate::sample::{Job, build, mounted_steps, pull, steps};

const POINTS: u64 = 10;

/// Runs a script that cannot end well for want of space: it says so, and the store is as it was.
fn fails(root: &Root, code: &str) {
    let before = root.content();
    let ended = root.run(code);
    assert_eq!(ended.status, 1, "{} {}", ended.out, ended.err);
    assert!(ended.err.to_lowercase().contains("no space left on device"), "{}", ended.err);
    let after = root.content();
    let changed = after.iter().find(|(path, what)| before.get(*path) != Some(what));
    assert_eq!(changed, None, "something new is in the store");
    assert_eq!(after.len(), before.len(), "something is gone from the store");
    root.ok("image.list()");
    root.check_swept(&[]);
    root.check_whole();
}

/// Prepares a root, then takes so much space away that `job` fails, at points between the first and the last byte.
fn at_any_size(prepare: &str, job: &Job) {
    let disk = Disk::memory("size=64m");
    disk.root().ok(prepare);
    let before = disk.used();
    disk.root().ok(&job.code);
    let need = disk.used() - before;
    drop(disk);
    for point in 0..POINTS {
        let disk = Disk::memory("size=64m");
        let root = disk.root();
        root.ok(prepare);
        let size = disk.used() + need * (2 * point + 1) / (2 * POINTS);
        println!("{} of {need} bytes", size - disk.used());
        disk.remount(&format!("size={size}"));
        fails(&root, &job.code);
        disk.remount("size=64m");
        job.repeat(&root, &[]);
    }
}

#[test]
fn a_pull_onto_a_full_disk() {
    at_any_size("image.list()", pull());
}

#[test]
fn a_commit_onto_a_full_disk() {
    at_any_size(&steps(), build());
}

#[test]
fn a_step_onto_a_full_disk() {
    // What the step itself runs into is in its output.
    let step = format!(
        "{} local ok, e = pcall(s.run, s, 'cat /data /data /data > /more')
        if not ok then io.stderr:write(e.stderr or '') error(e) end",
        steps()
    );
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    root.ok(&steps());
    for free in [0, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 64 << 10, 1 << 20, 3 << 20, 6 << 20] {
        println!("{free} bytes free");
        disk.remount(&format!("size={}", disk.used() + free));
        fails(&root, &step);
    }
    disk.remount("size=64m");
    root.ok(&step);
    build().repeat(&root, &[]);
}

#[test]
fn a_step_with_mounts_onto_a_full_disk() {
    // What the step itself runs into is in its output, and what it had written is gone with its state.
    let step = format!(
        "local ok, e = pcall(function() {} end) if not ok then io.stderr:write(e.stderr or '') error(e) end",
        mounted_steps(false)
    );
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    root.ok(&format!("{} build.scratch():write('/d/file', 'other')", steps()));
    for free in [0, 4 << 10, 16 << 10, 32 << 10, 1 << 20, 3 << 20] {
        println!("{free} bytes free");
        disk.remount(&format!("size={}", disk.used() + free));
        fails(&root, &step);
    }
    disk.remount("size=64m");
    root.ok(&step);
    build().repeat(&root, &[]);
}

#[test]
fn a_disk_without_inodes() {
    let files = Disk::memory("size=200m");
    let image = files.path().join("disk");
    // The first eleven are the file system's own; the store's folders take some twenty, the image's files hundred.
    for count in [48, 64, 80, 96] {
        println!("{count} inodes");
        format(&image, "64M", &["-N", &count.to_string()]);
        let disk = Disk::file(&image);
        let root = disk.root();
        root.ok("image.list()");
        fails(&root, &pull().code);
        drop(disk);
        std::fs::remove_file(&image).unwrap();
    }
}
