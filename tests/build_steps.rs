//! Build states through the engine's own interface: keys, cache, steps, copies, commits.

#[path = "support/engine.rs"]
mod engine_support;

use std::fs;

use engine_support::{busybox, host};
use moonshell::engine::build::Manner;
use moonshell::engine::build::settings::Setting;
use moonshell::engine::build::{CommitOptions, CopyOptions, CopySource, State, StepOptions, WriteOptions};
use moonshell::engine::container::options::Command;
use moonshell::engine::error::Kind;

fn line(text: &str) -> Command {
    Command::Line(text.into())
}

#[test]
fn steps_run_once_and_commits_repeat() {
    let host = host();
    let engine = &host.engine;
    let base = busybox(&host);
    let plain = StepOptions::default();
    let one = base.run(engine, &line("echo one > /one; rm /etc/group"), &plain).unwrap();
    let count = |text: &str| host.events.lock().unwrap().iter().filter(|event| event.contains(text)).count();
    assert_eq!(String::from_utf8(one.read(engine, "/one").unwrap()).unwrap(), "one\n");
    assert!(!one.exists(engine, "/etc/group").unwrap());
    assert!(base.exists(engine, "/etc/group").unwrap());
    assert_eq!(count("CACHED"), 0);
    let again = base.run(engine, &line("echo one > /one; rm /etc/group"), &plain).unwrap();
    assert!(again == one && count("CACHED") == 1);
    assert_eq!(one.out(engine, &line("cat /one; echo x > /two"), &plain).unwrap(), b"one\n");
    assert_eq!(one.out(engine, &line("cat /one; echo x > /two"), &plain).unwrap(), b"one\n");
    assert_eq!(count("CACHED"), 2);
    assert!(!one.exists(engine, "/two").unwrap());
    let done = one.set(&Setting::Cmd(Some(vec!["cat".into(), "/one".into()])), &Manner::default()).unwrap();
    let name = "app:1".parse().unwrap();
    let image = done.commit(engine, std::slice::from_ref(&name), &CommitOptions::default()).unwrap();
    let second = done.commit(engine, &[name], &CommitOptions::default()).unwrap();
    assert_eq!(image.id, second.id);
    assert_eq!(image.digest, second.digest);
    let found = engine.image_get("app:1").unwrap().unwrap();
    let from = State::from_image(engine, &found).unwrap();
    assert_eq!(from.read(engine, "/one").unwrap(), b"one\n");
    assert_eq!(
        from.out(engine, &line("cat /one; ls /etc"), &plain).unwrap(),
        b"one\nhostname\nhosts\npasswd\nresolv.conf\n"
    );
    assert_eq!(fs::read_dir(host.dir.path().join("state/tmp")).unwrap().count(), 1, "only the process's own work area");
}

#[test]
fn a_failed_step_says_what_happened_and_leaves_nothing() {
    let host = host();
    let base = busybox(&host);
    let error = base.run(&host.engine, &line("echo some; echo why >&2; exit 9"), &StepOptions::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Exit, "command exited with code 9: echo some; echo why >&2; exit 9")
    );
    let exit = error.exit().unwrap();
    assert!(exit.code == 9 && exit.stderr.contains("some\n") && exit.stderr.contains("why\n"));
    assert_eq!(
        fs::read_dir(host.dir.path().join("state/cache/steps")).unwrap().count(),
        1,
        "only the base's copy step"
    );
}

#[test]
fn a_change_of_content_runs_what_follows_a_touch_does_not() {
    let host = host();
    let engine = &host.engine;
    let base = busybox(&host);
    let src = host.dir.path().join("src");
    fs::create_dir_all(src.join("sub")).unwrap();
    fs::write(src.join("a.txt"), "a").unwrap();
    fs::write(src.join("sub/b.o"), "b").unwrap();
    std::os::unix::fs::symlink("a.txt", src.join("link")).unwrap();
    let from = CopySource::Host(host.dir.path().to_path_buf());
    let options = CopyOptions { exclude: vec!["*.o".into()], ..CopyOptions::default() };
    let build = || {
        let copied = base.copy(engine, &from, &["src".into()], "/app", &options).unwrap();
        copied.run(engine, &line("cat /app/a.txt > /out"), &StepOptions::default()).unwrap()
    };
    let cached = || {
        let mut events = host.events.lock().unwrap();
        let count = events.iter().filter(|event| event.contains("CACHED")).count();
        events.clear();
        count
    };
    let first = build();
    assert_eq!(cached(), 0);
    assert_eq!(first.read(engine, "/out").unwrap(), b"a");
    let names: Vec<String> =
        first.list(engine, "/app").unwrap().into_iter().map(|entry| format!("{} {}", entry.name, entry.kind)).collect();
    assert_eq!(names, ["a.txt file", "link link", "sub dir"]);
    assert!(first.list(engine, "/app/sub").unwrap().is_empty());
    fs::File::open(src.join("a.txt")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::write(src.join("sub/b.o"), "excluded").unwrap();
    assert!(build() == first && cached() == 2);
    fs::write(src.join("a.txt"), "b").unwrap();
    let second = build();
    assert!(second != first && cached() == 0);
    assert_eq!(second.read(engine, "/out").unwrap(), b"b");
}

#[test]
fn copy_write_and_remove_follow_the_fields_rules() {
    let host = host();
    let engine = &host.engine;
    let base = busybox(&host).set(&Setting::Workdir("/work".into()), &Manner::default()).unwrap();
    let dir = host.dir.path();
    fs::write(dir.join("one"), "1").unwrap();
    fs::write(dir.join("two"), "2").unwrap();
    let from = CopySource::Host(dir.to_path_buf());
    let copy = |sources: &[&str], target: &str| {
        let sources: Vec<String> = sources.iter().map(|text| text.to_string()).collect();
        base.copy(engine, &from, &sources, target, &CopyOptions::default())
    };
    assert_eq!(copy(&["one"], "x").unwrap().read(engine, "/work/x").unwrap(), b"1");
    assert_eq!(copy(&["one", "two"], "d/").unwrap().read(engine, "d/two").unwrap(), b"2");
    assert_eq!(copy(&["one"], "/etc").unwrap().read(engine, "/etc/one").unwrap(), b"1");
    assert_eq!(
        copy(&["one", "two"], "/d").unwrap_err().message(),
        "cannot copy 2 things to '/d': end it with '/' to name a folder"
    );
    assert_eq!(
        copy(&["three"], "/d").unwrap_err().message(),
        "cannot copy 'three': no such file or folder on the host"
    );
    assert_eq!(
        copy(&["one"], "/etc/passwd/").unwrap_err().message(),
        "cannot copy into /etc/passwd/: it is not a folder"
    );
    let options = CopyOptions { owner: Some("ann".into()), mode: Some(0o640), ..CopyOptions::default() };
    let owned = base.copy(engine, &from, &["one".into()], "/mine", &options).unwrap();
    let entry = owned.list(engine, "/").unwrap().into_iter().find(|entry| entry.name == "mine").unwrap();
    assert_eq!((entry.uid, entry.gid, entry.mode), (1000, 1000, 0o640));
    let written = owned
        .write(engine, "deep/er/file", b"text", &WriteOptions { mode: Some(0o755), ..WriteOptions::default() })
        .unwrap();
    assert_eq!(
        written
            .out(engine, &line("cat deep/er/file; stat -c '%a %u' deep/er/file deep"), &StepOptions::default())
            .unwrap(),
        b"text755 0\n755 0\n"
    );
    let gone = written.remove(engine, "deep", &Manner::default()).unwrap();
    assert!(!gone.exists(engine, "/work/deep").unwrap());
    assert_eq!(gone.remove(engine, "deep", &Manner::default()).unwrap_err().message(), "'/work/deep' does not exist");
    let other = State::scratch()
        .copy(engine, &CopySource::State(written), &["/work/deep".into()], "/d", &CopyOptions::default())
        .unwrap();
    assert_eq!(other.read(engine, "/d/er/file").unwrap(), b"text");
}

#[test]
fn a_stack_of_any_height_runs() {
    let host = host();
    let engine = &host.engine;
    let mut state = busybox(&host);
    for number in 0..150 {
        state = state.write(engine, &format!("/n/{number}"), b"x", &WriteOptions::default()).unwrap();
    }
    state = state.remove(engine, "/n/3", &Manner::default()).unwrap();
    assert_eq!(state.layer_count(), 152);
    assert_eq!(state.out(engine, &line("ls /n | wc -l; cat /n/149"), &StepOptions::default()).unwrap(), b"149\nx");
}

#[test]
fn removing_an_image_frees_what_nothing_else_uses() {
    let host = host();
    let engine = &host.engine;
    let base = busybox(&host);
    let names = ["one:1".parse().unwrap(), "two:1".parse().unwrap()];
    base.commit(engine, &names[..1], &CommitOptions::default()).unwrap();
    let two = base.write(engine, "/x", b"x", &WriteOptions::default()).unwrap();
    two.commit(engine, &names[1..], &CommitOptions::default()).unwrap();
    let blobs = || fs::read_dir(host.dir.path().join("state/blobs/sha256")).unwrap().count();
    assert_eq!(blobs(), 6);
    engine.image_remove("two:1", false).unwrap();
    assert_eq!(blobs(), 3, "manifest, configuration and layer of the other image stay");
    assert_eq!(two.read(engine, "/x").unwrap(), b"x", "the layer of a cached step stays");
    let busy = engine.store().shared(engine.cancel()).unwrap();
    engine.image_remove("one:1", false).unwrap();
    assert_eq!(blobs(), 3, "nothing is swept while somebody works");
    drop(busy);
    engine.image_prune(true).unwrap();
    assert_eq!(blobs(), 0);
}
