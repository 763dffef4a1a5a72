//! Tar streams into and out of a root, hostile ones too, and the whole root.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use moonshell::engine::Limits;
use moonshell::engine::container::files::{CopyOptions, export};

use crate::hostile::{Tar, snapshot};
use crate::{Scene, archive};

/// Names and contents of a stream.
fn entries(tar: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(tar);
    let read = |entry: std::io::Result<tar::Entry<&[u8]>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let link = entry.link_name().unwrap().map(|link| format!("->{}", link.display()));
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        (name, link.unwrap_or(content))
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn names_begin_with_the_base_name() {
    let scene = Scene::new();
    let names = |path: &str| entries(&scene.tar_out(path).unwrap()).into_keys().collect::<Vec<_>>();
    assert_eq!(names("/etc/passwd"), ["passwd"]);
    assert_eq!(names("/data"), ["data/", "data/x", "data/y/", "data/y/z"]);
    assert_eq!(names("/data/"), ["data/", "data/x", "data/y/", "data/y/z"]);
    assert_eq!(names("/data/."), ["./", "./x", "./y/", "./y/z"]);
    assert_eq!(names("/to-dir"), ["to-dir"]);
    assert_eq!(entries(&scene.tar_out("/etc").unwrap())["etc/up"], "->../../../../../../data");
    assert_eq!(scene.tar_out("/nothing").unwrap_err().kind().name(), "not_found");
}

#[test]
fn what_comes_out_goes_in_again() {
    let scene = Scene::new();
    let sparse = fs::File::create(scene.path("root/data/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 30 << 20).unwrap();
    sparse.set_len(1 << 35).unwrap();
    fs::hard_link(scene.path("root/data/x"), scene.path("root/data/y/x2")).unwrap();
    std::os::unix::fs::lchown(scene.path("root/data/x"), Some(7), Some(8)).unwrap();
    let tar = scene.tar_out("/data").unwrap();
    assert!(tar.len() < 1 << 20, "{} bytes", tar.len());
    for (target, options, owner) in [("/empty", archive(), 7), ("/full", CopyOptions::default(), 0)] {
        scene.tar_in(&tar, target, &options).unwrap();
        let at = scene.path("root").join(&target[1..]).join("data");
        assert_eq!(fs::read_to_string(at.join("y/z")).unwrap(), "z");
        let (one, two) = (fs::metadata(at.join("x")).unwrap(), fs::metadata(at.join("y/x2")).unwrap());
        assert_eq!((one.ino(), one.uid()), (two.ino(), owner));
        let sparse = fs::metadata(at.join("sparse")).unwrap();
        assert!(sparse.len() == 1 << 35 && sparse.blocks() < 1000);
        let before = fs::metadata(scene.path("root/data/y")).unwrap();
        assert_eq!(fs::metadata(at.join("y")).unwrap().mtime(), before.mtime());
    }
    // And GNU tar reads it.
    fs::write(scene.path("host/out.tar"), &tar).unwrap();
    let status = Command::new("tar").arg("-xf").arg("out.tar").current_dir(scene.path("host")).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::metadata(scene.path("host/data/sparse")).unwrap().len(), 1 << 35);
}

#[test]
fn compressed_streams_are_read_here() {
    let scene = Scene::new();
    let tar = Tar::default().file("zipped", "zipped").end();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    // A program of the container's would be found by these names.
    for name in ["gzip", "gunzip", "unpigz", "xz", "tar"] {
        fs::write(scene.path("root").join(name), "#!/bin/sh\ntouch /tmp/moonshell-trojan\n").unwrap();
    }
    scene.tar_in(&encoder.finish().unwrap(), "/data", &CopyOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(scene.path("root/data/zipped")).unwrap(), "zipped");
    assert!(!std::path::Path::new("/tmp/moonshell-trojan").exists());
}

fn tar() -> Tar {
    Tar::default()
}

/// The case's name, the stream (given the canary's path), and the paths that must be there or the error's text.
type Row = (&'static str, Box<dyn Fn(&str) -> Vec<u8>>, Result<&'static [&'static str], &'static str>);

#[test]
fn hostile_streams_stay_inside_or_are_refused() {
    let climbs = "climbs out of the target folder";
    let canary = |scene: &Scene| scene.path("canary").display().to_string();
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("climbing", Box::new(|_| tar().file("../evil", "x").end()), Err(climbs)),
        ("climbing deep", Box::new(|_| tar().file("a/b/../../../../canary/file", "x").end()), Err(climbs)),
        ("climbing folder", Box::new(|_| tar().dir("..").end()), Err(climbs)),
        ("climbing back in", Box::new(|_| tar().file("a/../b", "x").end()), Ok(&["data/b"])),
        ("absolute", Box::new(|_| tar().file("/etc/evil", "x").end()), Ok(&["data/etc/evil"])),
        ("through a link", Box::new(|to| tar().pax(b'x', &[("linkpath", to.as_bytes())]).symlink("l", "x").file("l/new", "x").end()), Ok(&["data/l"])),
        ("through a link up", Box::new(|_| tar().symlink("l", "../../../../canary").file("l/new", "x").end()), Ok(&["canary/new"])),
        ("onto a link", Box::new(|to| tar().pax(b'x', &[("linkpath", format!("{to}/file").as_bytes())]).symlink("l", "x").file("l", "x").end()), Ok(&["data/l"])),
        ("folder onto a link", Box::new(|to| tar().pax(b'x', &[("linkpath", to.as_bytes())]).symlink("l", "x").dir("l").end()), Err("a folder cannot take the place of what is not one")),
        ("file onto a folder", Box::new(|_| tar().file("y", "x").end()), Err("what is no folder cannot take the place of one")),
        ("hard link out", Box::new(|_| tar().hard("h", "../file").end()), Err("is a hard link to '../file', outside the folder")),
        ("hard link absolute", Box::new(|to| tar().pax(b'x', &[("linkpath", format!("{to}/file").as_bytes())]).hard("h", "x").end()), Err("which is not there")),
        ("hard link through a link", Box::new(|to| tar().pax(b'x', &[("linkpath", to.as_bytes())]).symlink("l", "x").hard("h", "l/file").end()), Err("which is not there")),
        ("hard link to a folder", Box::new(|_| tar().hard("h", "y").end()), Err("which is a folder")),
        ("hard link", Box::new(|_| tar().hard("h", "x").end()), Ok(&["data/h"])),
        ("device", Box::new(|_| tar().device("d", 8, 0).end()), Err("is a device")),
        ("pipe", Box::new(|_| tar().entry(b'6', "p", "").end()), Ok(&["data/p"])),
        ("unknown type", Box::new(|_| tar().entry(b'V', "p", "").end()), Err("has the unknown type 'V'")),
        ("nameless", Box::new(|_| tar().file("", "x").end()), Err("names the target folder but is not a folder")),
        ("target folder", Box::new(|_| tar().dir("./").file("./n", "x").end()), Ok(&["data/n"])),
        ("long header", Box::new(|_| tar().header(b'x', "pax", "", 2 << 20, |_| ()).end()), Err("extension header of 2097152 bytes")),
        ("cut off", Box::new(|_| tar().header(b'0', "f", "", 9000, |_| ()).data(b"x").0), Err("cut off")),
        ("no tar", Box::new(|_| vec![b'x'; 2048]), Err("stream is not a tar archive")),
        ("deep", Box::new(|_| tar().pax(b'x', &[("path", "a/".repeat(300).as_bytes())]).file("x", "x").end()), Err("256 folders deep")),
        ("long name", Box::new(|_| tar().long(b'L', &"n".repeat(256)).file("x", "x").end()), Err("longer than 255 bytes")),
        ("whiteouts mean nothing", Box::new(|_| tar().file(".wh.x", "").end()), Ok(&["data/.wh.x", "data/x"])),
        ("unlisted folders", Box::new(|_| tar().file("n/e/w", "x").end()), Ok(&["data/n/e/w"])),
    ];
    for (name, make, want) in rows {
        let scene = Scene::new();
        let before = snapshot(&scene.path("canary"));
        let result = scene.tar_in(&make(&canary(&scene)), "/data", &CopyOptions::default());
        match want {
            Ok(list) => {
                result.unwrap_or_else(|e| panic!("{name}: {e:?}"));
                for path in list {
                    assert!(fs::symlink_metadata(scene.path("root").join(path)).is_ok(), "{name}: {path} is not there");
                }
            }
            Err(text) => {
                let error = format!("{:?}", result.expect_err(name));
                assert!(error.contains(text), "{name}: {error}");
            }
        }
        assert_eq!(snapshot(&scene.path("canary")), before, "{name}: the canary changed");
        let left = crate::rules::walk(&scene.path("root"));
        assert!(!left.iter().any(|path| path.contains(".moonshell-")), "{name}: {left:?}");
    }
    let scene = Scene::new();
    let limits = Limits { layer_bytes: 10_000, ..Limits::default() };
    let small = CopyOptions { limits, ..CopyOptions::default() };
    let error = scene.tar_in(&tar().file("f", &"x".repeat(20_000)).end(), "/data", &small).unwrap_err();
    assert!(format!("{error:?}").contains("10000 bytes"), "{error:?}");
    for (target, kind) in [("/nothing", "not_found"), ("/file", "invalid_argument")] {
        let error = scene.tar_in(&tar().file("f", "x").end(), target, &CopyOptions::default()).unwrap_err();
        assert_eq!(error.kind().name(), kind);
    }
    scene.tar_in(&tar().device("d", 10, 250).end(), "/to-dir", &archive()).unwrap();
    assert!(fs::symlink_metadata(scene.path("root/data/d")).is_ok());
}

#[test]
fn an_export_stays_on_its_file_system() {
    let scene = Scene::new();
    let mounts = [("root/data", "tmpfs"), ("root/empty", "tmpfs")];
    for (path, kind) in mounts {
        let status = Command::new("mount").args(["-t", kind, "none"]).arg(scene.path(path)).status().unwrap();
        assert!(status.success());
    }
    fs::write(scene.path("root/data/hidden"), "hidden").unwrap();
    let bound =
        |path: &str| Command::new("mount").arg("--bind").arg(scene.path("host/file")).arg(scene.path(path)).status();
    assert!(bound("root/file").unwrap().success());
    let mut tar = Vec::new();
    let exported = export(scene.root.as_fd(), &mut tar, &scene.cancel);
    for path in ["root/data", "root/empty", "root/file"] {
        assert!(Command::new("umount").arg(scene.path(path)).status().unwrap().success());
    }
    exported.unwrap();
    let found = entries(&tar);
    assert_eq!(found["data/"], "");
    assert_eq!(found["file"], "");
    assert_eq!(found["etc/passwd"], "root:x:0:0");
    assert_eq!(found["to-dir"], "->/data");
    assert!(!found.keys().any(|name| name.contains("hidden") || name.starts_with("./")), "{found:?}");
}
