//! What containers share with each other and with the host: namespaces, sockets, environment, their own files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use moonshell::engine::container::options::{Network, Options, Share};
use moonshell::engine::container::spec::DEFAULT_PATH;

use crate::{Arena, IDLE, tool};

/// A container in the process ids of another one, and each looking at the other, at further processes on their way in,
/// and through all of them at the host.
#[test]
fn containers_that_share_process_ids() {
    let mut has_tool = false;
    let arena = Arena::new(|root, _| has_tool = tool::plant(root));
    let one = arena.start(IDLE, &Options::default()).unwrap();
    let options = Options { pid: Share::Container(one.id.clone()), ..Options::default() };
    let other = arena.start(IDLE, &options).unwrap();
    let canary = arena.canary().display().to_string();
    let look = format!(
        "for p in /proc/[0-9]*; do for w in root cwd cwd/../.. task/../root; do \
           test -e $p/$w{canary} && echo reached $p/$w; done; \
           for f in $p/fd/*; do test -e $f{canary} && echo reached $f; done; done; \
         chroot /proc/1/root /bin/ls {canary} 2>/dev/null; ls /proc/1/ns >/dev/null 2>&1; echo end"
    );
    assert_eq!(one.exec(&look).out, "end\n");
    assert_eq!(other.exec(&look).out, "end\n");
    if has_tool {
        std::thread::scope(|scope| {
            let hunter = scope.spawn(|| one.exec(&format!("exec tool hunt {canary}")));
            for round in 0..200 {
                assert_eq!(other.exec("true").code, 0);
                // A whole container on its way in has further to go than a process.
                if round % 10 == 0 {
                    arena.run("true", &options).unwrap();
                }
            }
            one.exec("touch /stop");
            let found = hunter.join().unwrap();
            assert!(found.out.contains(" wrote 0 out 0\n"), "{found:?}");
        });
    }
    // One that has no process ids of its own has nothing to kill but its own.
    let output = other.exec("kill -9 -1; echo survived");
    assert!(output.code == 137 || output.out == "survived\n", "{output:?}");
}

/// Nothing of the engine can be spoken to from inside: no socket in its files, no abstract one with the host's network,
/// no parent to signal.
#[test]
fn the_monitor_is_out_of_reach() {
    let arena = Arena::new(|_, _| ());
    for network in [Network::None, Network::Host] {
        let options = Options { network: network.clone(), ..Options::default() };
        let running = arena.start(IDLE, &options).unwrap();
        let state = arena.path("state").display().to_string();
        let line = format!(
            "find / -xdev -type s 2>/dev/null; find /dev /sys /run /tmp -type s 2>/dev/null; test -e {state} && echo state; \
             cut -d ' ' -f 4 /proc/1/stat; kill -9 -1; kill -9 0; echo end"
        );
        let output = running.exec(&line);
        assert!(matches!(output.out.as_str(), "0\n" | "0\nend\n"), "{output:?}");
        let sockets = running.exec("cat /proc/net/unix").out;
        let own: Vec<_> = sockets.lines().filter(|line| line.contains('@') && line.contains("moonshell")).collect();
        assert!(own.is_empty(), "{network:?}: {own:?}");
        if network == Network::None {
            assert_eq!(sockets.lines().count(), 1, "{sockets}");
        }
        assert!(arena.engine().container_state(&running.id).unwrap().status.is_live());
    }
    let outside = fs::read_to_string("/proc/net/unix").unwrap();
    let state = arena.path("state").display().to_string();
    assert!(!outside.lines().any(|line| line.contains('@') && line.contains(&state)), "an abstract socket of ours");
}

/// Exactly the documented variables, in a second container after one with secrets, and for processes in it
/// (CVE-2021-21334); nothing of the monitor's or the init's.
#[test]
fn environments_do_not_leak() {
    let arena = Arena::new(|_, _| ());
    let secret = Options { env: vec![("SECRET".into(), Some("tiger".into()))], ..Options::default() };
    let first = arena.start(IDLE, &secret).unwrap();
    assert_eq!(first.exec("echo $SECRET").out, "tiger\n");
    let env = "cat /proc/self/environ | tr '\\0' '\\n' | sort";
    let options = Options { hostname: Some("moon".into()), ..Options::default() };
    let path = format!("PATH={DEFAULT_PATH}");
    let wanted = ["HOME=/root", "HOSTNAME=moon", &path];
    let variables = |text: &str| -> Vec<String> {
        // What the shell itself adds for those it starts.
        text.lines().filter(|line| !line.starts_with("SHLVL=") && !line.starts_with("PWD=")).map(String::from).collect()
    };
    assert_eq!(variables(&arena.run(env, &options).unwrap().out), wanted);
    for init in [false, true] {
        let second = arena.start(IDLE, &Options { init, ..options.clone() }).unwrap();
        assert_eq!(variables(&second.exec(env).out), wanted);
        assert_eq!(variables(&second.exec("tr '\\0' '\\n' < /proc/1/environ | sort").out), wanted);
        let words = second.exec("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'").out;
        assert!(!words.contains("tiger") && !words.contains(arena.path("").to_str().unwrap()), "{words}");
    }
}

/// `/etc/hosts` and its like are files of the engine that the container may write to: the worst it can do stays its own.
#[test]
fn files_of_its_own_as_a_way_out() {
    let arena = Arena::new(|_, _| ());
    let before = arena.mounts();
    let line = format!(
        "test -e /ready && exec sleep 100000; mv /etc /gone 2>/dev/null && echo moved; for f in /etc/hosts /etc/hostname /etc/resolv.conf; do \
           rm -f $f 2>/dev/null && echo removed $f; mv $f /tmp/x 2>/dev/null && echo moved $f; \
           ln -sf {0}/file $f 2>/dev/null && echo linked $f; ln $f /etc/other 2>/dev/null && echo hard $f; \
           umount $f 2>/dev/null && echo unmounted $f; \
           cat /bin/busybox > $f; truncate -s 10G $f; chown 1000:1000 $f; chmod 6777 $f; \
         done; touch /ready; exec sleep 100000",
        arena.canary().display()
    );
    let running = arena.start(&line, &Options::default()).unwrap();
    running.exec("until test -e /ready; do :; done");
    let log = fs::read_to_string(arena.folder(&running.id).join("container.log")).unwrap_or_default();
    assert_eq!(log, "", "something worked");
    let engine = arena.engine();
    let hosts = arena.folder(&running.id).join("hosts");
    assert_eq!(fs::metadata(&hosts).unwrap().mode() & 0o7777, 0o6777, "nothing was tried");
    // Who is somebody else on the host cannot get at the program with the setuid bit.
    fs::set_permissions(arena.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Command::new(&hosts).arg("true").uid(1000).gid(1000).status().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    engine.container_inspect(&running.id).unwrap();
    engine.container_restart(&running.id, Some(libc::SIGKILL), None).unwrap();
    assert_eq!(arena.mounts(), before);
}

/// The log is the monitor's, by a name that a link could take; what is in it is text.
#[test]
fn the_log_as_a_link_and_as_a_forgery() {
    let arena = Arena::new(|_, _| ());
    for to in ["file", "none"] {
        let record = arena.create("echo into-the-log", &Options::default()).unwrap();
        let log = arena.folder(&record.id).join("container.log");
        let _ = fs::remove_file(&log);
        symlink(arena.canary().join(to), &log).unwrap();
        let _ = arena.engine().container_start(&record.id);
        let _ = arena.engine().container_wait(&record.id);
        arena.check();
        arena.engine().container_remove(&record.id, true, true).unwrap();
        arena.check();
    }
    let forged = r#"{"log":"forged\n","stream":"stderr","time":"2001-01-01T00:00:00Z"}"#;
    let line = format!("echo '{forged}'; printf 'a\\0b\\033[2J\\r\\n\",\"stream\":\"x\\n\\377\\n'");
    let running = arena.start(&line, &Options::default()).unwrap();
    arena.engine().container_wait(&running.id).unwrap();
    let text = fs::read_to_string(arena.folder(&running.id).join("container.log")).unwrap();
    let mut whole = String::new();
    for row in text.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        assert_eq!(row["stream"], "stdout");
        assert!(!row["time"].as_str().unwrap().starts_with("2001"));
        whole.push_str(row["log"].as_str().unwrap());
    }
    assert_eq!(whole, format!("{forged}\na\0b\u{1b}[2J\r\n\",\"stream\":\"x\n\u{fffd}\n"));
}

/// As another user of the host, nothing below the state folder can be listed, read or run.
#[test]
fn other_users_of_the_host_see_nothing() {
    let arena = Arena::new(|root, _| {
        let path = root.join("bin/setuid");
        fs::copy("/bin/busybox", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).unwrap();
    });
    fs::set_permissions(arena.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let running =
        arena.start("cp /bin/setuid /mine; chmod 6755 /mine; exec sleep 100000", &Options::default()).unwrap();
    running.exec("until test -u /mine; do :; done");
    let record = arena.engine().container_find(&running.id).unwrap().unwrap();
    let folder = arena.folder(&running.id);
    let program = record.rootfs.upper.join("mine");
    assert!(fs::metadata(&program).unwrap().mode() & 0o4000 != 0, "nothing was tried");
    let as_ann = |program: &std::path::Path, argument: &std::path::Path| {
        let output = Command::new(program).arg(argument).uid(1000).gid(1000).output();
        output.is_ok_and(|output| output.status.success())
    };
    assert!(as_ann("/bin/ls".as_ref(), &arena.path("canary")), "this user can see nothing at all");
    let names = ["config.json", "container.json", "state.json", "hosts", "control", "container.log", "upper", "rootfs"];
    let mut paths = vec![arena.path("state"), arena.path("state/layers"), arena.path("state/blobs"), program.clone()];
    paths.extend(names.iter().map(|name| folder.join(name)));
    for path in paths {
        assert!(!as_ann("/bin/ls".as_ref(), &path), "listed {}", path.display());
        assert!(!as_ann("/bin/cat".as_ref(), &path), "read {}", path.display());
    }
    for path in [program, record.rootfs.lowers[0].join("bin/setuid")] {
        assert!(!as_ann(&path, "true".as_ref()), "ran {}", path.display());
    }
    let root = format!("/proc/{}/root/mine", running.pid());
    assert!(!as_ann("/bin/cat".as_ref(), root.as_ref()), "through {root}");
}
