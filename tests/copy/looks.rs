//! What copies keep: owners, modes, times, attributes, links, holes; and what a stopped one leaves.

use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use moonshell::engine::container::files::CopyOptions;
use moonshell::engine::error::Kind;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, makedev, mknodat};

use crate::{Scene, archive};

const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 100];
    let count = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(count);
    Some(value)
}

/// A tree with one of everything.
fn fill(tree: &Path) {
    fs::create_dir_all(tree.join("inner")).unwrap();
    fs::write(tree.join("program"), "program").unwrap();
    fs::write(tree.join("able"), "able").unwrap();
    fs::hard_link(tree.join("program"), tree.join("inner/again")).unwrap();
    std::os::unix::fs::symlink("/absolute", tree.join("link")).unwrap();
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.write_all_at(b"island", 40 << 20).unwrap();
    sparse.set_len(100 << 20).unwrap();
    for name in ["program", "able", "link", "inner", "sparse", ""] {
        lchown(tree.join(name), Some(1234), Some(99_999)).unwrap();
    }
    fs::set_permissions(tree.join("program"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::set_permissions(tree.join("inner"), fs::Permissions::from_mode(0o1750)).unwrap();
    let set = |name: &str, key: &str, value: &[u8]| {
        rustix::fs::lsetxattr(tree.join(name), key, value, XattrFlags::empty()).unwrap();
    };
    set("able", "security.capability", CAPABILITY);
    set("inner", "user.note", b"note");
    set("link", "trusted.note", b"link");
    for (at, name) in ["inner/again", "inner", "able", "sparse", "link", ""].iter().enumerate() {
        let time = Timespec { tv_sec: 1_000_000_000 + at as i64, tv_nsec: 123_456_789 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, tree.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn compare(before: &Path, after: &Path, owner: Option<(u32, u32)>) {
    for name in ["", "program", "able", "inner", "inner/again", "link", "sparse"] {
        let meta = |path: &Path| fs::symlink_metadata(path.join(name)).unwrap();
        let (old, new) = (meta(before), meta(after));
        assert_eq!((new.mode(), new.size()), (old.mode(), old.size()), "{name}");
        assert_eq!((new.mtime(), new.mtime_nsec()), (old.mtime(), old.mtime_nsec()), "time of {name}");
        assert_eq!((new.uid(), new.gid()), owner.unwrap_or((old.uid(), old.gid())), "owner of {name}");
    }
    let ino = |name: &str| fs::metadata(after.join(name)).unwrap().ino();
    assert_eq!(ino("program"), ino("inner/again"));
    assert_eq!(fs::read_link(after.join("link")).unwrap(), Path::new("/absolute"));
    let sparse = fs::metadata(after.join("sparse")).unwrap();
    assert!(sparse.blocks() < 2048, "{} blocks", sparse.blocks());
    let mut bytes = [0; 8];
    fs::File::open(after.join("sparse")).unwrap().read_exact_at(&mut bytes, (40 << 20) - 1).unwrap();
    assert_eq!(&bytes, b"\0island\0");
    let kept = owner.is_none();
    assert_eq!(attribute(&after.join("able"), "security.capability"), kept.then(|| CAPABILITY.to_vec()));
    assert_eq!(attribute(&after.join("inner"), "user.note"), kept.then(|| b"note".to_vec()));
    assert_eq!(attribute(&after.join("link"), "trusted.note"), kept.then(|| b"link".to_vec()));
}

#[test]
fn archives_keep_everything_and_copies_change_the_owner() {
    let scene = Scene::new();
    let (host, root) = (scene.path("host/tree"), scene.path("root/tree"));
    fill(&host);
    scene.copy_in("tree", "/kept", &archive()).unwrap();
    compare(&host, &scene.path("root/kept"), None);
    scene.copy_in("tree", "/plain", &CopyOptions::default()).unwrap();
    compare(&host, &scene.path("root/plain"), Some((0, 0)));
    let owner = CopyOptions { owner: Some((100_000, 100_001)), ..CopyOptions::default() };
    scene.copy_in("tree", "/mapped", &owner).unwrap();
    compare(&host, &scene.path("root/mapped"), Some((100_000, 100_001)));
    fill(&root);
    scene.copy_out("/tree", "kept", &archive()).unwrap();
    compare(&root, &scene.path("host/kept"), None);
    scene.copy_out("/tree", "plain", &CopyOptions::default()).unwrap();
    compare(&root, &scene.path("host/plain"), Some((0, 0)));
    // Again onto itself: folders merge, the rest is replaced.
    fs::create_dir(scene.path("host/again")).unwrap();
    for _ in 0..2 {
        scene.copy_out("/tree", "again", &archive()).unwrap();
        compare(&root, &scene.path("host/again/tree"), None);
    }
}

#[test]
fn a_folder_that_takes_things_in_keeps_its_looks_but_not_its_time() {
    let scene = Scene::new();
    let data = scene.path("root/data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o2711)).unwrap();
    let time = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, &data, &times, AtFlags::empty()).unwrap();
    scene.copy_in("dir/.", "/data", &archive()).unwrap();
    let meta = fs::metadata(&data).unwrap();
    assert!(meta.mode() & 0o7777 == 0o2711 && meta.mtime() > 1, "{meta:?}");
}

#[test]
fn devices_are_made_inside_only_and_never_opened() {
    let scene = Scene::new();
    let make = |path: &str| {
        let mode = Mode::from_raw_mode(0o604);
        mknodat(CWD, scene.path(path), FileType::CharacterDevice, mode, makedev(10, 250)).unwrap();
        fs::set_permissions(scene.path(path), fs::Permissions::from_mode(0o604)).unwrap();
    };
    make("host/device");
    make("root/device");
    scene.copy_in("device", "/new", &archive()).unwrap();
    let meta = fs::symlink_metadata(scene.path("root/new")).unwrap();
    assert!(meta.file_type().is_char_device() && meta.rdev() == makedev(10, 250) && meta.mode() & 0o7777 == 0o604);
    let error = scene.copy_in("device", "/plain", &CopyOptions::default()).unwrap_err();
    assert!(error.kind() == Kind::Unsupported && format!("{error:?}").ends_with("'plain': is a device"), "{error:?}");
    for options in [archive(), CopyOptions::default()] {
        let error = scene.copy_out("/device", "plain", &options).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.hint().is_some(), "{error:?}");
        assert!(fs::symlink_metadata(scene.path("host/plain")).is_err());
    }
}

#[test]
fn a_stopped_copy_leaves_no_part_of_a_file() {
    let scene = Scene::new();
    let big = fs::File::create(scene.path("host/dir/big")).unwrap();
    let block = vec![7u8; 1 << 20];
    for at in 0..256 {
        big.write_all_at(&block, at << 20).unwrap();
    }
    fs::write(scene.path("root/big"), "before").unwrap();
    let cancel = scene.cancel.clone();
    let root = scene.path("root");
    let stop = std::thread::spawn(move || {
        // The moment the temporary file is there.
        let found = |name: std::ffi::OsString| name.to_string_lossy().starts_with(".moonshell-");
        while !fs::read_dir(&root).unwrap().any(|entry| found(entry.unwrap().file_name())) {
            std::thread::yield_now();
        }
        cancel.cancel();
    });
    let error = scene.copy_in("dir/big", "/big", &CopyOptions::default()).unwrap_err();
    stop.join().unwrap();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(fs::read(scene.path("root/big")).unwrap(), b"before");
    let left = crate::rules::walk(&scene.path("root"));
    assert!(!left.iter().any(|path| path.contains(".moonshell-")), "{left:?}");
}

#[test]
fn the_kernels_mounts_are_no_part_of_a_root() {
    let scene = Scene::new();
    let mount = |args: &[&str], at: &str| {
        fs::create_dir_all(scene.path(at)).unwrap();
        let status = std::process::Command::new("mount").args(args).arg(scene.path(at)).status();
        assert!(status.unwrap().success());
    };
    mount(&["-t", "proc", "proc"], "root/proc");
    mount(&["-t", "tmpfs", "tmpfs"], "root/dev");
    mount(&["-t", "tmpfs", "tmpfs"], "root/volume");
    mknodat(CWD, scene.path("root/dev/null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))
        .unwrap();
    fs::write(scene.path("root/volume/kept"), "kept").unwrap();
    // Two names of one file, on two mounts when it goes back in.
    fs::create_dir_all(scene.path("host/pair/volume")).unwrap();
    fs::write(scene.path("host/pair/one"), "one").unwrap();
    fs::hard_link(scene.path("host/pair/one"), scene.path("host/pair/volume/two")).unwrap();
    let out = scene.copy_out("/", "all", &CopyOptions::default());
    let tar = scene.tar_out("/.");
    let paired = scene.copy_in("pair/.", "/", &CopyOptions::default());
    let two = fs::read_to_string(scene.path("root/volume/two"));
    for at in ["root/proc", "root/dev", "root/volume"] {
        assert!(std::process::Command::new("umount").arg(scene.path(at)).status().unwrap().success());
    }
    out.unwrap();
    tar.unwrap();
    paired.unwrap();
    assert_eq!(two.unwrap(), "one");
    assert_eq!(fs::read_to_string(scene.path("host/all/volume/kept")).unwrap(), "kept");
    for name in ["proc", "dev"] {
        assert_eq!(fs::read_dir(scene.path("host/all").join(name)).unwrap().count(), 0, "{name}");
    }
}
