//! Copies of a running container while a process in it exchanges folders for links, and images full of programs that
//! nothing of the engine may run (CVE-2018-15664, 2019-14271, 2022-1227).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use moonshell::engine::container::files::CopyOptions;
use moonshell::engine::container::options::Options;

use crate::{Arena, IDLE, tool};

/// The contents of every file below a path.
fn contents(path: &Path) -> Vec<String> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Vec::new() };
    if meta.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| contents(&entry.unwrap().path())).collect();
    }
    if meta.is_file() { vec![fs::read_to_string(path).unwrap()] } else { Vec::new() }
}

#[test]
fn a_container_that_swaps_while_it_is_copied() {
    let mut has_tool = false;
    let arena = Arena::new(|root, canary| {
        has_tool = tool::plant(root);
        for (at, to) in
            [("a", canary.display().to_string()), ("b", format!("../../../../../../../../..{}", canary.display()))]
        {
            fs::create_dir_all(root.join(at).join("dir/dir")).unwrap();
            fs::write(root.join(at).join("dir/file"), "harmless").unwrap();
            fs::write(root.join(at).join("dir/dir/inner"), "harmless").unwrap();
            symlink(to, root.join(at).join("link")).unwrap();
        }
    });
    if !has_tool {
        return;
    }
    fs::create_dir_all(arena.path("given/dir")).unwrap();
    fs::write(arena.path("given/file"), "given").unwrap();
    fs::write(arena.path("given/dir/program"), "given").unwrap();
    for at in ["a", "b"] {
        // Before the exchange the folders are the image's: the first of them copies them up.
        let line = format!("cp -a /{at} /{at}2; exec tool swap /{at}2/dir /{at}2/link");
        let running = arena.start(&line, &Options::default()).unwrap();
        running.exec(&format!("until ps | grep -q '[t]ool swap'; do :; done; test -e /{at}2"));
        let (mut into, mut out) = (0, 0);
        for round in 0..1000 {
            let options = CopyOptions { archive: round % 2 == 0, follow: round % 8 > 3, ..CopyOptions::default() };
            let (source, target) =
                [("file", "dir/file"), ("dir", "dir"), ("dir/.", "dir/dir"), ("file", "dir/new")][round % 4];
            let copied = arena.engine().container_copy_in(
                &running.id,
                &arena.path("given").join(source),
                &format!("/{at}2/{target}"),
                &options,
            );
            into += u32::from(copied.is_ok());
            let got = arena.path("got");
            let source = format!("/{at}2/{}", ["dir/file", "dir/dir", "dir/.", ""][round % 4]);
            out += u32::from(arena.engine().container_copy_out(&running.id, &source, &got, &options).is_ok());
            for text in contents(&got) {
                assert!(matches!(text.as_str(), "harmless" | "given"), "'{text}' came out of {source}");
            }
            let _ = fs::remove_dir_all(&got);
            let _ = fs::remove_file(&got);
        }
        assert!(into > 0 && out > 0, "{into} copies in and {out} out worked: nothing was tried");
        assert!(arena.engine().container_state(&running.id).unwrap().status.is_live(), "the swapper has ended");
        arena.check();
    }
}

#[test]
fn programs_and_libraries_of_the_image_are_not_run() {
    let arena = Arena::new(|root, _| {
        let trojan = "#!/bin/busybox sh\nbusybox touch /ran; busybox echo $0 >> /ran\n";
        for folder in ["usr/bin", "usr/sbin", "sbin", "lib/x86_64-linux-gnu", "lib64", "usr/lib/x86_64-linux-gnu"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut names: Vec<String> = Vec::new();
        for name in
            "tar gzip gunzip xz zstd cp ps top cat find id getent mount nsenter chroot runc crun pigz unpigz ldconfig"
                .split(' ')
        {
            names.extend(["bin", "usr/bin", "sbin", "usr/sbin"].map(|folder| format!("{folder}/{name}")));
        }
        for name in ["libnss_files.so.2", "libnss_dns.so.2", "libc.so.6", "ld-linux-x86-64.so.2", "libnss_compat.so.2"]
        {
            names.extend(
                ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64"].map(|folder| format!("{folder}/{name}")),
            );
        }
        for name in &names {
            let path = root.join(name);
            let _ = fs::remove_file(&path);
            fs::write(&path, trojan).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(root.join("etc/nsswitch.conf"), "passwd: files compat\nhosts: files dns\n").unwrap();
        fs::write(root.join("etc/ld.so.preload"), "/lib/x86_64-linux-gnu/libc.so.6\n").unwrap();
    });
    let engine = arena.engine();
    let running = arena.start(IDLE, &Options::default()).unwrap();
    let stopped = arena.create("true", &Options::default()).unwrap();
    fs::create_dir(arena.path("given")).unwrap();
    fs::write(arena.path("given/file"), "given").unwrap();
    let mut tar = Vec::new();
    for id in [&running.id, &stopped.id] {
        let options = CopyOptions::default();
        engine.container_copy_in(id, &arena.path("given"), "/in", &options).unwrap();
        engine.container_copy_out(id, "/etc", &arena.path(&format!("got-{id}")), &options).unwrap();
        tar.clear();
        engine.container_tar_out(id, "/etc", &mut tar, &options).unwrap();
        engine.container_tar_in(id, &mut &tar[..], "/tmp", &options).unwrap();
        engine.container_export(id, &mut std::io::sink()).unwrap();
        engine.container_diff(id).unwrap();
        engine.container_inspect(id).unwrap();
    }
    let rows = engine.container_top(&running.id).unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    engine.container_stats(&running.id).unwrap();
    let upper = engine.container_find(&running.id).unwrap().unwrap().rootfs.upper;
    assert!(!upper.join("ran").exists() && !stopped.rootfs.upper.join("ran").exists());
    // The trap works: whoever asks for one of them runs it.
    assert_eq!(running.exec("/usr/bin/tar").code, 0);
    assert!(upper.join("ran").exists());
    engine.container_remove(&stopped.id, true, true).unwrap();
}
