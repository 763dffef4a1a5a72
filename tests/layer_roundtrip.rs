//! Trees through tar and back, against GNU tar in both directions, and the promise that equal trees give equal bytes.
//!
//! Needs root (owners, devices, `trusted.*` attributes), GNU tar, gzip and zstd.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use moonshell::engine::Limits;
use moonshell::engine::cancel::Cancel;
use moonshell::engine::digest::Digest;
use moonshell::engine::error::Result;
use moonshell::engine::layer::diff::{Compression, PackOptions, PackedLayer, pack, pack_to_blob};
use moonshell::engine::layer::unpack::{UnpackOptions, Unpacked, unpack};
use moonshell::engine::layer::{LayerMeta, decompress, overlay_xattr_prefix};
use moonshell::engine::store::Store;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, makedev, mknodat};

fn long(letter: &str, count: usize) -> String {
    let mut path = String::new();
    for _ in 0..count {
        path.push_str(&letter.repeat(60));
        path.push('/');
    }
    path
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A tree with one of everything that GNU tar knows too.
fn build(root: &Path) {
    assert!(rustix::process::geteuid().is_root(), "these tests need root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::create_dir_all(root.join(long("d", 4))).unwrap();
    fs::write(root.join("usr/bin/su"), "setuid").unwrap();
    lchown(root.join("usr/bin/su"), Some(0), Some(42)).unwrap();
    fs::set_permissions(root.join("usr/bin/su"), fs::Permissions::from_mode(0o4754)).unwrap();
    fs::write(root.join(long("d", 4)).join("n".repeat(200)), "long").unwrap();
    symlink(long("t", 4), root.join("long-link")).unwrap();
    symlink("bin", root.join("usr/sbin")).unwrap();
    symlink("/absolute/nothing", root.join("dangling")).unwrap();
    fs::write(root.join("a-first"), "shared").unwrap();
    fs::hard_link(root.join("a-first"), root.join("usr/second")).unwrap();
    fs::hard_link(root.join("a-first"), root.join(long("d", 4)).join("third")).unwrap();
    fs::hard_link(root.join("dangling"), root.join("dangling-too")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("block"), [7; 512]).unwrap();
    fs::write(root.join("big"), vec![b'b'; 3_000_001]).unwrap();
    fs::write(root.join("ümlaut \n name"), "odd").unwrap();
    lchown(root.join("empty"), Some(3_000_000), Some(4_000_000_000)).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for at in 0..40 {
        sparse.write_all_at(b"island", at * 100_000).unwrap();
    }
    sparse.set_len(9_000_000).unwrap();
    mknodat(CWD, root.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3)).unwrap();
    mknodat(CWD, root.join("disk"), FileType::BlockDevice, Mode::from_raw_mode(0o660), makedev(259, 300)).unwrap();
    mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for (name, key, value) in [
        ("big", "user.note", &b"line\nline=\0end"[..]),
        ("usr", "user.folder", b"yes"),
        ("null", "trusted.device", b"yes"),
        ("usr/bin/su", "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        rustix::fs::lsetxattr(root.join(name), key, value, XattrFlags::empty()).unwrap();
    }
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let mut all = Vec::new();
    walk(root, &mut all);
    for (at, path) in all.iter().rev().enumerate() {
        set_time(path, 1_000_000_000 + at as i64);
    }
    set_time(&root.join("a-first"), 999);
    set_time(root, 5);
}

/// What only overlayfs trees have.
fn build_overlay(root: &Path) {
    mknodat(CWD, root.join("usr/removed"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
    // overlayfs makes all its whiteouts hard links of one.
    fs::hard_link(root.join("usr/removed"), root.join("removed-too")).unwrap();
    let key = format!("{}opaque", overlay_xattr_prefix());
    for name in ["usr/bin", ""] {
        rustix::fs::lsetxattr(root.join(name), &key, b"y", XattrFlags::empty()).unwrap();
    }
    for name in ["usr/bin", "usr", ""] {
        set_time(&root.join(name), 6);
    }
    let key = format!("{}origin", overlay_xattr_prefix());
    rustix::fs::lsetxattr(root.join("big"), key, b"xyz", XattrFlags::empty()).unwrap();
}

fn walk(dir: &Path, all: &mut Vec<PathBuf>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        all.push(path.clone());
        if path.symlink_metadata().unwrap().is_dir() {
            walk(&path, all);
        }
    }
}

/// Everything a layer keeps, by name; `attributes` and `times` say whether those count.
fn describe(root: &Path, attributes: bool) -> BTreeMap<String, String> {
    let mut all = Vec::new();
    walk(root, &mut all);
    let mut first: BTreeMap<u64, String> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for path in all {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let meta = path.symlink_metadata().unwrap();
        let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
        let mut line = format!("{:o} {}:{} rdev {}", meta.mode(), meta.uid(), meta.gid(), meta.rdev());
        if !whiteout {
            line += &format!(" time {}.{}", meta.mtime(), meta.mtime_nsec());
            if !meta.is_dir() {
                line += &format!(" inode of {}", first.entry(meta.ino()).or_insert_with(|| name.clone()));
            }
        }
        if meta.is_file() {
            line += &format!(" {} {}", meta.size(), Digest::of(fs::read(&path).unwrap()));
        }
        if meta.is_symlink() {
            line += &format!(" -> {}", fs::read_link(&path).unwrap().display());
        }
        if attributes {
            let mut names = vec![0u8; 4096];
            let count = rustix::fs::llistxattr(&path, &mut names[..]).unwrap();
            let mut keys: Vec<_> = names[..count].split(|byte| *byte == 0).filter(|key| !key.is_empty()).collect();
            keys.retain(|key| !key.ends_with(b"overlay.origin"));
            keys.sort();
            for key in keys {
                let mut value = vec![0u8; 4096];
                let count = rustix::fs::lgetxattr(&path, key, &mut value[..]).unwrap();
                line += &format!(" {}={:?}", String::from_utf8_lossy(key), &value[..count]);
            }
        }
        found.insert(name, line);
    }
    found
}

fn assert_same(left: &Path, right: &Path, attributes: bool, what: &str) {
    let (left, right) = (describe(left, attributes), describe(right, attributes));
    for (name, line) in &left {
        assert_eq!(Some(line), right.get(name), "{what}: {name}");
    }
    assert_eq!(left.len(), right.len(), "{what}");
}

fn unpack_into(tar: impl Read, root: &Path) -> Result<Unpacked> {
    fs::create_dir_all(root).unwrap();
    unpack(tar, root, &UnpackOptions { limits: Limits::default(), cancel: &Cancel::new().unwrap() })
}

fn packed(root: &Path, options: &PackOptions) -> Vec<u8> {
    let mut out = Vec::new();
    pack(root, &mut out, options, &Cancel::new().unwrap()).unwrap();
    out
}

fn tool(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_tree_survives_the_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    build(&one);
    build_overlay(&one);
    let tar = packed(&one, &PackOptions::default());
    unpack_into(&tar[..], &two).unwrap();
    assert_same(&one, &two, true, "round trip");
    let key = format!("{}opaque", overlay_xattr_prefix());
    let mut value = [0u8; 2];
    assert_eq!(rustix::fs::lgetxattr(&two, &key, &mut value), Ok(1));
    assert_eq!(packed(&two, &PackOptions::default()), tar, "packed again");
}

#[test]
fn gnu_tar_reads_what_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    build(&one);
    fs::create_dir(&two).unwrap();
    let file = dir.path().join("layer.tar");
    fs::write(&file, packed(&one, &PackOptions::default())).unwrap();
    let (file, to) = (file.to_str().unwrap(), two.to_str().unwrap());
    tool("tar", &["-C", to, "-xpf", file, "--numeric-owner", "--xattrs", "--xattrs-include=*"]);
    assert_same(&one, &two, true, "read by GNU tar");
    build_overlay(&one);
    fs::write(file, packed(&one, &PackOptions::default())).unwrap();
    let list = String::from_utf8(tool("tar", &["-tf", file])).unwrap();
    for name in [".wh..wh..opq", ".wh.removed-too", "usr/bin/.wh..wh..opq", "usr/.wh.removed"] {
        assert!(list.lines().any(|line| line == name), "{name} in {list}");
    }
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    build(&one);
    let from = one.to_str().unwrap();
    // Sub-second times and attributes are in the pax form alone.
    let time = Timespec { tv_sec: 1_500_000_000, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    let pax: &[&str] = &["--format=pax", "--xattrs", "--xattrs-include=*"];
    for (name, arguments, attributes) in [
        ("gnu", &["--format=gnu"][..], false),
        ("gnu sparse", &["--format=gnu", "--sparse"], false),
        ("pax", pax, true),
        ("pax sparse 0.0", &[pax, &["--sparse", "--sparse-version=0.0"]].concat(), true),
        ("pax sparse 0.1", &[pax, &["--sparse", "--sparse-version=0.1"]].concat(), true),
        ("pax sparse 1.0", &[pax, &["--sparse", "--sparse-version=1.0"]].concat(), true),
    ] {
        if attributes {
            rustix::fs::utimensat(CWD, one.join("big"), &times, AtFlags::empty()).unwrap();
        }
        let tar = tool("tar", &[arguments, &["-C", from, "-cf", "-", "."]].concat());
        let to = dir.path().join(name);
        unpack_into(&tar[..], &to).unwrap();
        let (mut want, mut found) = (describe(&one, attributes), describe(&to, attributes));
        // GNU's own format holds no ids beyond its base-256 numbers, which it has; nothing to except there.
        assert_eq!(want.len(), found.len(), "{name}");
        for (file, line) in std::mem::take(&mut want) {
            assert_eq!(Some(line), found.remove(&file), "{name}: {file}");
        }
        assert_eq!(fs::metadata(&to).unwrap().mtime(), 5, "{name}: the root's own time");
        if name.contains("sparse") {
            let meta = fs::metadata(to.join("sparse")).unwrap();
            assert!(meta.blocks() * 512 < 1_000_000, "{name}: {} blocks", meta.blocks());
        }
    }
    // ustar: what fits into it.
    let small = dir.path().join("small");
    fs::create_dir_all(small.join(long("p", 2))).unwrap();
    fs::write(small.join(long("p", 2)).join("file"), "prefix").unwrap();
    for path in [small.join(long("p", 2)).join("file"), small.join(long("p", 2)), small.join(long("p", 1))] {
        set_time(&path, 77);
    }
    let tar = tool("tar", &["--format=ustar", "-C", small.to_str().unwrap(), "-cf", "-", "."]);
    unpack_into(&tar[..], &dir.path().join("ustar")).unwrap();
    assert_same(&small, &dir.path().join("ustar"), false, "ustar");
}

#[test]
fn compressed_layers_of_other_tools_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    build(&one);
    let file = dir.path().join("layer.tar");
    fs::write(&file, packed(&one, &PackOptions::default())).unwrap();
    let file = file.to_str().unwrap();
    let (gzip, zstd) = (tool("gzip", &["-c", file]), tool("zstd", &["-qc", file]));
    let half = fs::read(file).unwrap();
    let (left, right) = half.split_at(half.len() / 2);
    let members = |parts: [&[u8]; 2]| -> Vec<u8> {
        parts.iter().flat_map(|part| zstd::bulk::compress(part, 1).unwrap()).collect()
    };
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd].concat();
    for (name, data) in [
        ("gzip", gzip),
        ("zstd", zstd),
        ("zstd frames", members([left, right])),
        ("skippable", skippable),
        ("plain", half.clone()),
    ] {
        let to = dir.path().join(name);
        unpack_into(decompress(&data[..]).unwrap(), &to).unwrap();
        assert_same(&one, &to, true, name);
    }
}

#[test]
fn equal_trees_give_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let cancel = Cancel::new().unwrap();
    let trees = ["one", "two"].map(|name| dir.path().join(name));
    for tree in &trees {
        build(tree);
        build_overlay(tree);
    }
    let layer = |tree: &Path, compression, threads| -> PackedLayer {
        let options = PackOptions { threads, ..PackOptions::default() };
        pack_to_blob(&store, tree, compression, &options, &cancel).unwrap()
    };
    let plain = layer(&trees[0], Compression::None, 0);
    assert_eq!(plain.diff_id, plain.digest);
    assert_eq!(plain.diff_id, Digest::of(packed(&trees[1], &PackOptions::default())));
    for compression in [Compression::Gzip(6), Compression::Gzip(0), Compression::Zstd(3)] {
        let want = layer(&trees[0], compression, 1);
        assert_eq!(want.diff_id, plain.diff_id);
        assert_eq!(store.blob_size(&want.digest), Some(want.size));
        for threads in [0, 2, 7, 1000] {
            assert_eq!(layer(&trees[1], compression, threads), want, "{compression:?} by {threads} threads");
        }
        let mut tar = Vec::new();
        decompress(store.open_blob(&want.digest).unwrap()).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!(Digest::of(&tar), want.diff_id);
        let program = if matches!(compression, Compression::Zstd(_)) { "zstd" } else { "gzip" };
        let path = store.blob_path(&want.digest);
        let copy = dir.path().join(if program == "zstd" { "layer.zst" } else { "layer.gz" });
        fs::copy(path, &copy).unwrap();
        assert_eq!(Digest::of(tool(program, &["-dc", copy.to_str().unwrap()])), want.diff_id);
    }
    let wrong = pack_to_blob(&store, &trees[0], Compression::Gzip(10), &PackOptions::default(), &cancel);
    assert_eq!(wrong.unwrap_err().message(), "gzip level 10 is not 0 to 9");
}

#[test]
fn times_are_clamped() {
    let dir = tempfile::tempdir().unwrap();
    for (name, time) in [("old", 10), ("new", 2_000_000_000), ("before", -5)] {
        fs::write(dir.path().join(name), "").unwrap();
        set_time(&dir.path().join(name), time);
    }
    let options = PackOptions { clamp_mtime: Some(1000), ..PackOptions::default() };
    let to = tempfile::tempdir().unwrap();
    unpack_into(&packed(dir.path(), &options)[..], to.path()).unwrap();
    for (name, time) in [("old", 10), ("new", 1000), ("before", -5)] {
        assert_eq!(fs::metadata(to.path().join(name)).unwrap().mtime(), time, "{name}");
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |kind: u8, name: &str, link: &str, content: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o700);
        header.set_mtime(50);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    };
    add(b'5', "d1", "", "");
    add(b'5', "d1/sub", "", "");
    add(b'0', "d1/sub/f", "", "x");
    add(b'0', "d1", "", "file over folder");
    add(b'0', "f1", "", "x");
    add(b'5', "f1", "", "");
    add(b'0', "f1/in", "", "folder over file");
    add(b'2', "s1", "f1", "");
    add(b'5', "s1", "", "");
    add(b'0', "s1/in", "", "folder over link");
    add(b'0', "h1", "", "one");
    add(b'1', "h2", "h1", "");
    add(b'0', "h2", "", "two");
    add(b'1', "h1", "h1", "");
    add(b'0', "a/b/c", "", "no parents");
    let tar = tar.into_inner().unwrap();
    let done = unpack_into(&tar[..], dir.path()).unwrap();
    assert_eq!(done.entries, 15);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("d1"), "file over folder");
    assert_eq!(read("f1/in"), "folder over file");
    assert_eq!(read("s1/in"), "folder over link");
    assert_eq!((read("h1"), read("h2")), ("one".into(), "two".into()));
    for (name, mode) in [("a", 0o40755), ("a/b", 0o40755), ("f1", 0o40700), ("s1", 0o40700)] {
        let meta = fs::symlink_metadata(dir.path().join(name)).unwrap();
        assert_eq!((meta.mode(), meta.uid(), meta.mtime()), (mode, 0, 50), "{name}");
    }
}

#[test]
fn a_tree_that_no_layer_can_hold_is_refused() {
    let fails = |make: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let cancel = Cancel::new().unwrap();
        pack(dir.path(), Vec::new(), &PackOptions::default(), &cancel).unwrap_err().message().to_string()
    };
    assert_eq!(
        fails(&|dir| fs::write(dir.join(".wh.x"), "").unwrap()),
        "'.wh.x' cannot be in a layer: names that begin with .wh. stand for removals"
    );
    let redirect = |dir: &Path| {
        fs::create_dir(dir.join("moved")).unwrap();
        let key = format!("{}redirect", overlay_xattr_prefix());
        rustix::fs::lsetxattr(dir.join("moved"), key, b"/old", XattrFlags::empty()).unwrap();
    };
    assert_eq!(fails(&redirect), "'moved' refers to another layer and cannot be packed");
}

#[test]
fn layers_are_installed_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let meta = LayerMeta { diff_id: Some(Digest::of("x")), bytes: 1, entries: 2 };
    for content in ["first", "second"] {
        let workspace = store.workspace().unwrap();
        let path = workspace.path().to_path_buf();
        fs::create_dir(workspace.join("fs")).unwrap();
        fs::write(workspace.join("fs/file"), content).unwrap();
        store.install_layer("abc", workspace, &meta).unwrap();
        assert!(!path.exists());
    }
    assert!(store.has_layer("abc") && !store.has_layer("abd") && !store.has_layer("../layers/abc"));
    assert_eq!(fs::read_to_string(store.layer_fs("abc").join("file")).unwrap(), "first");
    assert_eq!(store.layer_meta("abc").unwrap(), meta);
    assert_eq!(store.layer_meta("abd").unwrap_err().message(), "layer abd is not in the store");
    for bad in ["", "..", "a/b", ".x", "a\n"] {
        assert_eq!(store.layer_meta(bad).unwrap_err().kind().name(), "invalid_argument", "{bad}");
    }
    // An interrupted copy without its description is no layer, and makes room for one.
    fs::create_dir_all(store.layer_fs("torn")).unwrap();
    assert!(!store.has_layer("torn"));
}
