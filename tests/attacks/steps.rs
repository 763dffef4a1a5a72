//! Mounts of build steps: sources, targets and cache folders that want to be somewhere else (CVE-2024-1753,
//! CVE-2024-9407, CVE-2024-9675, CVE-2024-11218, CVE-2024-23651, CVE-2024-23652, CVE-2024-23653).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use moonshell::engine::build::mounts::MountFrom;
use moonshell::engine::build::mounts::reading::{Word, parse, read};
use moonshell::engine::build::{Manner, State, StepOptions};
use moonshell::engine::container::options::Command;
use moonshell::engine::digest::Digest;
use moonshell::engine::error::{Error, Kind, Result};

use crate::Arena;
use crate::races::while_swapping;

fn options(mounts: &[&str]) -> StepOptions {
    let mounts = mounts.iter().map(|text| parse(text, Path::new("/")).unwrap()).collect();
    StepOptions { mounts, manner: Manner { no_cache: true, ..Manner::default() }, ..StepOptions::default() }
}

fn out(arena: &Arena, line: &str, options: &StepOptions) -> Result<String> {
    let output = arena.image.out(arena.engine(), &Command::Line(line.into()), options).map_err(Error::from)?;
    Ok(String::from_utf8(output).unwrap())
}

fn run(arena: &Arena, line: &str, options: &StepOptions) -> State {
    arena.image.run(arena.engine(), &Command::Line(line.into()), options).unwrap()
}

/// A mount whose source is `source` of `from`, on `/m`.
fn from(from: MountFrom, source: &str) -> StepOptions {
    let words = [("type", "bind"), ("target", "/m"), ("source", source)];
    let mut words: Vec<_> = words.map(|(key, text)| (key.to_string(), Word::Text(text.into()))).into();
    words.push(("from".into(), Word::From(from)));
    StepOptions { mounts: vec![read(words, Path::new("/")).unwrap()], ..options(&[]) }
}

/// Sources are links that lead out: absolute, climbing, in the middle, to what is nowhere.
#[test]
fn sources_that_are_links() {
    let arena = Arena::new(|_, _| ());
    let canary = arena.canary().display().to_string();
    let folder = arena.path("context");
    fs::create_dir_all(folder.join("sub")).unwrap();
    symlink(&canary, folder.join("absolute")).unwrap();
    symlink(format!("../../../../../../../../../..{canary}"), folder.join("sub/climbing")).unwrap();
    symlink("/", folder.join("root")).unwrap();
    symlink("/proc/self/cwd", folder.join("magic")).unwrap();
    let state = run(
        &arena,
        &format!(
            "ln -s {canary} /absolute; mkdir /sub; ln -s ../../../../../../..{canary} /sub/climbing; ln -s / /root"
        ),
        &options(&[]),
    );
    let sources = [
        "/absolute".to_string(),
        "/absolute/dir".into(),
        "sub/climbing".into(),
        "sub/climbing/file".into(),
        format!("/root{canary}"),
        format!("/root/../../..{canary}"),
        format!("../../../..{canary}"),
        canary.clone(),
        "/magic".into(),
        "/root/proc/self/root".into(),
    ];
    for source in &sources {
        for place in [MountFrom::Folder(folder.clone()), MountFrom::State(state.clone())] {
            let error = out(&arena, "ls /m", &from(place, source)).unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "{source}: {error}");
        }
    }
    assert_eq!(out(&arena, "ls /m", &from(MountFrom::Folder(folder), "/root/sub")).unwrap(), "climbing\n");
    arena.check();
}

/// Targets below links that lead out: what is made for them is made inside, and is gone with the step.
#[test]
fn targets_below_links() {
    let arena = Arena::new(|root, canary| {
        symlink(canary, root.join("absolute")).unwrap();
        symlink(format!("../../../../../../../../../../..{}", canary.display()), root.join("climbing")).unwrap();
        symlink(canary.join("file"), root.join("leaf")).unwrap();
        symlink(canary.join("new"), root.join("dangling")).unwrap();
    });
    let before = arena.mounts();
    for target in ["/absolute/new", "/absolute/file", "/climbing/new/deep", "/leaf", "/dangling"] {
        for mount in ["type=cache,id=c", "type=tmpfs", "type=bind,source=/etc,rw"] {
            let wrote = format!("echo x > {target}/written && cat {target}/written");
            let options = options(&[&format!("{mount},target={target}")]);
            assert_eq!(out(&arena, &wrote, &options).unwrap(), "x\n", "{mount} {target}");
            let after = run(&arena, &wrote, &options);
            assert_eq!(after.layer_count(), arena.image.layer_count(), "{mount} {target} left something");
        }
        let options = options(&[&format!("type=bind,source=/etc/hostname,target={target},rw")]);
        assert!(out(&arena, &format!("cat {target}"), &options).is_ok(), "{target}");
    }
    assert_eq!(arena.mounts(), before, "a mount on the host");
    assert!(!Path::new("/etc/written").exists());
    arena.check();
}

/// The step itself puts a link where the place of a mount was made, or above it.
#[test]
fn places_that_become_links() {
    let arena = Arena::new(|_, _| ());
    let canary = arena.canary();
    let canary = canary.display();
    let line = format!(
        "mv /opt/a /opt/b 2>/dev/null; rm -rf /opt 2>/dev/null; rmdir /opt/a 2>/dev/null; ln -s {canary} /opt/a 2>/dev/null; \
         mkdir -p /new; ln -s {canary} /new/place; true"
    );
    for mount in ["type=tmpfs,target=/opt/a/dir", "type=cache,target=/opt/a/dir", "type=tmpfs,target=/opt"] {
        run(&arena, &line, &options(&[mount]));
    }
    arena.check();
}

/// Ids of caches that look like paths.
#[test]
fn caches_with_paths_for_names() {
    let arena = Arena::new(|_, _| ());
    let canary = arena.canary().display().to_string();
    for id in ["..", "../..", "../../canary", "/", &canary, "a/../../../../canary", ".", "c\n"] {
        let options = options(&[&format!("type=cache,target=/m,id={id}")]);
        assert_eq!(out(&arena, "touch /m/x; rm -r /m/* ; ls -A /m", &options).unwrap(), "", "{id}");
    }
    let names = fs::read_dir(arena.path("state/cache/mounts")).unwrap();
    assert!(names.flatten().all(|entry| entry.file_name().len() == 64));
    arena.check();
}

/// Two steps share a cache, and one exchanges a folder in it for a link to the canary while others mount that folder.
#[test]
fn a_folder_of_a_cache_that_becomes_a_link() {
    let arena = Arena::new(|_, _| ());
    out(&arena, "mkdir /c/dir; echo harmless > /c/dir/name", &options(&["type=cache,target=/c,id=swapped"])).unwrap();
    let cache = arena.path("state/cache/mounts").join(Digest::of("swapped").hex()).join("fs");
    symlink(arena.canary(), cache.join("absolute")).unwrap();
    symlink(format!("../../../../../../../../../../../../..{}", arena.canary().display()), cache.join("link")).unwrap();
    let before = arena.mounts();
    let part = options(&["type=cache,target=/m,id=swapped,source=dir"]);
    let below = options(&[
        "type=cache,target=/c,id=swapped",
        "type=cache,target=/c/dir/sub,id=other",
        "type=tmpfs,target=/c/dir/t",
    ]);
    let (mut seen, mut refused) = (0, 0);
    while_swapping(&cache.join("dir"), &cache.join("link"), || {
        for round in 0..200 {
            let options = if round % 2 == 0 { &part } else { &below };
            match out(&arena, "ls -A /m 2>/dev/null; touch /m/touched /c/dir/sub/touched 2>/dev/null; true", options) {
                Ok(list) => {
                    assert!(!list.contains("program") && !list.contains("inner"), "the canary was mounted: {list}");
                    seen += 1;
                }
                Err(_) => refused += 1,
            }
        }
    });
    assert!(seen > 0, "{seen} ran, {refused} were refused: nothing was tried");
    assert_eq!(arena.mounts(), before, "a mount on the host");
    arena.check();
}

/// What a step finds in its environment is what its image and its options say (CVE-2021-21334).
#[test]
fn the_environment_of_a_step() {
    let arena = Arena::new(|_, _| ());
    let plain = out(&arena, "env | sort", &options(&[])).unwrap();
    let names: Vec<&str> = plain.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(names.iter().all(|name| ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL"].contains(name)), "{plain}");
    let descriptors =
        out(&arena, "ls /proc/self/fd | wc -l; cat /proc/1/environ | tr '\\0' '\\n' | grep -c MOON", &options(&[]));
    // Its streams, and the one that lists them; no program with no line is a failure of grep.
    assert!(descriptors.is_err() || descriptors.unwrap().starts_with("4\n"));
}
