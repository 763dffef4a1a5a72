//! State folders that cannot be used, or only read, or lack what they once had.

use std::fs;

use crate::disk::Disk;
use crate::root::{Root, names};
use crate::sample::build;

fn refused(root: &Root, code: &str, message: &str) {
    let ended = root.run(code);
    let first = ended.err.lines().next().unwrap_or_default();
    assert_eq!((ended.status, first), (1, format!("error: {message}").as_str()), "{}", ended.err);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root(dir.path().join("state"));
    root.ok("image.list()");
    fs::write(root.0.join("format"), "3\n").unwrap();
    let before = root.content();
    refused(&root, "image.list()", &format!("state folder {} has format 3, this moonshell reads 2", root.0.display()));
    fs::write(root.0.join("format"), "two\n").unwrap();
    refused(&root, "image.list()", &format!("{}/format is not a number", root.0.display()));
    assert!(root.content().keys().eq(before.keys()));
}

#[test]
fn a_file_is_no_state_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root(dir.path().join("state"));
    fs::write(&root.0, "").unwrap();
    refused(&root, "image.list()", &format!("read {}/format: not a directory", root.0.display()));
}

#[test]
fn a_read_only_store_can_be_read_and_says_so_when_written_to() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    disk.remount("ro");
    refused(&root, "image.list()", &format!("create {}/blobs/sha256: read-only file system", root.0.display()));
    disk.remount("rw");
    root.ok(&build().code);
    // As a killed process leaves it.
    fs::create_dir_all(root.0.join("tmp/0000/fs")).unwrap();
    disk.remount("ro");
    assert_eq!(root.ok("print(image.get('built:1').digest); print(#image.list())"), format!("{}1\n", build().out));
    let cannot = |folder: &str| format!("open {}/{folder}", root.0.display());
    let ended = root.run("container.run('built:1', 'true')");
    assert_eq!(ended.status, 1);
    assert!(ended.err.starts_with(&format!("error: {}", cannot("locks/"))), "{}", ended.err);
    assert!(ended.err.lines().next().unwrap().ends_with(": read-only file system"), "{}", ended.err);
    disk.remount("rw");
    build().repeat(&root, &[]);
}

/// The layers of an image that was built here are links to those of its steps.
#[test]
fn layers_that_are_gone_are_unpacked_again() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    root.ok(&build().code);
    let steps = names(&root.0.join("layers")).into_iter().filter(|id| id.starts_with("step-"));
    steps.for_each(|id| fs::remove_dir_all(root.0.join("layers").join(id)).unwrap());
    assert_eq!(root.ok(&build().look), build().seen);
    build().repeat(&root, &[]);
}
