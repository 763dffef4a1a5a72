//! The trials of `tests/dockerfiles.rs`.

mod build;
mod case;
mod check;
mod compare;
mod flat;
mod lua;
mod programs;
mod web;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::stand;
use build::{Peer, Program};
use case::{Case, Expect};
use flat::Flat;

pub use build::clear;

/// Set, it lets docker and buildah build, too; they take minutes.
const WITH_PEERS: &str = "MOONSHELL_TEST_PEERS";

/// All trials of the cases below `root`.
pub fn trials(root: &Path) -> Vec<Trial> {
    let with_peers = std::env::var_os(WITH_PEERS).is_some_and(|value| !value.is_empty());
    if !with_peers {
        eprintln!("skipped, needs {WITH_PEERS}=1: docker/, buildah/ and same/");
    }
    let mut trials = programs::trials(root);
    let folders = cases(root);
    trials.extend(lua::trials(&folders));
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = folder.clone();
        trials.push(Trial::test(format!("program/{name}"), move || told(program(&at))));
        for peer in ["docker", "buildah"].into_iter().filter(|_| with_peers) {
            let (at, one) = (folder.clone(), name.clone());
            trials.push(Trial::test(format!("{peer}/{name}"), move || told(holds(peer, &at, &one))));
            let (at, one, root) = (folder.clone(), name.clone(), root.to_path_buf());
            trials.push(Trial::test(format!("same/{peer}/{name}"), move || told(same(peer, &root, &at, &one))));
        }
    }
    trials
}

/// The folders of the cases, by name.
fn cases(root: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.join("expect.json").exists()).collect();
    folders.sort();
    folders
}

fn told(wrong: Result<Vec<String>, String>) -> Result<(), Failed> {
    match wrong? {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(wrong.join("\n").into()),
    }
}

/// Builds with the program; the checks of each build after it.
fn program(folder: &Path) -> Result<Vec<String>, String> {
    let web = Mutex::new(None);
    let case = copy(folder, &web)?;
    let secret = !case.expect.nowhere.is_empty();
    let program = if secret { Arc::new(Program::new()?) } else { Program::shared("program")? };
    let base = Flat::read(&build::base()?)?;
    let mut wrong = Vec::new();
    for (number, build) in builds(&case.expect).enumerate() {
        case.prepare(&build.prepare)?;
        let outcome = program.build(&case, build)?;
        let mut found = check::ending(build, &outcome, true);
        let image = if outcome.status == 0 && build.image.unwrap_or(true) && found.is_empty() {
            Some(image(&program, &case, number)?)
        } else {
            None
        };
        if let Some(image) = &image {
            found.extend(check::content(build, image));
            found.extend(check::layers(build, image, &base.config));
            found.extend(look(&program, &case, build, image)?);
            found.extend(run(&program, &case, build)?);
        }
        found.extend(check::written(build, case.dir.path()));
        found.extend(check::nowhere(build, image.as_ref(), &program.dir.path().join("root")));
        if !found.is_empty() {
            found.insert(0, format!("build {}:", number + 1));
            found.push(format!("the log:\n{}", outcome.log));
            wrong.extend(found);
        }
    }
    Ok(wrong)
}

/// Builds with a peer and checks the same, less the words of messages and the layers.
fn holds(peer: &'static str, folder: &Path, name: &str) -> Result<Vec<String>, String> {
    let web = Mutex::new(None);
    let case = copy(folder, &web)?;
    let Some(builder) = able(peer, &case, name)? else { return Ok(Vec::new()) };
    let mut wrong = Vec::new();
    for (number, build) in builds(&case.expect).enumerate() {
        case.prepare(&build.prepare)?;
        let archive = case.dir.path().join(format!("peer{number}.tar"));
        let has_image = build.image.unwrap_or(true);
        let outcome = builder.build(&case, build, Some(&archive).filter(|_| has_image).map(PathBuf::as_path))?;
        let mut found = check::ending(build, &outcome, false);
        if outcome.status == 0 && has_image {
            let image = Flat::read(&archive)?;
            std::fs::remove_file(&archive).map_err(|e| e.to_string())?;
            found.extend(check::content(build, &image));
            keep(peer, name, image.without(case.dir.path()));
        }
        found.extend(check::written(build, case.dir.path()));
        if !found.is_empty() {
            found.push(format!("the log of build {}:\n{}", number + 1, outcome.log));
            wrong.extend(found);
        }
    }
    Ok(wrong)
}

/// Compares the program's image with a peer's; of several builds the last.
fn same(peer: &'static str, root: &Path, folder: &Path, name: &str) -> Result<Vec<String>, String> {
    let web = Mutex::new(None);
    let case = copy(folder, &web)?;
    let last = builds(&case.expect).last().ok_or("no build")?;
    if last.fails.is_some() || last.image == Some(false) || able(peer, &case, name)?.is_none() {
        return Ok(Vec::new());
    }
    if kept(peer, name).is_none() {
        holds(peer, folder, name)?;
    }
    let theirs = kept(peer, name).ok_or("it built no image")?;
    let program = Program::shared("same")?;
    let mut wrong = Vec::new();
    for build in builds(&case.expect) {
        case.prepare(&build.prepare)?;
        let outcome = program.build(&case, build)?;
        wrong = if outcome.status == 0 { Vec::new() } else { vec![outcome.log] };
    }
    if !wrong.is_empty() {
        return Ok(wrong);
    }
    let known = compare::known(root)?;
    let mut list = compare::differences(&image(&program, &case, 9)?.without(case.dir.path()), &theirs);
    list.retain(|line| {
        let is = |known: &compare::Known| {
            known.peer == peer && (known.case == "*" || known.case == name) && line.starts_with(&known.what)
        };
        !known.iter().any(is)
    });
    Ok(list)
}

/// The peer, unless the case or this machine says it cannot build this; that is told.
fn able(peer: &'static str, case: &Case, name: &str) -> Result<Option<Arc<Peer>>, String> {
    let reason = match case.expect.peers.get(peer) {
        Some(Value::String(reason)) => reason.clone(),
        Some(_) => "it cannot".into(),
        None => match Peer::get(peer) {
            Ok(builder) => return Ok(Some(builder)),
            Err(reason) => reason,
        },
    };
    eprintln!("skipped: {peer}/{name}: {reason}");
    Ok(None)
}

fn builds(expect: &Expect) -> impl Iterator<Item = &Expect> {
    std::iter::once(expect).chain(&expect.again)
}

fn copy(folder: &Path, server: &Mutex<Option<web::Web>>) -> Result<Case, String> {
    Case::copy(folder, |www| {
        let web = web::Web::serve(www);
        let address = web.address();
        *server.lock().unwrap_or_else(PoisonError::into_inner) = Some(web);
        address
    })
}

fn image(program: &Program, case: &Case, number: usize) -> Result<Flat, String> {
    let archive = program.dir.path().join(format!("{}.{number}.tar", case.name));
    program.save(case, &archive)?;
    let image = Flat::read(&archive);
    let _ = std::fs::remove_file(&archive);
    image
}

/// The engine's own look at the paths: it must agree with the layers.
fn look(program: &Program, case: &Case, build: &Expect, image: &Flat) -> Result<Vec<String>, String> {
    let paths: Vec<&String> = build.tree.iter().filter(|(_, wanted)| wanted.is_some()).map(|(path, _)| path).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles/runner/look.lua");
    let mut words = vec![script.display().to_string(), build::image_name(case)];
    words.extend(paths.iter().map(ToString::to_string));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let seen = program.run(case.dir.path(), &words, &HashMap::new(), b"")?;
    let mut wrong = Vec::new();
    for path in paths {
        let Some(node) = image.tree.get(path) else { continue };
        let line = format!("{path} {} {:04o} {} {}", node.kind, node.mode, node.uid, node.gid);
        if node.kind != "link" && !seen.log.lines().any(|one| one == line) {
            wrong.push(format!("the engine sees it differently: {line}, in:\n{}", seen.log));
        }
    }
    Ok(wrong)
}

fn run(program: &Program, case: &Case, build: &Expect) -> Result<Vec<String>, String> {
    let Some(wanted) = &build.run else { return Ok(Vec::new()) };
    let name = build::image_name(case);
    let mut words = vec!["run", "--rm", "--network", "none"];
    words.extend(wanted.args.iter().map(String::as_str));
    words.push(&name);
    words.extend(wanted.cmd.iter().map(String::as_str));
    let got = program.run(case.dir.path(), &words, &HashMap::new(), b"")?;
    if got.status == wanted.status && got.log == wanted.stdout {
        return Ok(Vec::new());
    }
    Ok(vec![format!("run: expected {} {:?}, got {} {:?}", wanted.status, wanted.stdout, got.status, got.log)])
}

static KEPT: Mutex<Vec<(&str, String, Arc<Flat>)>> = Mutex::new(Vec::new());

fn keep(peer: &'static str, name: &str, mut image: Flat) {
    image.layers.clear();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|(by, of, _)| (*by, of.as_str()) != (peer, name));
    kept.push((peer, name.into(), Arc::new(image)));
}

fn kept(peer: &str, name: &str) -> Option<Arc<Flat>> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().find(|(by, of, _)| (*by, of.as_str()) == (peer, name)).map(|(_, _, image)| image.clone())
}
