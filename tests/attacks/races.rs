//! Targets that change while the engine mounts on them (CVE-2019-19921, 2021-30465, 2025-52565).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moonshell::engine::container::options::{Mount, Options};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{Arena, bind, tool};

/// Does something while two names are exchanged all the time by a thread here. The more often the better: in a quiet
/// moment between two, nothing would be tried.
pub fn while_swapping(one: &Path, two: &Path, act: impl FnOnce()) {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = Stop(&stop);
        act();
    });
    assert!(count.load(Ordering::Relaxed) > 1000, "the swapper was too slow");
}

/// Two containers share a folder; a process in the one exchanges a folder in it for a link to the canary, all the
/// while the other is started with mounts below.
#[test]
fn a_mount_target_in_a_shared_folder() {
    let mut has_tool = false;
    let arena = Arena::new(|root, _| has_tool = tool::plant(root));
    if !has_tool {
        return;
    }
    let shared = arena.path("shared");
    fs::create_dir_all(shared.join("dir")).unwrap();
    // In every root that a climbing link passes on its way up.
    symlink(format!("../../../../../../../../../..{}/dir", arena.canary().display()), shared.join("link")).unwrap();
    fs::create_dir(arena.path("shown")).unwrap();
    fs::write(arena.path("shown/of-the-host"), "").unwrap();
    let before = arena.mounts();
    let attacker = Options { mounts: vec![bind(&shared, "/shared")], ..Options::default() };
    let swapper = arena.start("exec tool swap /shared/dir /shared/link", &attacker).unwrap();
    let mounts = vec![
        bind(&shared, "/shared"),
        bind(&arena.path("shown"), "/shared/dir/sub"),
        bind(&arena.path("shown/of-the-host"), "/shared/dir/file"),
        Mount::tmpfs("/shared/dir/memory").unwrap(),
    ];
    let options = Options { mounts, workdir: Some("/shared/dir/work".into()), ..Options::default() };
    let (mut started, mut failed) = (0, 0);
    for _ in 0..500 {
        match arena.run("true", &options) {
            Ok(_) => started += 1,
            Err(_) => failed += 1,
        }
        assert_eq!(arena.mounts(), before, "a mount on the host");
    }
    assert!(started > 0, "{started} started, {failed} failed: nothing was tried");
    assert!(arena.engine().container_state(&swapper.id).unwrap().status.is_live(), "the swapper has ended");
}

#[test]
fn a_console_that_becomes_a_link() {
    let arena = Arena::new(|_, _| ());
    let dev = arena.path("dev");
    fs::create_dir(&dev).unwrap();
    fs::write(dev.join("console"), "").unwrap();
    symlink(arena.canary().join("file"), dev.join("other")).unwrap();
    let before = arena.mounts();
    let options = Options { tty: true, mounts: vec![bind(&dev, "/dev")], ..Options::default() };
    while_swapping(&dev.join("console"), &dev.join("other"), || {
        for _ in 0..500 {
            // Whoever covers /dev has no terminals there either: it does not come to the console.
            assert!(arena.run("echo y", &options).is_err());
            assert_eq!(arena.mounts(), before, "a mount on the host");
        }
    });
}

/// What is masked is found from the mount that was made, not by a path that a shared folder could bend.
#[test]
fn a_null_device_that_changes_while_it_masks() {
    let arena = Arena::new(|_, _| ());
    let dev = arena.path("dev");
    fs::create_dir(&dev).unwrap();
    fs::write(dev.join("null"), "").unwrap();
    symlink("/proc/sys", dev.join("other")).unwrap();
    let options = Options { mounts: vec![bind(&dev, "/dev")], ..Options::default() };
    while_swapping(&dev.join("null"), &dev.join("other"), || {
        for _ in 0..200 {
            let line = "cat /proc/kcore /proc/keys /proc/timer_list | wc -c; (echo > /proc/sys/kernel/domainname) && echo wrote";
            let output = arena.run(line, &options).unwrap();
            assert_eq!(output.out, "0\n", "{output:?}");
        }
    });
}

/// A bind's source on the host is a folder that a container shares and changes.
#[test]
fn a_source_that_becomes_a_link() {
    let arena = Arena::new(|_, _| ());
    let shared = arena.path("shared");
    fs::create_dir_all(shared.join("dir")).unwrap();
    fs::write(shared.join("dir/harmless"), "").unwrap();
    symlink(arena.canary(), shared.join("link")).unwrap();
    // Seen by the host, the link leads to the canary, which may be shown then, as whoever asked for this path said.
    // It must never be made, changed or removed for it.
    let options = Options { mounts: vec![bind(&shared.join("dir"), "/data:ro")], ..Options::default() };
    while_swapping(&shared.join("dir"), &shared.join("link"), || {
        for _ in 0..200 {
            let output = arena.run("ls /data; touch /data/x 2>/dev/null && echo wrote", &options);
            assert!(output.is_ok_and(|output| !output.out.contains("wrote")));
        }
    });
}
