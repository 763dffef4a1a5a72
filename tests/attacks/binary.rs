//! The engine's own binary: containers that try to write to it (CVE-2019-5736).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use moonshell::engine::cancel::Cancel;
use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::{Command, Options};
use moonshell::engine::{Config, Engine};

use crate::{Arena, IDLE, engine_support, tool};

/// An arena whose engine is a copy of the binary, so that a success would not destroy the real one.
fn arena(plant: impl FnOnce(&std::path::Path)) -> Arena {
    let dir = tempfile::tempdir().unwrap();
    let executable = dir.path().join("moonshell");
    fs::copy(env!("CARGO_BIN_EXE_moonshell"), &executable).unwrap();
    let engine = Engine::open(Config::new(dir.path().join("state"), &executable, Cancel::new().unwrap())).unwrap();
    let host = engine_support::Host { dir, engine, events: Default::default() };
    let image = engine_support::busybox(&host);
    Arena::with(host, image, |root, _| plant(root))
}

/// Everything of the binary that a write would change.
fn looks(arena: &Arena) -> (u64, u64, i64, i64, u32, Vec<u8>) {
    let path = arena.path("moonshell");
    let meta = fs::metadata(&path).unwrap();
    (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.mode(), fs::read(&path).unwrap())
}

#[test]
fn an_entry_point_that_is_the_engine_itself() {
    let arena = arena(|root| {
        for (name, text) in [("self", "#!/proc/self/exe\n"), ("twice", "#!/bin/self\n"), ("init", "#!/dev/init\n")] {
            fs::write(root.join("bin").join(name), text).unwrap();
            fs::set_permissions(root.join("bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
    });
    let before = looks(&arena);
    let line = "exec 3>/proc/self/exe; exec 3>/proc/1/exe; exec 3>/proc/$$/exe; cat /bin/busybox > /proc/1/exe";
    for init in [false, true] {
        let options = Options { init, ..Options::default() };
        for name in ["/bin/self", "/bin/twice", "/bin/init", "/proc/self/exe", "/proc/1/exe"] {
            let entry = Options { entrypoint: Some(vec![name.into()]), ..options.clone() };
            // A failure or the engine's own complaint about what it was given: both are fine.
            let _ = arena.run(line, &entry);
            assert!(looks(&arena) == before, "{name}, init {init}");
        }
        let _ = arena.run(line, &options);
        assert!(looks(&arena) == before, "init {init}");
    }
}

#[test]
fn the_binary_that_an_init_shows_cannot_be_written() {
    let arena = arena(|_| ());
    let before = looks(&arena);
    let options = Options { init: true, ..Options::default() };
    let everything = Options {
        cap_add: vec!["ALL".into()],
        seccomp: moonshell::engine::container::options::Seccomp::Unconfined,
        ..options.clone()
    };
    let line = "for f in /dev/init /proc/1/exe; do \
                  (echo x >> $f) 2>/dev/null && echo wrote $f; \
                  (: > $f) 2>/dev/null && echo cut $f; \
                  chmod 6777 $f 2>/dev/null && echo changed $f; \
                  touch $f 2>/dev/null && echo touched $f; \
                  chown 1000 $f 2>/dev/null && echo owned $f; \
                done; \
                ln /dev/init /dev/other 2>/dev/null && echo linked; \
                rm -f /dev/init 2>/dev/null && echo removed; \
                test -x /dev/init && echo end";
    for options in [&options, &everything] {
        let output = arena.run(line, options).unwrap();
        assert_eq!(output.out, "end\n", "{}", output.err);
        assert!(looks(&arena) == before);
    }
    let running = arena.start(IDLE, &options).unwrap();
    assert_eq!(running.exec(line).out, "end\n");
    assert!(looks(&arena) == before);
}

/// Whoever may mount can take the "read-only" off a mount of its own: what is below must not be the host's file.
#[test]
fn a_container_that_may_mount_and_shows_the_binary() {
    let arena = arena(|_| ());
    let before = looks(&arena);
    let mounting = Options {
        init: true,
        cap_add: vec!["SYS_ADMIN".into()],
        seccomp: moonshell::engine::container::options::Seccomp::Unconfined,
        ..Options::default()
    };
    let privileged = Options { privileged: true, ..Options { init: true, ..Options::default() } };
    let line = "mount -o remount,bind,rw /dev/init && echo remounted; \
                mount -o remount,rw /dev/init 2>/dev/null; \
                mkdir /tmp/all; mount --bind /dev/init /dev/null; \
                for f in /dev/init /dev/null /proc/1/exe; do \
                  (echo x >> $f) 2>/dev/null && echo wrote $f; \
                  chmod 6777 $f 2>/dev/null && echo changed $f; \
                  touch $f 2>/dev/null && echo touched $f; \
                  chown 1000 $f 2>/dev/null && echo owned $f; \
                done; \
                umount /dev/init; \
                test -x /proc/1/exe && echo end";
    for options in [&mounting, &privileged] {
        let output = arena.run(line, options).unwrap();
        assert!(looks(&arena) == before, "{output:?}");
        // Without this the attack was none.
        assert_eq!(output.out, "remounted\nend\n", "{}", output.err);
        let running = arena.start(IDLE, options).unwrap();
        let output = running.exec(line);
        assert!(looks(&arena) == before, "{output:?}");
    }
}

/// Execs while a process inside opens every program it sees, keeps it, and tries to write to it: with and without an
/// init, and with the right to trace.
#[test]
fn execs_while_a_container_hunts_for_the_engine() {
    let mut has_tool = false;
    let arena = arena(|root| has_tool = tool::plant(root));
    if !has_tool {
        return;
    }
    let before = looks(&arena);
    for (init, count) in [(false, 1000), (true, 200)] {
        let options = Options { init, ..Options::default() };
        let running = arena.start(IDLE, &options).unwrap();
        let canary = arena.canary().display().to_string();
        std::thread::scope(|scope| {
            let hunter = scope.spawn(|| running.exec(&format!("exec tool hunt {canary}")));
            for _ in 0..count {
                let command = Command::Argv(vec!["/bin/true".into()]);
                let exec = ExecOptions::default();
                arena.engine().container_exec(&running.id, &command, &exec, true, true, &mut |_, _| Ok(())).unwrap();
            }
            running.exec("touch /stop");
            let found = hunter.join().unwrap();
            assert!(found.out.starts_with("ready\n"), "{found:?}");
            assert!(found.out.contains(" wrote 0 out 0\n"), "init {init}: {found:?}");
            // Processes that are on their way cannot be looked into; the init is the engine's binary, for all to see.
            assert_eq!(found.out.contains("seen 0 "), !init, "init {init}: {found:?}");
        });
        assert!(looks(&arena) == before, "the engine's binary changed");
    }
}
