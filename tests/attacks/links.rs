//! Links and odd files in an image, in the way of what the engine mounts, makes, masks and fills (CVE-2021-30465,
//! 2022-23648, 2023-27561, 2025-31133, 2025-52881).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use moonshell::engine::build::Manner;
use moonshell::engine::build::settings::Setting;
use moonshell::engine::container::options::{Mount, Options};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::{Arena, IDLE};

/// The two ways a link leads out: from the root, and by climbing.
fn ways(canary: &Path) -> [String; 2] {
    [canary.display().to_string(), format!("../../../../../../../..{}", canary.display())]
}

fn node(path: &Path, kind: FileType, major: u32, minor: u32) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), makedev(major, minor)).unwrap();
}

#[test]
fn proc_and_sys_that_are_links_are_refused() {
    for name in ["proc", "sys"] {
        for to in ["tmp/x", "/tmp/x", "canary", "way/out"] {
            let arena = Arena::new(|root, canary| {
                fs::create_dir_all(root.join("tmp/x/self/attr")).unwrap();
                fs::create_dir_all(root.join("tmp/x/sys/kernel")).unwrap();
                let to = if to == "canary" { canary.display().to_string() } else { to.to_string() };
                symlink("tmp", root.join("way")).unwrap();
                symlink(&to, root.join(name)).unwrap();
            });
            let error = arena.run("echo ran", &Options::default()).unwrap_err();
            assert!(error.message().contains(&format!("/{name} is a symbolic link")), "{name} to {to}: {error}");
        }
    }
    // Nor another thing than a folder.
    for name in ["proc", "sys", "dev"] {
        let arena = Arena::new(|root, _| node(&root.join(name), FileType::CharacterDevice, 1, 3));
        assert!(arena.run("echo ran", &Options::default()).is_err(), "{name}");
    }
}

#[test]
fn what_lies_below_proc_in_the_image_is_of_no_use() {
    let arena = Arena::new(|root, canary| {
        for name in ["proc/self/attr", "proc/self/fd", "proc/sys/kernel", "sys/fs"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink(canary, root.join("proc/sys/kernel/hostname")).unwrap();
        symlink(canary.join("file"), root.join("proc/kcore")).unwrap();
        symlink(canary, root.join("sys/fs/cgroup")).unwrap();
        symlink("/proc/sysrq-trigger", root.join("proc/self/attr/exec")).unwrap();
    });
    let sysctls = vec![("kernel.shmmax".into(), "65536".into()), ("net.ipv4.ip_forward".into(), "0".into())];
    let options = Options { sysctls, apparmor: None, ..Options::default() };
    let output =
        arena.run("cat /proc/sys/kernel/shmmax; cat /proc/kcore | wc -c; test -L /proc/kcore || echo real", &options);
    assert_eq!(output.unwrap().out, "65536\n0\nreal\n");
}

#[test]
fn dev_that_is_a_link() {
    for way in 0..2 {
        for inner in ["", "/dir", "/none/below"] {
            let arena = Arena::new(|root, canary| {
                symlink(format!("{}{inner}", ways(canary)[way]), root.join("dev")).unwrap();
            });
            for tty in [false, true] {
                let options = Options { tty, init: tty, ..Options::default() };
                let _ = arena.run("echo x > /dev/null; mknod /dev/x c 1 3; rm -f /dev/zero", &options);
                arena.check();
            }
        }
    }
}

/// The places of the engine's own mounts lead to the canary.
#[test]
fn places_of_mounts_that_are_links() {
    for way in 0..2 {
        let arena = Arena::new(|root, canary| {
            let out = &ways(canary)[way];
            for name in ["memory", "data", "home", "run"] {
                symlink(format!("{out}/{name}"), root.join(name)).unwrap();
            }
            for name in ["hosts", "hostname", "resolv.conf"] {
                symlink(format!("{out}/etc/{name}"), root.join("etc").join(name)).unwrap();
            }
        });
        let before = arena.mounts();
        fs::create_dir(arena.path("shown")).unwrap();
        fs::write(arena.path("shown/of-the-host"), "yes").unwrap();
        let mounts = vec![
            crate::bind(&arena.path("shown"), "/data"),
            crate::bind(&arena.path("shown"), "/home/deep/er"),
            crate::bind(&arena.path("shown/of-the-host"), "/run/file"),
            Mount::tmpfs("/memory").unwrap(),
            Mount::anonymous("/home/anonymous").unwrap(),
        ];
        let line = "cat /data/of-the-host /home/deep/er/of-the-host /run/file; echo t > /memory/t; echo h >> /etc/hosts; \
                    echo a > /home/anonymous/a; echo w > /work/w";
        let options = Options { mounts, workdir: Some("/work".into()), ..Options::default() };
        let output = arena.run(line, &options).unwrap();
        assert_eq!(output.out, "yesyesyes", "{output:?}");
        arena.check();
        assert_eq!(arena.mounts(), before);
    }
}

#[test]
fn working_folders_through_links() {
    for way in 0..2 {
        let arena = Arena::new(|root, canary| symlink(&ways(canary)[way], root.join("way")).unwrap());
        for dir in ["/way", "/way/dir", "/way/new", "/way/new/er", "/way/../../..", "/tmp/../../way/x", "../way/y"] {
            for user in [None, Some("ann".to_string())] {
                let options = Options { workdir: Some(dir.into()), user, ..Options::default() };
                if let Ok(output) = arena.run("ls inner file; ls -a; touch mine", &options) {
                    assert!(!output.out.contains("inner") && !output.out.contains("program"), "{dir}: {output:?}");
                }
                arena.check();
            }
        }
    }
}

/// Data folders at places that are links, filled from places that are links, with links in them; owners and modes are
/// the image's (CVE-2022-23648).
#[test]
fn data_folders_through_links() {
    for way in 0..2 {
        let mut arena = Arena::new(|root, canary| {
            let out = &ways(canary)[way];
            symlink(out, root.join("vol")).unwrap();
            fs::create_dir_all(root.join("real/sub")).unwrap();
            fs::write(root.join("real/file"), "of the image").unwrap();
            symlink("real", root.join("near")).unwrap();
            for (name, to) in [("file", "/file"), ("dir", "/dir"), ("whole", "")] {
                symlink(format!("{out}{to}"), root.join("real").join(format!("to-{name}"))).unwrap();
            }
            for name in ["to-file", "to-dir", "to-whole"] {
                std::os::unix::fs::lchown(root.join("real").join(name), Some(1000), Some(1000)).unwrap();
            }
            chown(root.join("real"), Some(1000), Some(1000)).unwrap();
            fs::set_permissions(root.join("real"), fs::Permissions::from_mode(0o777)).unwrap();
            node(&root.join("real/device"), FileType::BlockDevice, 7, 0);
        });
        let volumes = ["/vol", "/vol/dir", "/vol/new", "/near", "/near/to-dir", "/near/to-whole/deep", "/x/../../vol"];
        for volume in volumes {
            let mut image = arena.image.clone();
            match image.set(&Setting::Volume(vec![volume.into()]), &Manner::default()) {
                Ok(set) => image = set,
                Err(_) => continue,
            }
            let plain = std::mem::replace(&mut arena.image, image);
            let line = format!(
                "cd {volume} && ls -a; cat {volume}/file {volume}/inner; touch {volume}/mine; chmod 777 {volume}"
            );
            if let Ok(output) = arena.run(&line, &Options::default()) {
                assert!(!output.out.contains("inner") && !output.out.contains("program"), "{volume}: {output:?}");
                assert_eq!(output.out.contains("of the image"), volume == "/near", "{volume}: {output:?}");
            }
            arena.check();
            arena.image = plain;
        }
        // What a container leaves in its data folder is removed with it, not followed.
        let mounts = vec![Mount::anonymous("/near").unwrap()];
        let running = arena.start(IDLE, &Options { mounts, ..Options::default() }).unwrap();
        let output =
            running.exec("rm -rf /near/to-dir/. ; ln -s /near/to-whole/../.. /near/up; ls /near; stat -c %u:%a /near/");
        assert!(output.out.contains("to-whole") && output.out.contains("1000:777"), "{output:?}");
        drop(running);
        arena.check();
        assert_eq!(fs::read_dir(arena.path("state/volumes")).unwrap().count(), 0);
    }
}

/// What covers a masked path is the host's null device, whatever the image has at that name.
#[test]
fn masks_are_not_the_images() {
    type Plant = fn(&Path, &Path);
    let plants: [Plant; 6] = [
        |dev, canary| symlink(canary.join("file"), dev.join("null")).unwrap(),
        |dev, _| symlink("/proc/kcore", dev.join("null")).unwrap(),
        |dev, _| symlink("/proc/self/fd/3", dev.join("null")).unwrap(),
        |dev, _| fs::write(dev.join("null"), "not null").unwrap(),
        |dev, _| node(&dev.join("null"), FileType::CharacterDevice, 1, 5),
        |dev, _| fs::create_dir(dev.join("null")).unwrap(),
    ];
    for (at, plant) in plants.into_iter().enumerate() {
        // In the image, and in a folder of the host that is mounted over the fresh /dev.
        for over in [false, true] {
            let arena = Arena::new(|root, canary| {
                fs::create_dir(root.join("dev")).unwrap();
                plant(&root.join("dev"), canary);
            });
            fs::create_dir(arena.path("dev")).unwrap();
            plant(&arena.path("dev"), &arena.canary());
            let mounts = if over { vec![crate::bind(&arena.path("dev"), "/dev")] } else { Vec::new() };
            let line = "for f in kcore keys timer_list interrupts; do cat /proc/$f 2>/dev/null | wc -c; done; ls /sys/firmware | wc -l; \
                        (echo x > /proc/sysrq-trigger) 2>/dev/null && echo wrote; \
                        for f in keys timer_list; do test ! -e /proc/$f || grep -q \" /proc/$f \" /proc/mounts || echo open $f; done; \
                        grep -c ' /proc/interrupts ' /proc/mounts";
            let output = arena.run(line, &Options { mounts, ..Options::default() }).unwrap();
            assert_eq!(output.out, "0\n0\n0\n0\n0\n1\n", "plant {at}, over {over}: {output:?}");
            if !over {
                let own =
                    arena.run("stat -c %t:%T /dev/null; ls -l /dev/null | head -c 1", &Options::default()).unwrap();
                assert_eq!(own.out, "1:3\nc", "plant {at}");
            }
        }
    }
}

#[test]
fn removing_a_container_follows_no_link() {
    let arena = Arena::new(|_, _| ());
    let canary = arena.canary();
    let line = format!(
        "ln -s {0} /out; mkdir -p /a/b; ln -s {0}/dir /a/b/c; ln -s ../../../../../../../..{0} /a/up; chmod 0 /a; mkfifo /p; exec sleep 9999",
        canary.display()
    );
    let running = arena.start(&line, &Options::default()).unwrap();
    running.exec("until test -e /p; do :; done");
    let folder = arena.folder(&running.id);
    drop(running);
    assert!(!folder.exists());
    assert_eq!(fs::metadata(canary.join("dir")).unwrap().mode() & 0o777, 0o755);
}
