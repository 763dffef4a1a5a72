//! `dockerfile.to_lua`: the script it writes for a case, run by the program, makes the image that `moonshell build` of
//! the same files makes. The same config; the same layers or, where they hold times of this run, the same files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use libtest_mimic::{Failed, Trial};
use serde_json::{Map, Value};

use super::build::{Program, image_name};
use super::case::{Case, Expect};
use super::flat::{Flat, Node};

/// Cases that build an image and no script does: no others may be left out.
const LEFT_OUT: [&str; 12] = [
    "arg_proxy",
    "attack_ignore_file_is_a_link",
    "flag_add_host",
    "flag_limits",
    "input_dockerfile_by_url",
    "input_dockerfile_from_stdin",
    "input_git",
    "input_git_folder_link",
    "input_only_a_dockerfile",
    "input_tar_file_by_url",
    "input_tar_on_stdin",
    "input_tar_other_name",
];

/// The trials, for the cases in `folders`.
pub fn trials(folders: &[PathBuf]) -> Vec<Trial> {
    started();
    let mut left_out = Vec::new();
    let mut trials = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match expect(folder).and_then(|expect| plan(&name, &expect)) {
            Err(reason) => trials.push(Trial::test(format!("lua/{name}"), move || Err(Failed::from(reason)))),
            Ok(Planned::Nothing) => {}
            Ok(Planned::LeftOut(reason)) => left_out.push((name, reason)),
            Ok(Planned::Build(_)) => {
                let at = folder.clone();
                trials.push(Trial::test(format!("lua/{name}"), move || super::told(same(&at))));
            }
        }
    }
    left_out.retain(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let only_these = move || match left_out.as_slice() {
        [] => Ok(()),
        others => Err(format!("left out, and not known to be: {others:?}").into()),
    };
    trials.push(Trial::test("lua/what_is_left_out", only_these));
    trials
}

/// What is to be done with a case.
enum Planned {
    /// Nothing is built in it.
    Nothing,
    /// A script cannot stand for it; why.
    LeftOut(&'static str),
    Build(Plan),
}

/// A build that a script can stand for.
struct Plan {
    /// Which of the case's builds.
    number: usize,
    file: String,
    /// Options of `to_lua`.
    options: Map<String, Value>,
    /// Arguments of the script.
    arguments: Vec<String>,
}

/// Flags that a script cannot stand for, and why.
const OUT: [(&str, &str); 3] = [
    ("--add-host", "the command line gives all steps a name"),
    ("--shm-size", "the command line limits all steps"),
    ("--ulimit", "the command line limits all steps"),
];

/// Flags that say nothing about the image, and whether they have a value.
const NOTHING: [(&str, bool); 5] =
    [("--allow", true), ("--iidfile", true), ("--no-cache", false), ("--pull", false), ("-q", false)];

/// Flags that `to_lua` has as lists, and as tables.
const LISTS: [(&str, &str); 2] = [("--secret", "secrets"), ("--ssh", "ssh")];
const TABLES: [(&str, &str); 2] = [("--build-context", "contexts"), ("--label", "labels")];
/// And as one text.
const TEXTS: [(&str, &str); 2] = [("--network", "network"), ("--target", "target")];

fn expect(folder: &Path) -> Result<Expect, String> {
    let path = folder.join("expect.json");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The last good build of a case.
fn plan(name: &str, expect: &Expect) -> Result<Planned, String> {
    let good = |build: &Expect| build.fails.is_none() && build.image.unwrap_or(true);
    let Some((number, build)) = super::builds(expect).enumerate().filter(|(_, build)| good(build)).last() else {
        return Ok(Planned::Nothing);
    };
    let context = build.context.as_deref().unwrap_or(".");
    let is_folder = context != "-" && !context.contains("/") && !context.contains(".tar");
    if name == "arg_proxy" {
        return Ok(Planned::LeftOut("its arguments reach RUN without the Dockerfile's doing"));
    }
    if build.stdin.is_some() || !is_folder {
        return Ok(Planned::LeftOut("to_lua reads a file, and the script's context is a folder"));
    }
    let file = format!("{context}/Dockerfile").trim_start_matches("./").into();
    let mut plan = Plan { number, file, options: Map::new(), arguments: Vec::new() };
    plan.options.insert("context".into(), context.into());
    let mut words = build.args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} needs a value"));
        let find = |list: &[(&str, &'static str)]| list.iter().find(|(flag, _)| flag == word).map(|(_, name)| *name);
        if let Some(name) = find(&LISTS) {
            let list = plan.options.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or("no list")?.push(value()?.into());
        } else if let Some(name) = find(&TABLES) {
            let text = value()?;
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            plan.options.entry(name).or_insert_with(|| Value::Object(Map::new()))[key] = value.into();
        } else if let Some(name) = find(&TEXTS) {
            plan.options.insert(name.into(), value()?.into());
        } else if word == "--build-arg" {
            plan.arguments.push(value()?);
        } else if word == "--squash" {
            plan.options.insert("squash".into(), true.into());
        } else if let Some((_, reason)) = OUT.iter().find(|(flag, _)| flag == word) {
            return Ok(Planned::LeftOut(reason));
        } else if word == "-f" {
            plan.file = value()?;
        } else if let Some((_, has_value)) = NOTHING.iter().find(|(flag, _)| flag == word) {
            has_value.then(value).transpose()?;
        } else {
            return Err(format!("{name}: can a script stand for '{word}'? Add it to a list here"));
        }
    }
    Ok(Planned::Build(plan))
}

fn same(folder: &Path) -> Result<Vec<String>, String> {
    let web = Mutex::new(None);
    let mut case = super::copy(folder, &web)?;
    let Planned::Build(plan) = plan(&case.name, &case.expect)? else { return Ok(Vec::new()) };
    // A name of its own: the case's other trials run at the same time.
    case.name = format!("lua_{}", case.name);
    let program = Program::of_scripts()?;
    for build in super::builds(&case.expect).take(plan.number + 1) {
        case.prepare(&build.prepare)?;
    }
    let build = super::builds(&case.expect).nth(plan.number).ok_or("no build")?;
    let built = program.build(&case, build)?;
    if built.status != 0 {
        return Ok(vec![format!("the build fails:\n{}", built.log)]);
    }
    let wanted = super::image(&program, &case, 0)?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let script = dir.path().join("build.lua").display().to_string();
    write(&program, &case, &plan, &script)?;
    let mut words = vec![script.as_str()];
    words.extend(plan.arguments.iter().map(String::as_str));
    let ran = program.run(case.dir.path(), &words, &build.env.clone().into_iter().collect(), b"")?;
    let mut wrong = if ran.status == 0 {
        differences(&super::image(&program, &case, 1)?, &wanted)
    } else {
        vec![format!("the script fails:\n{}", ran.log)]
    };
    if !wrong.is_empty() {
        wrong.push(std::fs::read_to_string(&script).map_err(|e| e.to_string())?);
    }
    Ok(wrong)
}

/// Writes the script.
fn write(program: &Program, case: &Case, plan: &Plan, script: &str) -> Result<(), String> {
    let code = "fs.write(arg[1], dockerfile.to_lua(arg[2], json.decode(arg[3])))";
    let mut options = plan.options.clone();
    options.insert("tags".into(), image_name(case).into());
    let options = Value::Object(options).to_string();
    let outcome = program.run(case.dir.path(), &["-e", code, script, &plan.file, &options], &HashMap::new(), b"")?;
    if outcome.status == 0 { Ok(()) } else { Err(format!("to_lua: {}", outcome.log)) }
}

/// What differs between the script's image and that of the build.
fn differences(script: &Flat, build: &Flat) -> Vec<String> {
    let mut wrong = Vec::new();
    for key in ["config", "author", "architecture", "os", "variant"] {
        let [a, b] = [script, build].map(|image| image.config[key].clone());
        if a != b {
            wrong.push(format!("{key}: the script makes {a}, the build {b}"));
        }
    }
    if script.layers == build.layers {
        return wrong;
    }
    let [a, b] = [script, build].map(|image| image.layers.len());
    if a != b {
        wrong.push(format!("layers: the script makes {a}, the build {b}"));
    }
    for path in script.tree.keys().chain(build.tree.keys().filter(|path| !script.tree.contains_key(*path))) {
        let [a, b] = [script, build].map(|image| image.tree.get(path).map(timeless));
        if a != b {
            wrong.push(format!("{path}: the script makes {a:?}, the build {b:?}"));
        }
    }
    wrong
}

/// A node without a time of this run.
fn timeless(node: &Node) -> Node {
    let mtime = if node.mtime >= started() { 0 } else { node.mtime };
    Node { mtime, ..node.clone() }
}

/// When this run began, in seconds.
fn started() -> u64 {
    static STARTED: OnceLock<u64> = OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()))
}
