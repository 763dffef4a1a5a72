//! `/etc/passwd` and `/etc/group` of an image and of a running container, and what can be typed for a user
//! (CVE-2024-9676, 2024-40635, 2022-36109, 2026-30892).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use moonshell::engine::build::Manner;
use moonshell::engine::build::settings::Setting;
use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::Options;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::{Arena, IDLE};

/// Ways to make a file a trap, as a shell in a container could; `OUT` is a file of the host that makes ann root.
const TRAPS: [&str; 9] = [
    "ln -s OUT $f",
    "ln -s ../../../../../../../..OUT $f",
    "mkfifo $f",
    "mkdir $f",
    "dd if=/dev/null of=$f bs=1 seek=10737418240",
    "ln -s $f $f",
    "ln -s /proc/self/environ $f",
    "ln -s /proc/1/root/OUT $f",
    "mknod $f c 1 5",
];

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn fake(arena: &Arena) -> String {
    // The canary has its own looks already; this file is beside it.
    let path = arena.path("fake");
    fs::write(&path, "ann:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\nwheel:x:0:ann\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path.display().to_string()
}

/// The lookup is over within a second and a little memory, and did not find what lies outside.
fn trapped(what: &str, ask: impl FnOnce() -> Option<String>) {
    let (start, before) = (Instant::now(), peak_kib());
    let id = ask();
    assert!(start.elapsed() < Duration::from_secs(1), "{what}: {:?}", start.elapsed());
    assert!(peak_kib() < before + (64 << 10), "{what}: {} KiB more", peak_kib() - before);
    assert_eq!(id, None, "{what}: somebody was found");
}

#[test]
fn an_image_with_traps_for_accounts() {
    for file in ["etc/passwd", "etc/group"] {
        for trap in TRAPS {
            let mut layer = std::path::PathBuf::new();
            let arena = Arena::new(|root, _| layer = root.to_path_buf());
            let path = layer.join(file);
            fs::remove_file(&path).unwrap();
            plant(trap, &path, file, &fake(&arena));
            for (user, group_add) in [("ann:wheel", vec![]), ("1000", vec!["wheel".to_string()])] {
                if file == "etc/passwd" && user == "1000" {
                    continue;
                }
                let options = Options { user: Some(user.into()), group_add, ..Options::default() };
                trapped(&format!("{file}: {trap} as {user}"), || arena.run("id", &options).ok().map(|o| o.out));
            }
        }
    }
}

/// Does on the host what the shell would do.
fn plant(trap: &str, path: &Path, file: &str, out: &str) {
    if let Some(to) = trap.strip_prefix("ln -s ") {
        let to = to.strip_suffix(" $f").unwrap().replace("OUT", out).replace("$f", &format!("/{file}"));
        symlink(to, path).unwrap();
    } else if trap.starts_with("mkfifo") {
        rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(0o666)).unwrap();
    } else if trap.starts_with("mkdir") {
        fs::create_dir(path).unwrap();
    } else if trap.starts_with("dd") {
        fs::File::create(path).unwrap().set_len(10 << 30).unwrap();
    } else {
        mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 5)).unwrap();
    }
}

#[test]
fn a_running_container_with_traps_for_accounts() {
    let arena = Arena::new(|_, _| ());
    let out = fake(&arena);
    for file in ["/etc/passwd", "/etc/group"] {
        let running = arena.start(IDLE, &Options::default()).unwrap();
        for trap in TRAPS {
            let made = running.exec(&format!("f={file}; rm -rf $f; {}", trap.replace("OUT", &out)));
            assert_eq!(made.code, 0, "{trap}: {made:?}");
            let exec = ExecOptions { user: Some("ann:wheel".into()), ..ExecOptions::default() };
            trapped(&format!("{file}: {trap}"), || running.exec_with("id", &exec).ok().map(|o| o.out));
        }
    }
}

/// The file changes between a good one and traps all the while.
#[test]
fn accounts_that_change_while_they_are_read() {
    let arena = Arena::new(|_, _| ());
    let out = fake(&arena);
    let line = format!(
        "cp /etc/passwd /good; cd /etc; while true; do rm -f passwd; ln -s {out} passwd; rm passwd; mkfifo passwd; \
         rm passwd; cp /good new; mv new passwd; done"
    );
    let running = arena.start(&line, &Options::default()).unwrap();
    let mut found = 0;
    for _ in 0..200 {
        let exec = ExecOptions { user: Some("ann".into()), ..ExecOptions::default() };
        // Not a shell: that looks itself up, and waits at the pipe.
        if let Ok(output) = running.exec_argv(&["cat", "/proc/self/status"], &exec) {
            assert!(output.out.contains("\nUid:\t1000\t1000\t1000\t1000\n"), "{output:?}");
            found += 1;
        }
    }
    assert!((1..200).contains(&found), "{found} of 200 were found: nothing was tried");
}

/// Numbers that overflow, and words that are not quite a user: an error, or exactly what they say (CVE-2024-40635).
#[test]
fn users_that_are_not_quite_users() {
    let arena = Arena::new(|_, _| ());
    let running = arena.start(IDLE, &Options::default()).unwrap();
    for user in [
        "2147483648",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        "-0",
        "+0",
        "0x0",
        "00x",
        "1000:x",
        ":5",
        "1000:",
        ":",
        "::",
        " 0",
        "0 ",
        "0\n",
        "\t0",
        "ann:root:wheel",
        "0:4294967296",
        "0:-1",
        "ann\0",
        "\u{0660}",
        "root\u{200b}",
        "root,ann",
        "#0",
        "1e3",
        "1000:10:0",
        "x:0:0",
    ] {
        let options = Options { user: Some(user.into()), ..Options::default() };
        assert!(arena.run("id -u", &options).is_err(), "run as {user:?}");
        let exec = ExecOptions { user: Some(user.into()), ..ExecOptions::default() };
        assert!(running.exec_with("id -u", &exec).is_err(), "exec as {user:?}");
        // As an image's own user it is refused when it is set, or when it is used.
        if let Ok(image) = arena.image.set(&Setting::User(user.into()), &Manner::default()) {
            let target = moonshell::engine::container::create::Target::State(image);
            let made = arena.engine().container_create(
                &target,
                None,
                &Options::default(),
                moonshell::engine::image::Policy::Never,
            );
            assert!(made.is_err(), "an image's user {user:?}");
        }
    }
    for (user, ids) in [("2147483647", "2147483647:0"), ("0000", "0:0"), ("1000:0", "1000:0"), ("007:010", "7:10")] {
        let exec = ExecOptions { user: Some(user.into()), ..ExecOptions::default() };
        assert_eq!(running.exec_with("echo $(id -u):$(id -g)", &exec).unwrap().out.trim(), ids, "{user}");
    }
}

/// The groups are the primary one and the image's, for run and exec, and a file that excludes a group stays closed
/// (CVE-2022-36109 and relatives).
#[test]
fn groups_are_complete() {
    let arena = Arena::new(|root, _| {
        let path = root.join("closed-to-group");
        fs::write(&path, "secret").unwrap();
        std::os::unix::fs::chown(&path, Some(0), Some(1000)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    });
    let line = "id -G; cat /closed-to-group; grep Groups /proc/self/status";
    let running = arena.start(IDLE, &Options::default()).unwrap();
    for (user, groups) in [("ann", "1000 10"), ("ann:wheel", "10"), ("1000", "1000 10"), ("4242:1000", "1000")] {
        let options = Options { user: Some(user.into()), ..Options::default() };
        let exec = ExecOptions { user: Some(user.into()), ..ExecOptions::default() };
        for output in [arena.run(line, &options).unwrap(), running.exec_with(line, &exec).unwrap()] {
            assert_eq!(output.lines()[0], groups, "{user}: {output:?}");
            assert_eq!(output.out.contains("secret"), user == "ann:wheel", "{user}: {output:?}");
            let kernel = output.out.split("Groups:\t").nth(1).unwrap();
            let mut listed: Vec<&str> = kernel.split_whitespace().collect();
            let mut wanted: Vec<&str> = groups.split(' ').collect();
            listed.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(listed, wanted, "{user}: the kernel's own list");
        }
    }
}
