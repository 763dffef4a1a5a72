//! A container that swaps folders and links while the engine copies, and one that shows the host's own `/proc`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use moonshell::engine::container::files::CopyOptions;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::hostile::snapshot;
use crate::{Scene, archive};

/// Swaps two names until dropped.
struct Swapper {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(one: &Path, two: &Path) -> Swapper {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (theirs, counted, one, two) = (stop.clone(), count.clone(), one.to_path_buf(), two.to_path_buf());
        let thread = thread::spawn(move || {
            while !theirs.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Swapper { stop, count, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Copies both ways through `/swap/dir`, which is now a folder, now a link to the canary. Says how often it worked.
fn race(climbing: bool) -> (u32, u32) {
    let scene = Scene::new();
    let canary = scene.path("canary");
    fs::create_dir_all(scene.path("root/swap/dir/dir")).unwrap();
    fs::write(scene.path("root/swap/dir/file"), "harmless").unwrap();
    fs::write(scene.path("root/swap/dir/dir/inner"), "harmless").unwrap();
    let target = if climbing {
        "../../../../../../../../".to_string() + canary.to_str().unwrap()
    } else {
        canary.display().to_string()
    };
    std::os::unix::fs::symlink(target, scene.path("root/swap/link")).unwrap();
    let before = snapshot(&canary);
    let swapper = Swapper::start(&scene.path("root/swap/dir"), &scene.path("root/swap/link"));
    let (mut into, mut out) = (0, 0);
    for round in 0..1000 {
        let (source, target) = match round % 4 {
            0 => ("file", "/swap/dir/file"),
            1 => ("dir", "/swap/dir"),
            2 => ("dir/.", "/swap/dir/dir"),
            _ => ("file", "/swap/dir/new"),
        };
        let options = if round % 2 == 0 { archive() } else { CopyOptions::default() };
        into += u32::from(scene.copy_in(source, target, &options).is_ok());
        let name = format!("got{round}");
        let source = ["/swap/dir/file", "/swap/dir/dir", "/swap/dir/.", "/swap"][round % 4];
        if scene.copy_out(source, &name, &CopyOptions { follow: round % 8 > 3, ..options }).is_ok() {
            out += 1;
        }
        let got = scene.path("host").join(&name);
        if fs::symlink_metadata(&got).is_ok_and(|meta| !meta.is_symlink()) {
            for path in
                [vec![got.display().to_string()], if got.is_dir() { crate::rules::walk(&got) } else { vec![] }].concat()
            {
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = if meta.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
                let ours = ["", "harmless", "inner", "deep", "host file"];
                assert!(ours.contains(&content.as_str()), "{path} holds '{content}'");
                assert!(!path.ends_with("program"), "{path} came out");
            }
        }
    }
    assert!(swapper.count.load(Ordering::Relaxed) > 1000, "the swapper was too slow");
    drop(swapper);
    assert_eq!(snapshot(&canary), before, "the canary changed");
    (into, out)
}

#[test]
fn swapped_links_lead_nowhere() {
    for climbing in [false, true] {
        let (into, out) = race(climbing);
        // Otherwise nothing was tried.
        assert!(into > 0 && out > 0, "{into} copies in and {out} copies out worked");
    }
}

#[test]
fn swapped_files_lead_nowhere() {
    let scene = Scene::new();
    let canary = scene.path("canary");
    fs::write(scene.path("root/data/file"), "harmless").unwrap();
    std::os::unix::fs::symlink(canary.join("file"), scene.path("root/data/link")).unwrap();
    rustix::fs::mkfifoat(CWD, scene.path("root/data/pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let before = snapshot(&canary);
    for other in ["root/data/link", "root/data/pipe"] {
        let swapper = Swapper::start(&scene.path("root/data/file"), &scene.path(other));
        for round in 0..1000 {
            // A pipe that was opened for reading would block here for good.
            for source in ["/data/file", "/data"] {
                let _ = scene.copy_out(source, &format!("got{round}"), &archive());
                let _ = fs::remove_dir_all(scene.path("host").join(format!("got{round}")));
                let _ = fs::remove_file(scene.path("host").join(format!("got{round}")));
            }
            let _ = scene.copy_in("file", "/data/file", &CopyOptions::default());
            let _ = scene.tar_out("/data");
        }
        drop(swapper);
        assert_eq!(snapshot(&canary), before, "the canary changed");
        let _ = fs::remove_file(scene.path("root/data/file"));
        fs::write(scene.path("root/data/file"), "harmless").unwrap();
    }
}

#[test]
fn a_copy_out_follows_no_link_of_an_earlier_one() {
    let scene = Scene::new();
    let canary = scene.path("canary");
    let before = snapshot(&canary);
    // First a link, then a folder of the same name with a file that would go through it.
    fs::create_dir_all(scene.path("root/one")).unwrap();
    fs::create_dir_all(scene.path("root/two/evil")).unwrap();
    std::os::unix::fs::symlink(&canary, scene.path("root/one/evil")).unwrap();
    std::os::unix::fs::symlink(canary.join("file"), scene.path("root/one/file")).unwrap();
    fs::write(scene.path("root/two/evil/file"), "owned").unwrap();
    fs::write(scene.path("root/two/file"), "owned").unwrap();
    fs::create_dir(scene.path("host/got")).unwrap();
    scene.copy_out("/one/.", "got", &CopyOptions::default()).unwrap();
    scene.copy_out("/two/.", "got", &CopyOptions::default()).unwrap_err();
    let over = CopyOptions { no_overwrite_dir_non_dir: false, ..CopyOptions::default() };
    scene.copy_out("/two/.", "got", &over).unwrap();
    assert_eq!(fs::read_to_string(scene.path("host/got/evil/file")).unwrap(), "owned");
    assert_eq!(fs::read_to_string(scene.path("host/got/file")).unwrap(), "owned");
    assert_eq!(snapshot(&canary), before, "the canary changed");
}

#[test]
fn magic_links_are_not_followed() {
    use std::os::fd::AsFd;
    let scene = Scene::new();
    let root = crate::open(Path::new("/"));
    let me = std::process::id();
    let target = scene.path("host/got");
    let follow = CopyOptions { follow: true, ..CopyOptions::default() };
    for path in [format!("/proc/{me}/root/etc/passwd"), format!("/proc/{me}/cwd/Cargo.toml"), format!("/proc/{me}/exe")]
    {
        let copied =
            moonshell::engine::container::files::copy_out(root.as_fd(), &path, &target, &follow, &scene.cancel);
        assert_eq!(copied.unwrap_err().errno(), Some(libc::ELOOP), "{path}");
    }
    let plain = CopyOptions::default();
    let exe = format!("/proc/{me}/exe");
    moonshell::engine::container::files::copy_out(root.as_fd(), &exe, &target, &plain, &scene.cancel).unwrap();
    assert!(fs::symlink_metadata(&target).unwrap().is_symlink());
}

#[test]
fn a_running_roots_mounts_are_seen_and_its_links_stay_inside() {
    use std::io::{BufRead, BufReader};
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    use moonshell::engine::container::files::{copy_in, copy_out, export};

    let scene = Scene::new();
    crate::engine_support::busybox_root(&scene.path("root"));
    fs::create_dir(scene.path("root/volume")).unwrap();
    let script = "mount -t tmpfs tmpfs root/volume && echo kept > root/volume/kept && exec chroot root /bin/sh -c 'echo ready; read x'";
    let mut child = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .current_dir(scene.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let before = snapshot(&scene.path("canary"));
    let root = crate::open(Path::new(&format!("/proc/{}/root", child.id())));
    let (cancel, options) = (&scene.cancel, archive());
    let out = copy_out(root.as_fd(), "/volume", &scene.path("host/got"), &options, cancel);
    let into = copy_in(root.as_fd(), &scene.path("host/dir"), "/volume", &options, cancel);
    let back = copy_out(root.as_fd(), "/volume/dir/sub/deep", &scene.path("host/back"), &options, cancel);
    let links = ["/out/file", "/etc/up/../out/file"]
        .map(|path| copy_out(root.as_fd(), path, &scene.path("host/leak"), &CopyOptions::default(), cancel));
    let mut tar = Vec::new();
    let exported = export(root.as_fd(), &mut tar, cancel);
    // Its input ends, and so does it.
    drop(child.stdin.take());
    child.wait().unwrap();
    out.unwrap();
    into.unwrap();
    back.unwrap();
    exported.unwrap();
    assert!(links.iter().all(|copied| copied.as_ref().is_err_and(|e| e.kind().name() == "not_found")), "{links:?}");
    assert_eq!(fs::read_to_string(scene.path("host/got/kept")).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(scene.path("host/back")).unwrap(), "deep");
    // It was written where the container sees it, not below.
    assert!(!scene.path("root/volume/dir").exists());
    let names: Vec<String> = tar::Archive::new(&tar[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.contains(&"volume/".to_string()) && !names.iter().any(|name| name.contains("kept")), "{names:?}");
    assert_eq!(snapshot(&scene.path("canary")), before);
}
