//! Mounts, devices, what is masked and read-only.

use std::fs;

use serde_json::json;

use crate::bundle::{Bundle, is_root};

/// The options of a mount as `/proc/self/mountinfo` in the container has them: those of the mount, its optional
/// fields, and those of the file system.
fn options(bundle: &mut Bundle, target: &str) -> String {
    bundle.config["process"]["args"][2] = format!("grep ' {target} ' /proc/self/mountinfo").into();
    let line = bundle.run();
    let line = line.lines().last().unwrap().to_string();
    line.split(&format!(" {target} ")).nth(1).unwrap().to_string()
}

#[test]
fn words_become_attributes() {
    if !is_root() {
        return;
    }
    for (words, expected) in [
        (
            json!(["nosuid", "noexec", "nodev", "ro", "noatime", "nodiratime"]),
            "ro,nosuid,nodev,noexec,noatime,nodiratime ",
        ),
        (json!(["nosuid", "suid", "strictatime"]), "rw "),
        (json!(["nosymfollow", "relatime"]), "rw,relatime,nosymfollow "),
        (json!(["mode=700", "size=1m", "dirsync"]), "rw,relatime "),
    ] {
        let mut bundle = Bundle::new("");
        bundle.mount(json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": words }));
        let seen = options(&mut bundle, "/mnt");
        assert!(seen.starts_with(expected), "{words}: {seen}");
        if words[0] == "mode=700" {
            assert!(seen.contains("mode=700") && seen.contains("size=1024k") && seen.contains("dirsync"), "{seen}");
        }
    }
    let mut bundle = Bundle::new("");
    bundle.mount(json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["nonsense"] }));
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("option nonsense of tmpfs"));
}

#[test]
fn bind_mounts_and_what_is_below_them() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("touch /a/x 2>&1; touch /a/below/x 2>&1; cat /file; ls /new/dir");
    for folder in ["source", "source/below"] {
        fs::create_dir(bundle.path().join(folder)).unwrap();
    }
    fs::write(bundle.path().join("source/text"), "text\n").unwrap();
    let below = bundle.path().join("source/below");
    nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
    bundle.mount(json!({ "destination": "/a", "source": "source", "options": ["rbind", "ro"] }));
    bundle.mount(json!({ "destination": "/file", "source": "source/text", "type": "bind", "options": ["bind", "ro"] }));
    bundle.mount(json!({ "destination": "/new/dir", "source": "source", "options": ["bind"] }));
    let first = bundle.run();
    bundle.config["mounts"][4]["options"] = json!(["rbind", "rro"]);
    let second = bundle.run();
    bundle.config["mounts"][4]["options"] = json!(["bind", "ro"]);
    let third = bundle.run();
    nix::mount::umount(&below).unwrap();
    let refused = "Read-only file system";
    assert_eq!(first.matches(refused).count(), 1, "{first}");
    assert!(first.ends_with("text\nbelow\ntext"), "{first}");
    assert_eq!(second.matches(refused).count(), 2, "{second}");
    assert_eq!(third.matches(refused).count(), 2, "{third}");
    bundle.config["mounts"][4]["source"] = "missing".into();
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("'missing': no such file or folder"));
}

#[test]
fn propagation_to_and_from_the_host() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("while :; do sleep 0.05; done");
    let source = bundle.path().join("source");
    fs::create_dir_all(source.join("later")).unwrap();
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    mount(Some("tmpfs"), &source, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    mount(None::<&str>, &source, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    fs::create_dir(source.join("later")).unwrap();
    bundle.mount(json!({ "destination": "/slave", "source": "source", "options": ["rbind", "rslave"] }));
    bundle.mount(json!({ "destination": "/plain", "source": "source", "options": ["rbind"] }));
    bundle.config["linux"]["rootfsPropagation"] = "rslave".into();
    let id = &bundle.id("a");
    bundle.ok(&["run", "-d", id]);
    mount(Some("tmpfs"), &source.join("later"), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let seen = bundle.ok(&["exec", id, "cat", "/proc/self/mountinfo"]);
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    umount2(&source.join("later"), MntFlags::MNT_DETACH).unwrap();
    umount2(&source, MntFlags::MNT_DETACH).unwrap();
    assert!(seen.contains(" /slave/later ") && !seen.contains(" /plain/later "), "{seen}");
    assert!(!host.contains("rootfs/"), "a mount of the container reached the host");
}

#[test]
fn id_mapped_mounts() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("stat -c '%u %g' /a/file");
    fs::create_dir(bundle.path().join("source")).unwrap();
    let file = bundle.path().join("source/file");
    fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(5), Some(6)).unwrap();
    let mapping = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1000 }]);
    bundle.mount(json!({ "destination": "/a", "source": "source", "options": ["bind", "idmap"],
        "uidMappings": mapping(20000), "gidMappings": mapping(30000) }));
    let output = bundle.oci(&["run", &bundle.id("a")]);
    if String::from_utf8_lossy(&output.stderr).contains("knows no id-mapped mounts") {
        eprintln!("SKIPPED: no id-mapped mounts on this file system");
        return;
    }
    assert_eq!(bundle.run(), "20005 30006");
    bundle.config["mounts"][4].as_object_mut().unwrap().remove("uidMappings");
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("needs both uidMappings and gidMappings"));
    bundle.config["mounts"][4].as_object_mut().unwrap().remove("gidMappings");
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("there are no mappings"));
}

#[test]
fn a_tmpfs_begins_with_what_it_covers() {
    if !is_root() {
        return;
    }
    let mut bundle =
        Bundle::new("cat /d/sub/file; readlink /d/link; stat -c '%a %u' /d /d/sub/file; rm /d/sub/file; ls /e");
    let folder = bundle.root().join("d");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/file"), "kept\n").unwrap();
    std::os::unix::fs::symlink("sub/file", folder.join("link")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(folder.join("sub/file"), fs::Permissions::from_mode(0o4711)).unwrap();
    std::os::unix::fs::chown(&folder, Some(7), None).unwrap();
    fs::create_dir(bundle.root().join("e")).unwrap();
    fs::write(bundle.root().join("e/covered"), "").unwrap();
    bundle.mount(json!({ "destination": "/d", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] }));
    bundle.mount(json!({ "destination": "/e", "type": "tmpfs", "source": "tmpfs" }));
    assert_eq!(bundle.run(), "kept\nsub/file\n750 7\n4711 0");
    assert!(folder.join("sub/file").exists());
}

#[test]
fn cgroups_of_its_own_in_and_out_of_a_namespace() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new(
        "ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
        || cat /sys/fs/cgroup/memory.max; touch /sys/fs/cgroup/x 2>&1; true",
    );
    bundle.mount(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "ro"] }));
    bundle.config["linux"]["resources"] = json!({ "memory": { "limit": 33 << 20 } });
    let limit = (33 << 20).to_string();
    let text = bundle.run();
    assert!(text.contains(&limit) && text.contains("Read-only"), "{text}");
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "cgroup");
    let text = bundle.run();
    assert!(text.contains(&limit) && text.contains("Read-only"), "{text}");
}

#[test]
fn devices_are_bound_or_made() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("");
    bundle.config["linux"]["devices"] = json!([
        { "path": "/dev/fifo", "type": "p", "fileMode": 0o622 },
        { "path": "/dev/null", "type": "c", "major": 1, "minor": 3 },
    ]);
    bundle.config["process"]["args"][2] = "cd /dev; stat -c '%n %F %t:%T' null fifo zero; readlink fd; readlink ptmx; \
        mknod x c 1 3; cat x 2>&1; stat -c %a fifo"
        .into();
    let text = bundle.run();
    // All are bound, so nodes made in the container are nothing.
    assert_eq!(
        text,
        "null character special file 1:3\nfifo fifo 0:0\nzero character special file 1:5\n/proc/self/fd\n\
        pts/ptmx\ncat: can't open 'x': Permission denied\n622"
    );
    bundle.config["linux"]["devices"] =
        json!([{ "path": "/dev/other", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 3, "gid": 4 }]);
    bundle.config["process"]["args"][2] =
        "stat -c '%F %t:%T %a %u %g' /dev/other; echo x >/dev/other && echo works".into();
    assert_eq!(bundle.run(), "character special file 1:3 640 3 4\nworks");
    // Not allowed by the rules, whatever node there is.
    bundle.config["linux"]["devices"][0]["minor"] = 1.into();
    bundle.config["process"]["args"][2] = "cat /dev/other 2>&1".into();
    assert!(String::from_utf8_lossy(&bundle.oci(&["run", &bundle.id("x")]).stdout).contains("Operation not permitted"));
}

#[test]
fn a_dev_that_is_no_fresh_file_system() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("echo x >/dev/null; ls /dev/zero /dev/tty; echo /dev/std*");
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    assert_eq!(bundle.run(), "/dev/tty\n/dev/zero\n/dev/stderr /dev/stdin /dev/stdout");
    // A second container over what the first has left.
    assert_eq!(bundle.run(), "/dev/tty\n/dev/zero\n/dev/stderr /dev/stdin /dev/stdout");
    bundle.config["root"]["readonly"] = true.into();
    bundle.config["process"]["args"][2] = "touch /x 2>&1; echo x >/dev/null && echo ok".into();
    assert!(bundle.run().ends_with("Read-only file system\nok"));
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"] }));
    bundle.config["process"]["args"][2] = "ls /dev/full /dev/pts/ptmx".into();
    assert_eq!(bundle.run(), "/dev/full\n/dev/pts/ptmx");
    bundle.config["mounts"].as_array_mut().unwrap().pop();
    bundle.mount(json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro"] }));
    bundle.mount(json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm" }));
    bundle.config["process"]["args"][2] = "touch /dev/x 2>&1; touch /dev/shm/x && echo x >/dev/null && echo ok".into();
    assert!(bundle.run().ends_with("Read-only file system\nok"));
}

#[test]
fn masked_and_read_only_paths() {
    if !is_root() {
        return;
    }
    let mut bundle =
        Bundle::new("wc -c </proc/keys; ls /sys/firmware; echo x >/proc/sys/kernel/domainname; echo x >/etc/f");
    bundle.config["process"]["args"][2] =
        "wc -c </proc/timer_list; ls -a /sys/firmware; (echo x >/proc/sys/kernel/domainname) 2>&1; (echo x >/f) 2>&1; \
         wc -c </secret"
            .into();
    fs::write(bundle.root().join("f"), "").unwrap();
    fs::write(bundle.root().join("secret"), "secret").unwrap();
    bundle.config["linux"]["maskedPaths"] = json!(["/proc/timer_list", "/sys/firmware", "/secret", "/no/such"]);
    bundle.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/f", "/no/such"]);
    let text = bundle.run();
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    assert!(text.starts_with("0\n.\n..\n") && text.ends_with("\n0"), "{text}");
}

#[test]
fn links_in_the_root_lead_nowhere() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("ls /link; echo in");
    let canary = bundle.path().join("canary");
    fs::create_dir(&canary).unwrap();
    std::os::unix::fs::symlink(&canary, bundle.root().join("link")).unwrap();
    bundle.mount(json!({ "destination": "/link/below", "type": "tmpfs", "source": "tmpfs" }));
    let output = bundle.oci(&["run", &bundle.id("a")]);
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    assert!(output.status.code().is_some());
    for target in ["proc", "sys", "dev"] {
        let bundle = Bundle::new("echo started");
        let canary = bundle.path().join("canary");
        fs::create_dir(&canary).unwrap();
        std::os::unix::fs::symlink(&canary, bundle.root().join(target)).unwrap();
        let output = bundle.oci(&["run", &bundle.id("a")]);
        assert!(!output.status.success(), "{target}");
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    }
}
