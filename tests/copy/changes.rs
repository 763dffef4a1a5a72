//! What changed, read from the upper folders of real overlay mounts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use moonshell::engine::container::files::changes;

/// Two layers, an upper folder and the place they are mounted on.
pub struct Overlay {
    dir: tempfile::TempDir,
}

impl Overlay {
    pub fn new() -> Overlay {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["base/etc", "base/usr/bin", "base/var/log", "base/gone/deep", "base/deep/er", "base/swap"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for folder in ["top/etc", "top/opt/app", "upper", "work", "merged"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (name, content) in [
            ("base/etc/passwd", "root"),
            ("base/etc/hosts", "hosts"),
            ("base/usr/bin/sh", "sh"),
            ("base/gone/deep/file", "file"),
            ("base/deep/er/one", "one"),
            ("base/deep/er/two", "two"),
            ("base/swap/inner", "inner"),
            ("base/file", "file"),
            ("top/etc/passwd", "root, ann"),
            ("top/opt/app/run", "run"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        Overlay { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn lowers(&self) -> Vec<PathBuf> {
        vec![self.path("base"), self.path("top")]
    }

    /// Runs a script in the mounted tree.
    pub fn run(&self, script: &str) {
        let at = |name: &str| self.path(name).display().to_string();
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
            at("top"),
            at("base"),
            at("upper"),
            at("work")
        );
        let mount = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options, &at("merged")]).status();
        assert!(mount.unwrap().success());
        let done = Command::new("sh").arg("-ec").arg(script).current_dir(self.path("merged")).status();
        let unmounted = Command::new("umount").arg(at("merged")).status();
        assert!(done.unwrap().success() && unmounted.unwrap().success(), "{script}");
    }

    pub fn changes(&self, mounts: &[&str]) -> Vec<String> {
        let mounts: Vec<PathBuf> = mounts.iter().map(PathBuf::from).collect();
        let list = changes(&self.lowers(), &self.path("upper"), &mounts).unwrap();
        list.iter().map(|change| format!("{} {}", change.kind.letter(), change.path.display())).collect()
    }
}

#[test]
fn rows_of_changes() {
    for (script, want) in [
        ("true", &[][..]),
        ("echo x > new", &["A /new"]),
        ("echo x > etc/new", &["C /etc", "A /etc/new"]),
        ("echo x >> etc/hosts", &["C /etc", "C /etc/hosts"]),
        ("echo x >> etc/passwd", &["C /etc", "C /etc/passwd"]),
        ("rm etc/passwd", &["C /etc", "D /etc/passwd"]),
        ("rm -r gone", &["D /gone"]),
        ("rm -r gone; mkdir gone", &["C /gone", "D /gone/deep"]),
        ("rm -r gone; echo x > gone", &["C /gone"]),
        (
            "rm -r deep; mkdir -p deep/er; echo one > deep/er/one",
            &["C /deep", "C /deep/er", "C /deep/er/one", "D /deep/er/two"],
        ),
        ("rm -r swap; ln -s usr swap", &["C /swap"]),
        ("rm file; mkdir file; echo x > file/in", &["C /file", "A /file/in"]),
        ("mkdir -p a/b; echo x > a/b/c", &["A /a", "A /a/b", "A /a/b/c"]),
        ("chmod 700 etc", &["C /etc"]),
        ("chmod 600 usr/bin/sh", &["C /usr", "C /usr/bin", "C /usr/bin/sh"]),
        ("echo x > new; rm new", &[]),
        ("echo x > etc/new; rm etc/new", &["C /etc"]),
        ("mv usr/bin/sh usr/bin/ash", &["C /usr", "C /usr/bin", "A /usr/bin/ash", "D /usr/bin/sh"]),
        ("mkfifo etc/pipe; mknod etc/null c 1 3", &["C /etc", "A /etc/null", "A /etc/pipe"]),
        ("echo x > '.wh.odd'", &["A /.wh.odd"]),
    ] {
        let overlay = Overlay::new();
        overlay.run(script);
        assert_eq!(overlay.changes(&[]), want, "{script}");
    }
}

#[test]
fn mount_points_that_equal_nothing_do_not_count() {
    let overlay = Overlay::new();
    // As they are made for mounts on them.
    overlay.run("mkdir -p data/sub usr/share; : > etc/resolv.conf; echo x > mine; mkdir empty");
    let mounts = ["/data/sub", "/usr/share", "/etc/resolv.conf", "/etc/hosts"];
    assert_eq!(overlay.changes(&mounts), ["A /empty", "A /mine"]);
    // Through a link of the image.
    let linked = Overlay::new();
    std::os::unix::fs::symlink("usr", linked.path("base/lib")).unwrap();
    linked.run("mkdir usr/volume");
    assert!(linked.changes(&["/lib/volume"]).is_empty());
    assert_eq!(linked.changes(&[]), ["C /usr", "A /usr/volume"]);
    overlay.run("echo x > data/sub/file");
    let found = overlay.changes(&mounts);
    assert!(found.contains(&"A /data/sub/file".to_string()) && found.contains(&"A /data".to_string()), "{found:?}");
}

#[test]
fn an_upper_folder_in_use_leads_nowhere() {
    let overlay = Overlay::new();
    overlay.run("mkdir a; echo x > a/file");
    fs::set_permissions(overlay.path("upper"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc", overlay.path("upper/b")).unwrap();
    assert_eq!(overlay.changes(&[]), ["A /a", "A /a/file", "A /b"]);
    assert!(changes(&overlay.lowers(), Path::new("/nonexistent/upper"), &[]).is_err());
}
