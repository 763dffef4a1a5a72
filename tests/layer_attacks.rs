//! Layers made to write outside their root, to confuse readers or to fill memory and disk. Every case ends in an error
//! that names the entry, or lands inside; a tree beside the root stays as it was to the bit, mode and time.
//!
//! Needs root: owners, devices and `trusted.*` attributes.

#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use hostile::{Tar, make_canary, snapshot};
use moonshell::engine::Limits;
use moonshell::engine::cancel::Cancel;
use moonshell::engine::error::Result;
use moonshell::engine::layer::unpack::{UnpackOptions, Unpacked, unpack};
use moonshell::engine::layer::{decompress, overlay_xattr_prefix};
use rustix::fs::XattrFlags;

/// A root to unpack into, with a canary beside it: names that attacks aim at, some with odd modes.
struct Scene {
    dir: tempfile::TempDir,
    before: Vec<String>,
}

const CANARY: &str = "/tmp/moonshell-canary-of-layer-attacks";

impl Scene {
    fn new() -> Scene {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let canary = dir.path().join("canary");
        make_canary(&canary);
        let before = snapshot(&canary);
        Scene { dir, before }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The canary's real path, put where cases write `CANARY` (a path of a fixed length would not do).
    fn aim(&self, text: &str) -> String {
        text.replace(CANARY, self.dir.path().join("canary").to_str().unwrap())
    }

    fn unpack(&self, tar: impl Read) -> Result<Unpacked> {
        self.unpack_with(tar, Limits::default())
    }

    fn unpack_with(&self, tar: impl Read, limits: Limits) -> Result<Unpacked> {
        let cancel = Cancel::new().unwrap();
        let result = unpack(tar, &self.root(), &UnpackOptions { limits, cancel: &cancel });
        assert_eq!(snapshot(&self.dir.path().join("canary")), self.before, "the canary changed");
        result
    }
}

/// What a case must come to: the error's message, or paths below the root that exist afterwards.
enum Want {
    Error(&'static str),
    Inside(&'static [&'static str]),
}
use Want::{Error, Inside};

/// The case's name, the archive (given a function that aims at the canary), and what must come of it.
type Case = (&'static str, fn(&dyn Fn(&str) -> String) -> Tar, Want);

fn tar() -> Tar {
    Tar::default()
}

const CLIMBS: &str = "climbs out of the root file system";

#[rustfmt::skip]
fn climbing() -> Vec<Case> {
    vec![
        ("file ..", |_| tar().file("../canary/file", "x"), Error("layer entry '../canary/file' climbs out of the root file system")),
        ("file deep ..", |_| tar().dir("a").file("a/../../canary/file", "x"), Error("layer entry 'a/../../canary/file' climbs out of the root file system")),
        ("file absolute ..", |_| tar().file("/../canary/file", "x"), Error("layer entry '/../canary/file' climbs out of the root file system")),
        ("dir ..", |_| tar().dir("../canary/dir"), Error("layer entry '../canary/dir' climbs out of the root file system")),
        ("dir just ..", |_| tar().dir(".."), Error("layer entry '..' climbs out of the root file system")),
        ("symlink ..", |_| tar().symlink("../canary/file", "x"), Error("layer entry '../canary/file' climbs out of the root file system")),
        ("hard link ..", |_| tar().file("a", "x").hard("../canary/file", "a"), Error("layer entry '../canary/file' climbs out of the root file system")),
        ("fifo ..", |_| tar().entry(b'6', "../canary/fifo", ""), Error("layer entry '../canary/fifo' climbs out of the root file system")),
        ("device ..", |_| tar().device("../canary/null", 1, 3), Error("layer entry '../canary/null' climbs out of the root file system")),
        ("whiteout ..", |_| tar().file("../canary/.wh.file", ""), Error("layer entry '../canary/.wh.file' climbs out of the root file system")),
        ("whiteout of ..", |_| tar().dir("a").file("a/.wh...", ""), Error("layer entry 'a/.wh...' is a whiteout of '..'")),
        ("whiteout of .", |_| tar().dir("a").file("a/.wh..", ""), Error("layer entry 'a/.wh..' is a whiteout of '.'")),
        ("whiteout of nothing", |_| tar().file(".wh.", ""), Error("layer entry '.wh.' is a whiteout of ''")),
        ("opaque ..", |_| tar().file("../canary/dir/.wh..wh..opq", ""), Error("layer entry '../canary/dir/.wh..wh..opq' climbs out of the root file system")),
        ("pax path ..", |_| tar().pax(b'x', &[("path", b"../canary/file")]).file("good", "x"), Error("layer entry '../canary/file' climbs out of the root file system")),
        ("long name ..", |_| tar().long(b'L', "../canary/file").file("good", "x"), Error("layer entry '../canary/file' climbs out of the root file system")),
        ("ustar prefix ..", |_| tar().header(b'0', "canary/file", "", 0, |h| h.as_ustar_mut().unwrap().prefix[..2].copy_from_slice(b"..")),
            Error("layer entry '../canary/file' climbs out of the root file system")),
        ("sparse name ..", |_| tar().pax(b'x', &[("GNU.sparse.major", b"0"), ("GNU.sparse.name", b"../canary/file"), ("GNU.sparse.size", b"0")]).file("good", ""),
            Error("layer entry '../canary/file' climbs out of the root file system")),
        ("absolute name", |aim| tar().pax(b'x', &[("path", aim(&format!("{CANARY}/file")).as_bytes())]).file("good", "x"), Inside(&[])),
        ("inner ..", |_| tar().file("a/../b", "x"), Inside(&["b"])),
    ]
}

#[rustfmt::skip]
fn through_links() -> Vec<Case> {
    vec![
        ("file, absolute", |aim| tar().symlink("out", &aim(CANARY)).file("out/file", "x"), Inside(&["out"])),
        ("file, relative", |_| tar().symlink("out", "../canary").file("out/file", "x"), Inside(&["canary/file"])),
        ("file, deep relative", |_| tar().symlink("a/b/out", "../../../../../canary").file("a/b/out/file", "x"), Inside(&["canary/file"])),
        ("file, chain", |_| tar().symlink("one", "two").symlink("two", "three/..").symlink("three", "../../canary/dir").file("one/file", "x"), Inside(&["canary/file"])),
        ("file, over a link", |aim| tar().symlink("file", &aim(&format!("{CANARY}/file"))).file("file", "x"), Inside(&["file"])),
        ("file, over a relative link", |_| tar().symlink("file", "../canary/file").file("file", "x"), Inside(&["file"])),
        ("file, loop", |_| tar().symlink("a", "b").symlink("b", "a").file("a/file", "x"), Error("layer entry 'a/file' lies behind more than 40 symbolic links")),
        ("dir", |aim| tar().symlink("out", &aim(CANARY)).dir("out/new"), Inside(&["out"])),
        ("dir over a link", |_| tar().symlink("out", "../canary").dir("out").file("out/file", "x"), Inside(&["out/file"])),
        ("dir mode and time over a link", |aim| tar().symlink("out", &aim(CANARY)).header(b'5', "out/", "", 0, |h| h.set_mode(0o777)), Inside(&["out"])),
        ("symlink", |_| tar().symlink("out", "../canary").symlink("out/file", "x"), Inside(&["canary"])),
        ("hard link made", |_| tar().file("a", "x").symlink("out", "../canary").hard("out/file", "a"), Inside(&["canary/file"])),
        ("hard link to, relative", |_| tar().symlink("out", "../canary").hard("a", "out/file"), Error("layer entry 'a' is a hard link to 'out/file', which is not in this layer")),
        ("hard link to, ..", |_| tar().hard("a", "../canary/file"), Error("layer entry 'a' is a hard link to '../canary/file', outside the root file system")),
        ("hard link to, pax", |_| tar().pax(b'x', &[("linkpath", b"x/../../canary/file")]).hard("a", "b"), Error("layer entry 'a' is a hard link to 'x/../../canary/file', outside the root file system")),
        ("hard link to, long", |_| tar().long(b'K', "../canary/file").hard("a", "b"), Error("layer entry 'a' is a hard link to '../canary/file', outside the root file system")),
        ("hard link to a link, written", |_| tar().symlink("s", "../canary/file").hard("h", "s").file("h", "x"), Inside(&["h"])),
        ("hard link to a folder", |_| tar().dir("d").hard("h", "d"), Error("layer entry 'h' is a hard link to 'd', which is a folder")),
        ("hard link to a whiteout", |_| tar().file(".wh.x", "").hard("h", "x"), Error("layer entry 'h' is a hard link to 'x', which is not in this layer")),
        ("hard link to nothing", |_| tar().hard("h", ""), Error("layer entry 'h' is a hard link to '', which is not in this layer")),
        ("chmod by hard link", |_| tar().symlink("s", "../canary/program").header(b'1', "h", "s", 0, |h| h.set_mode(0o777)), Inside(&["h"])),
        ("owner of a link", |_| tar().header(b'2', "s", "../canary/file", 0, |h| { h.set_uid(7); h.set_gid(7) }), Inside(&["s"])),
        ("time of a link", |_| tar().header(b'2', "s", "../canary/file", 0, |h| h.set_mtime(1)), Inside(&["s"])),
        ("attribute of a link", |_| tar().pax(b'x', &[("SCHILY.xattr.trusted.x", b"y")]).symlink("s", "../canary/file"), Inside(&["s"])),
        ("attribute through a link", |_| tar().symlink("out", "../canary").pax(b'x', &[("SCHILY.xattr.user.x", b"y")]).dir("out/dir"), Inside(&["canary/dir"])),
        ("whiteout", |_| tar().symlink("out", "../canary").file("out/.wh.file", ""), Inside(&["canary/file"])),
        ("whiteout of a link", |_| tar().symlink("out", "../canary").file(".wh.out", ""), Inside(&["out"])),
        ("opaque", |_| tar().symlink("out", "../canary/dir").file("out/.wh..wh..opq", ""), Inside(&["canary/dir"])),
        ("fifo", |_| tar().symlink("out", "../canary").entry(b'6', "out/fifo", ""), Inside(&["canary/fifo"])),
        ("device", |_| tar().symlink("out", "../canary").device("out/null", 1, 3), Inside(&["canary/null"])),
        ("link to /proc", |_| tar().symlink("out", "/proc/self/root").file("out/etc/x", "x"), Inside(&["proc/self/root/etc/x"])),
        ("folder replaced by a link", |_| tar().dir("d").file("d/a", "").symlink("d", "../canary").file("d/file", "x"), Inside(&["canary/file"])),
    ]
}

#[rustfmt::skip]
fn wrong_entries() -> Vec<Case> {
    vec![
        ("0:0 device", |_| tar().device("a", 0, 0), Error("layer entry 'a' is a character device 0:0, which overlayfs takes for a removed name")),
        ("huge device", |_| tar().device("a", 1 << 14, 0), Error("layer entry 'a' has device number 16384:0, which is out of range")),
        ("below a file", |_| tar().file("f", "").file("f/x", ""), Error("layer entry 'f/x' lies below 'f', which is not a folder")),
        ("below a device", |_| tar().device("n", 1, 3).file("n/x", ""), Error("layer entry 'n/x' lies below 'n', which is not a folder")),
        ("below a whiteout's name", |_| tar().file(".wh.a/x", ""), Error("layer entry '.wh.a/x' lies below a whiteout")),
        ("root is a file", |_| tar().file("./", "x").file(".", "x"), Error("layer entry '.' names the root but is not a folder")),
        ("root is a link", |_| tar().symlink(".", "/etc"), Error("layer entry '.' names the root but is not a folder")),
        ("no name", |_| tar().file("", "x"), Error("layer entry '' has no name")),
        ("link to nothing", |_| tar().symlink("s", ""), Error("layer entry 's' is a symbolic link to nothing")),
        ("unknown type", |_| tar().entry(b'Q', "q", ""), Error("layer entry 'q' has the unknown type 'Q'")),
        ("uid -1", |_| tar().pax(b'x', &[("uid", b"4294967295")]).file("a", ""), Error("layer entry 'a' has uid 4294967295, which is out of range")),
        ("uid 2^32", |_| tar().pax(b'x', &[("uid", b"4294967296")]).file("a", ""), Error("layer entry 'a' has uid 4294967296, which is out of range")),
        ("negative gid", |_| tar().header(b'0', "a", "", 0, |h| h.as_old_mut().gid = [0xff; 8]), Error("layer entry 'a' has gid 18446744073709551615, which is out of range")),
        ("negative size", |_| tar().header(b'0', "a", "", 0, |h| h.as_old_mut().size = [0xff; 12]), Error("layer entry 'a' has a malformed size")),
        ("control characters", |_| tar().file("../\x1b[31m", ""), Error("layer entry '../\\u{1b}[31m' climbs out of the root file system")),
        ("long component", |_| tar().long(b'L', &"n".repeat(256)).file("a", ""), Error(LONG_NAME)),
        ("setuid through owner", |_| tar().header(b'0', "su", "", 0, |h| { h.set_mode(0o4755); h.set_uid(5) }), Inside(&["su"])),
    ]
}

const LONG_NAME: &str = concat!(
    "layer entry 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "...' has a name longer than 255 bytes"
);

fn run(cases: Vec<Case>) {
    for (name, make, want) in cases {
        let scene = Scene::new();
        let archive = make(&|text| scene.aim(text)).end();
        let result = scene.unpack(&archive[..]);
        match (result, want) {
            (Err(e), Error(message)) => {
                assert_eq!((e.message(), e.kind().name()), (message, "integrity"), "{name}");
            }
            (Ok(_), Inside(paths)) => {
                for path in paths {
                    assert!(scene.root().join(path).symlink_metadata().is_ok(), "{name}: {path} is missing");
                }
            }
            (Ok(_), Error(message)) => panic!("{name}: accepted instead of '{message}'"),
            (Err(e), Inside(_)) => panic!("{name}: {e}"),
        }
    }
}

#[test]
fn names_that_climb() {
    assert!(climbing().iter().filter(|case| matches!(case.2, Error(m) if m.ends_with(CLIMBS))).count() >= 14);
    run(climbing());
}

#[test]
fn ways_through_links() {
    run(through_links());
}

#[test]
fn entries_that_cannot_be() {
    run(wrong_entries());
}

#[test]
fn absolute_targets_land_inside() {
    let scene = Scene::new();
    let out = scene.aim(CANARY);
    scene.unpack(&tar().symlink("out", &out).file("out/file", "x").end()[..]).unwrap();
    assert_eq!(fs::read(scene.root().join(out.trim_start_matches('/')).join("file")).unwrap(), b"x");
}

#[test]
fn overlay_attributes_are_left_out() {
    let scene = Scene::new();
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.trusted.overlay.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.whiteout", b""),
        ("SCHILY.xattr.security.selinux", b"system_u:object_r:shadow_t:s0"),
        ("SCHILY.xattr.user.kept", b"a\nb\0c"),
    ];
    scene.unpack(&tar().pax(b'x', records).dir("d").pax(b'x', records).file("f", "").end()[..]).unwrap();
    for name in ["d", "f"] {
        let mut names = vec![0u8; 4096];
        let count = rustix::fs::llistxattr(scene.root().join(name), &mut names[..]).unwrap();
        assert_eq!(&names[..count], b"user.kept\0", "{name}");
        let mut value = [0u8; 16];
        let count = rustix::fs::lgetxattr(scene.root().join(name), "user.kept", &mut value).unwrap();
        assert_eq!(&value[..count], b"a\nb\0c");
    }
}

#[test]
fn whiteouts_take_overlay_form() {
    let scene = Scene::new();
    let archive = tar()
        .file(".wh.gone", "")
        .dir("d")
        .file("d/.wh..wh..opq", "")
        .file("d/new", "")
        .dir("both")
        .file("both/kept", "")
        .file(".wh.both", "")
        .file(".wh.later", "")
        .file("later/kept", "")
        .file(".wh.named", "")
        .dir("named")
        .file("file", "kept")
        .file(".wh.file", "")
        .file(".wh.twice", "")
        .file(".wh.twice", "")
        .file(".wh..wh.plnk/1.2", "")
        .file(".wh..wh.aufs", "")
        .end();
    scene.unpack(&archive[..]).unwrap();
    let root = scene.root();
    for name in ["gone", "twice"] {
        let meta = fs::symlink_metadata(root.join(name)).unwrap();
        assert!(meta.file_type().is_char_device() && meta.rdev() == 0, "{name}");
    }
    for name in ["d", "both", "later", "named"] {
        let mut value = [0u8; 4];
        let key = format!("{}opaque", overlay_xattr_prefix());
        let count = rustix::fs::lgetxattr(root.join(name), key, &mut value).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(&value[..count], b"y", "{name}");
    }
    for name in ["d/new", "both/kept", "later/kept"] {
        assert!(root.join(name).exists(), "{name}");
    }
    assert_eq!(fs::read(root.join("file")).unwrap(), b"kept");
    assert!(!fs::read_dir(&root).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().starts_with(".wh.")));
}

/// CVE-2025-62518 and its kin: readers that disagree about where an entry ends see different layers.
#[test]
fn sizes_that_disagree() {
    let inner = tar().file("smuggled", "x").end();
    // The record says how long the data is: what looks like an entry inside is data.
    let scene = Scene::new();
    let size = inner.len().to_string();
    let archive = tar().pax(b'x', &[("size", size.as_bytes())]).header(b'0', "a", "", 0, |_| ()).data(&inner);
    scene.unpack(&archive.file("b", "").end()[..]).unwrap();
    assert_eq!(fs::read(scene.root().join("a")).unwrap(), inner);
    assert!(!scene.root().join("smuggled").exists() && scene.root().join("b").exists());

    // The record counts for the entry it describes, not for a long name between.
    let scene = Scene::new();
    let archive = tar().pax(b'x', &[("size", b"3")]).long(b'L', "long-name").header(b'0', "short", "", 0, |_| ());
    scene.unpack(&archive.data(b"abc").file("b", "").end()[..]).unwrap();
    assert_eq!(fs::read(scene.root().join("long-name")).unwrap(), b"abc");

    // Links, folders and devices have no data, whatever their size says.
    for kind in [b'1', b'2', b'5', b'6'] {
        let scene = Scene::new();
        let archive = tar().file("t", "").header(kind, "a", "t", 512, |_| ()).file("b", "");
        scene.unpack(&archive.end()[..]).unwrap();
        assert!(scene.root().join("b").exists(), "{}", kind as char);
    }

    let fails = |archive: Tar| Scene::new().unpack(&archive.end()[..]).unwrap_err().message().to_string();
    assert_eq!(fails(tar().pax(b'g', &[("size", b"512")]).file("a", "")), "layer has 'size' in a global pax header");
    assert_eq!(fails(tar().pax(b'x', &[("size", b"-1")]).file("a", "")), "layer has a malformed pax record 'size'");
    assert_eq!(fails(tar().pax(b'x', &[("path", b"a\0b")]).file("a", "")), "layer has a malformed pax record 'path'");
    assert_eq!(
        fails(tar().header(b'x', "x", "", 3, |_| ()).data(b"abc").file("a", "")),
        "layer has a malformed pax header"
    );
    assert_eq!(
        fails((0..65).fold(tar(), |tar, _| tar.pax(b'g', &[("comment", b"x")]))),
        "layer has more than 64 extension headers in a row"
    );
    assert_eq!(
        fails(tar().header(b'x', "x", "", 2 << 20, |_| ())),
        "layer has an extension header of 2097152 bytes, more than 1048576"
    );
    // A global header changes nothing, as in Docker and containerd.
    let scene = Scene::new();
    scene.unpack(&tar().pax(b'g', &[("comment", b"x"), ("uid", b"7")]).file("a", "").end()[..]).unwrap();
    assert_eq!(fs::metadata(scene.root().join("a")).unwrap().uid(), 0);
}

#[test]
fn damaged_archives() {
    let good = tar().file("a", "hello").file("b", "").0;
    let fails = |archive: &[u8]| Scene::new().unpack(archive).unwrap_err().message().to_string();
    assert_eq!(fails(&good[..300]), "layer archive is cut off in its first header");
    assert_eq!(fails(&good[..515]), "layer archive is cut off after the header of 'a'");
    assert_eq!(fails(&good[..1100]), "layer archive is cut off after the header of 'a'");
    assert_eq!(fails(&[&good[..1024], &[7; 512]].concat()), "layer archive has a damaged header after 'a'");
    assert_eq!(fails(&[7; 512]), "layer is not a tar archive");
    assert_eq!(fails(&[&[0; 512], &good[..]].concat()), "layer archive has an entry after a block of zeros");
    // Ending without the two zero blocks is common, and so is something after them.
    Scene::new().unpack(&good[..]).unwrap();
    let mut tail = std::io::Cursor::new([&good[..], &[0; 1024], &[9; 5000]].concat());
    Scene::new().unpack(&mut tail).unwrap();
    assert_eq!(tail.position(), tail.get_ref().len() as u64);

    let sparse = |map: &str, stored: u64| {
        tar()
            .pax(b'x', &[("GNU.sparse.size", b"100"), ("GNU.sparse.map", map.as_bytes())])
            .header(b'0', "s", "", stored, |_| ())
            .data(&vec![b'x'; stored as usize])
            .end()
    };
    assert_eq!(fails(&sparse("0,5", 6)), "layer entry 's' has a sparse map of 5 bytes for 6 bytes of data");
    assert_eq!(fails(&sparse("5,5,0,5", 10)), "layer entry 's' has a sparse map that does not fit its size");
    assert_eq!(fails(&sparse("99,5", 5)), "layer entry 's' has a sparse map that does not fit its size");
    assert_eq!(fails(&sparse("0", 5)), "layer has a malformed pax record 'GNU.sparse.map'");
    Scene::new().unpack(&sparse("95,5", 5)[..]).unwrap();
}

#[test]
fn damaged_compression() {
    let fails = |data: &[u8]| {
        let error = decompress(data).and_then(|tar| Scene::new().unpack(tar)).unwrap_err();
        (error.kind().name(), error.message().to_string())
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar().file("a", &"x".repeat(5000)).end()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert!(decompress(&gzip[..]).and_then(|tar| Scene::new().unpack(tar)).is_ok());
    let cut = fails(&gzip[..gzip.len() - 9]);
    assert!(cut.0 == "integrity" && cut.1.starts_with("gzip data of the layer cannot be read: "), "{cut:?}");
    let mut wrong = gzip.clone();
    *wrong.iter_mut().rev().nth(5).unwrap() ^= 1;
    assert_eq!(fails(&wrong).0, "integrity");
    assert_eq!(fails(&[&gzip[..], b"trailing"].concat()).0, "integrity");
    assert_eq!(fails(b"BZh91AY&SY").1, "layer is compressed with bzip2, which is not a layer format");
    assert_eq!(fails(b"\xfd7zXZ\0\0\0").0, "unsupported");
    assert_eq!(fails(b"<html>no such layer</html>").1, "layer archive is cut off in its first header");
    // A frame whose window is 2 GiB: refused before memory is taken.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
    let error = fails(&window);
    assert_eq!(error.0, "integrity");
    assert!(error.1.starts_with("zstd data of the layer cannot be read: "), "{error:?}");
}

/// Zeros without end, which no memory could hold.
struct Endless;

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

#[test]
fn bombs() {
    let limits = Limits { layer_bytes: 1 << 20, layer_entries: 100, ..Limits::default() };
    let too_big = "layer unpacks to more than 1048576 bytes";
    let fails = |tar: &mut dyn Read| {
        let error = Scene::new().unpack_with(tar, limits).unwrap_err();
        (error.message().to_string(), error.hint().map(str::to_string))
    };
    // A gzip bomb: 64 MiB of zeros in one file, 64 KiB on the wire.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&tar().header(b'0', "zeros", "", 64 << 20, |_| ()).0).unwrap();
    gzip.write_all(&vec![0; 64 << 20]).unwrap();
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < 100_000);
    let found = fails(&mut decompress(&gzip[..]).unwrap());
    assert_eq!(found.0, too_big);
    assert!(found.1.unwrap().contains("max_layer_bytes"));
    // The same in zstd, after the archive's end, in a file never finished, and as a hole.
    let zstd = zstd::bulk::compress(
        &[&tar().header(b'0', "zeros", "", 64 << 20, |_| ()).0[..], &vec![0; 64 << 20]].concat(),
        3,
    )
    .unwrap();
    assert_eq!(fails(&mut decompress(&zstd[..]).unwrap()).0, too_big);
    assert_eq!(fails(&mut (&tar().end()[..]).chain(Endless)).0, too_big);
    let endless = tar().header(b'0', "a", "", u64::from(u32::MAX), |_| ());
    assert_eq!(fails(&mut (&endless.0[..]).chain(Endless)).0, too_big);
    let hole =
        tar().pax(b'x', &[("GNU.sparse.size", b"9000000000000000"), ("GNU.sparse.map", b"0,0")]).file("hole", "");
    assert_eq!(fails(&mut &hole.end()[..]).0, too_big);

    let many = (0..101).fold(tar(), |tar, at| tar.file(&at.to_string(), ""));
    assert_eq!(fails(&mut &many.end()[..]).0, "layer has more than 100 entries");
    let deep = "d/".repeat(257);
    let found = fails(&mut &tar().long(b'L', &deep).dir("x").end()[..]).0;
    assert!(found.ends_with("' lies more than 256 folders deep"), "{found}");
    let found = fails(&mut &tar().long(b'L', &format!("{}x", "/".repeat(5000))).dir("x").end()[..]).0;
    assert!(found.ends_with("' has a path longer than 4096 bytes"), "{found}");
    // Links that double the depth.
    let mut doubling = tar().long(b'L', &"d/".repeat(200)).dir("x");
    doubling = doubling
        .long(b'K', &"d/".repeat(200))
        .symlink("s", "x")
        .long(b'L', &format!("s/{}", "d/".repeat(100)))
        .dir("x");
    let found = fails(&mut &doubling.end()[..]).0;
    assert!(found.ends_with("' lies more than 256 folders deep"), "{found}");
}

#[test]
fn many_entries_in_little_memory() {
    struct Many(u32, Vec<u8>);
    impl Read for Many {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.1.is_empty() && self.0 < 10_000 {
                self.1 = tar().dir(&format!("{}/{}", self.0 % 100, self.0)).0;
                self.0 += 1;
            }
            let count = buffer.len().min(self.1.len());
            buffer[..count].copy_from_slice(&self.1[..count]);
            self.1.drain(..count);
            Ok(count)
        }
    }
    let scene = Scene::new();
    assert_eq!(scene.unpack(Many(0, Vec::new())).unwrap().entries, 10_000);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 256 << 10, "peak memory {peak} kB");
    // Folders left and come back to have their own times all the same.
    for name in ["7", "7/7", "7/9907"] {
        let mtime = fs::metadata(scene.root().join(name)).unwrap().mtime();
        assert_eq!(mtime, 1_000_000_000, "{name}");
    }
}

#[test]
fn a_cancelled_unpack_stops() {
    let scene = Scene::new();
    let cancel = Cancel::new().unwrap();
    cancel.cancel();
    let options = UnpackOptions { limits: Limits::default(), cancel: &cancel };
    let error = unpack(&tar().file("a", "").end()[..], &scene.root(), &options).unwrap_err();
    assert_eq!(error.kind().name(), "interrupted");
}

#[test]
fn owner_mode_and_attributes_in_the_right_order() {
    let scene = Scene::new();
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let archive = tar()
        .pax(b'x', &[("SCHILY.xattr.security.capability", &capability)])
        .header(b'0', "ping", "", 0, |h| {
            h.set_mode(0o6755);
            h.set_uid(12);
            h.set_gid(34);
        })
        .end();
    scene.unpack(&archive[..]).unwrap();
    let meta = fs::metadata(scene.root().join("ping")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()), (0o6755, 12, 34, 1_000_000_000));
    let mut value = [0u8; 64];
    let count = rustix::fs::lgetxattr(scene.root().join("ping"), "security.capability", &mut value).unwrap();
    assert_eq!(&value[..count], capability);
    // For the snapshot of a canary with attributes: they are part of it.
    rustix::fs::lsetxattr(scene.root().join("ping"), "user.a", b"b", XattrFlags::empty()).unwrap();
    assert!(snapshot(&scene.root().join("ping"))[0].contains("117, 115, 101, 114"));
}
