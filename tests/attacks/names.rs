//! Names and ids as paths: nothing but a container's own name finds it, and nothing hostile becomes one.

use std::collections::BTreeSet;
use std::path::Path;

use moonshell::engine::container::files::CopyOptions;
use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::{Command, Options, Share};

use crate::{Arena, IDLE};

/// More than forty.
fn hostile(canary: &Path, id: &str) -> Vec<String> {
    let mut list: Vec<String> = [
        "",
        ".",
        "..",
        "/",
        "//",
        "./",
        "../",
        "../x",
        "../../etc/passwd",
        "..\\x",
        "/etc/passwd",
        "/proc/self/root",
        "a/b",
        "a/../b",
        "a/..",
        "./a",
        "a/",
        "/a",
        "-",
        "-a",
        "--all",
        "_",
        ".hidden",
        "..a",
        "a b",
        " a",
        "a ",
        "a\n",
        "\n",
        "a\0b",
        "\0",
        "*",
        "?",
        "[a]",
        "~",
        "~root",
        "$HOME",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a'b",
        "a\"b",
        "a:b",
        "a@b",
        "a%2fb",
        "%2e%2e",
        "\u{202e}a",
        "é",
        "ａａ",
        "\u{2024}\u{2024}/x",
        "con\u{7f}",
        "a\u{1b}[2J",
        "{}",
        "name\\",
    ]
    .map(String::from)
    .into();
    list.push("a".repeat(201));
    list.push("a".repeat(5000));
    list.push(format!("../{}", canary.file_name().unwrap().to_str().unwrap()));
    list.push(canary.display().to_string());
    list.push(format!("../containers/{id}"));
    list.push(format!("{id}/"));
    list.push(format!("{id}/../{id}"));
    list.push(format!("{id}/config.json"));
    list.push(format!("./{id}"));
    list.push(format!("{id}\0"));
    list.push(format!(" {id}"));
    list
}

/// Every path of the state folder but what changes by itself.
fn store(arena: &Arena) -> BTreeSet<String> {
    fn walk(folder: &Path, list: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            list.insert(entry.path().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), list);
            }
        }
    }
    let mut list = BTreeSet::new();
    walk(&arena.path(""), &mut list);
    list.retain(|path| !path.contains("/state/locks") && !path.contains("/state/tmp"));
    list
}

#[test]
fn hostile_names_find_and_make_nothing() {
    let arena = Arena::new(|_, _| ());
    let named = Options { name: Some("victim".into()), ..Options::default() };
    let running = arena.start(IDLE, &named).unwrap();
    std::fs::write(arena.path("given"), "given").unwrap();
    std::fs::create_dir(arena.path("got")).unwrap();
    let names = hostile(&arena.canary(), &running.id);
    assert!(names.len() > 60);
    let engine = arena.engine();
    let command = Command::Line("true".into());
    let before = store(&arena);
    for name in &names {
        let found = engine.container_find(name);
        assert!(!matches!(found, Ok(Some(_))), "found {name:?}");
        assert!(engine.container_start(name).is_err(), "started {name:?}");
        assert!(engine.container_stop(name, None, None).is_err(), "stopped {name:?}");
        assert!(engine.container_kill(name, libc::SIGKILL).is_err(), "killed {name:?}");
        assert!(engine.container_remove(name, true, true).is_err(), "removed {name:?}");
        assert!(engine.container_wait(name).is_err(), "waited for {name:?}");
        assert!(engine.container_inspect(name).is_err(), "inspected {name:?}");
        assert!(engine.container_top(name).is_err() && engine.container_stats(name).is_err(), "{name:?}");
        assert!(engine.container_pause(name).is_err() && engine.container_unpause(name).is_err(), "{name:?}");
        assert!(engine.container_diff(name).is_err(), "{name:?}");
        assert!(engine.container_export(name, &mut std::io::sink()).is_err(), "{name:?}");
        assert!(engine.container_rename("victim", name).is_err(), "renamed to {name:?}");
        assert!(engine.container_rename(name, "other").is_err(), "renamed {name:?}");
        let exec = ExecOptions::default();
        assert!(engine.container_exec(name, &command, &exec, false, true, &mut |_, _| Ok(())).is_err(), "{name:?}");
        let (given, got) = (arena.path("given"), arena.path("got"));
        assert!(engine.container_copy_in(name, &given, "/x", &CopyOptions::default()).is_err(), "{name:?}");
        assert!(engine.container_copy_out(name, "/etc/passwd", &got, &CopyOptions::default()).is_err(), "{name:?}");
        let refused = |options: Options| arena.create("true", &options).is_err();
        assert!(refused(Options { name: Some(name.clone()), ..Options::default() }), "created {name:?}");
        assert!(refused(Options { pid: Share::Container(name.clone()), ..Options::default() }), "pid of {name:?}");
        assert!(refused(Options { volumes_from: vec![name.clone()], ..Options::default() }), "volumes of {name:?}");
    }
    assert_eq!(store(&arena), before, "the store changed");
    assert_eq!(engine.container_list().unwrap().len(), 1);
    assert_eq!(engine.container_find("victim").unwrap().unwrap().id, running.id);
}

/// What is neither id nor name in the folders where these are looked up.
#[test]
fn odd_entries_of_the_store_are_no_containers() {
    let arena = Arena::new(|_, _| ());
    let record = arena.create("true", &Options { name: Some("plain".into()), ..Options::default() }).unwrap();
    let names = arena.path("state/names");
    for (name, to) in [("one", "../../canary"), ("two", "../containers/x"), ("three", ""), ("four", "..")] {
        std::fs::write(names.join(name), to).unwrap();
        assert!(!matches!(arena.engine().container_find(name), Ok(Some(_))), "{name}");
        assert!(arena.engine().container_remove(name, true, true).is_err(), "{name}");
    }
    std::os::unix::fs::symlink(arena.canary().join("file"), names.join("five")).unwrap();
    assert!(!matches!(arena.engine().container_find("five"), Ok(Some(_))));
    arena.check();
    arena.engine().container_remove(&record.id, true, true).unwrap();
}

/// Host names and extra hosts cannot add lines of their own to the files they go into.
#[test]
fn host_names_are_one_word() {
    let arena = Arena::new(|_, _| ());
    for name in ["a\n1.2.3.4 bank", "a b", "a\tb", "a\0b", "../x", "a/b"] {
        let options = Options { hostname: Some(name.into()), ..Options::default() };
        if let Ok(output) = arena.run("cat /etc/hosts /etc/hostname", &options) {
            assert!(!output.out.contains("1.2.3.4"), "hostname {name:?}: {output:?}");
        }
        let options = Options { hosts: vec![(format!("h{name}"), "9.9.9.9".into())], ..Options::default() };
        if let Ok(output) = arena.run("cat /etc/hosts", &options) {
            assert!(!output.lines().iter().any(|line| line.starts_with("1.2.3.4")), "host {name:?}: {output:?}");
        }
    }
}
