//! Compares what a build left with what its case expects. Every difference is told, not only the first.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use super::case::{Expect, Wanted, texts};
use super::flat::{Flat, Node};

/// How a build ended.
pub struct Outcome {
    pub status: i32,
    pub log: String,
}

/// Status, errors and log. `words`: whether the text of messages is compared, too.
pub fn ending(build: &Expect, outcome: &Outcome, words: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = build.status.unwrap_or(i32::from(build.fails.is_some()));
    if (words && outcome.status != wanted) || (outcome.status == 0) != (wanted == 0) {
        wrong.push(format!("status: expected {wanted}, got {}", outcome.status));
    }
    if !words {
        return wrong;
    }
    let has = |text: &String| outcome.log.contains(text.as_str());
    let must = build.fails.iter().flat_map(texts).chain(build.log.iter().cloned());
    wrong.extend(must.filter(|text| !has(text)).map(|text| format!("not in the log: {text}")));
    let never = build.not_in_log.iter().chain(&build.nowhere);
    wrong.extend(never.filter(|text| has(text)).map(|text| format!("in the log: {text}")));
    wrong
}

/// Config and files.
pub fn content(build: &Expect, image: &Flat) -> Vec<String> {
    let mut wrong = Vec::new();
    let config = &image.config["config"];
    for (key, wanted) in &build.config {
        let got = &config[key];
        let absent = wanted.is_null() && is_empty(got);
        if !absent && plain(got) != plain(wanted) {
            wrong.push(format!("config {key}: expected {wanted}, got {got}"));
        }
    }
    if let Some(wanted) = &build.created
        && image.config["created"].as_str() != Some(wanted)
    {
        wrong.push(format!("created: expected {wanted}, got {}", image.config["created"]));
    }
    let env = texts(&config["Env"]);
    for (name, wanted) in &build.env_has {
        let start = format!("{name}=");
        let got = env.iter().find_map(|one| one.strip_prefix(&start));
        if got != wanted.as_deref() {
            wrong.push(format!("variable {name}: expected {wanted:?}, got {got:?}"));
        }
    }
    for (path, wanted) in &build.tree {
        match (wanted, image.tree.get(path)) {
            (None, None) => {}
            (None, Some(_)) => wrong.push(format!("{path}: must not be there")),
            (Some(_), None) => wrong.push(format!("{path}: is not there")),
            (Some(wanted), Some(node)) => wrong.extend(differs(path, wanted, node)),
        }
    }
    for (folder, wanted) in &build.only {
        let (mut wanted, got) = (wanted.clone(), image.names(folder));
        wanted.sort();
        if got != wanted {
            wrong.push(format!("{folder}: expected the names {wanted:?}, got {got:?}"));
        }
    }
    for [a, b] in &build.same_inode {
        let file = |path: &String| image.tree.get(path).map(|node| node.file.clone());
        if file(a).is_none() || file(a) != file(b) {
            wrong.push(format!("{a} and {b}: expected one file"));
        }
    }
    wrong
}

/// Layers and history on top of the base image's.
pub fn layers(build: &Expect, image: &Flat, base: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let below = list(&base["rootfs"]["diff_ids"]);
    let count = list(&image.config["rootfs"]["diff_ids"]).iter().filter(|id| !below.contains(id)).count();
    if build.layers.is_some_and(|wanted| wanted != count) {
        wrong.push(format!("layers: expected {:?}, got {count}", build.layers.unwrap_or_default()));
    }
    let Some(wanted) = &build.history else { return wrong };
    let below = list(&base["history"]);
    let got: Vec<Value> = list(&image.config["history"]).into_iter().filter(|entry| !below.contains(entry)).collect();
    let fits = got.len() == wanted.len()
        && wanted.iter().zip(&got).all(|(wanted, got)| {
            let empty = got["empty_layer"].as_bool().unwrap_or(false);
            got["created_by"].as_str().unwrap_or_default().contains(&wanted.has)
                && wanted.empty.is_none_or(|wanted| wanted == empty)
        });
    if !fits {
        let wanted: Vec<_> = wanted.iter().map(|step| (&step.has, step.empty)).collect();
        wrong.push(format!("history: expected {wanted:?}, got {}", Value::from(got)));
    }
    wrong
}

/// Files beside the context.
pub fn written(build: &Expect, dir: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, wanted) in &build.written {
        let full = dir.join(path);
        let node = fs::symlink_metadata(&full).ok().map(|meta| Node {
            kind: if meta.is_dir() {
                "dir"
            } else if meta.is_symlink() {
                "link"
            } else {
                "file"
            },
            mode: meta.permissions().mode() & 0o7777,
            uid: meta.uid().into(),
            gid: meta.gid().into(),
            size: meta.len(),
            mtime: u64::try_from(meta.mtime()).unwrap_or(0),
            target: fs::read_link(&full).map(|link| link.display().to_string()).unwrap_or_default(),
            content: if meta.is_file() { fs::read(&full).unwrap_or_default() } else { Vec::new() },
            file: String::new(),
        });
        match (wanted, node) {
            (None, None) => {}
            (None, Some(_)) => wrong.push(format!("{path}: must not be there")),
            (Some(_), None) => wrong.push(format!("{path}: was not written")),
            (Some(wanted), Some(node)) => wrong.extend(differs(path, wanted, &node)),
        }
    }
    wrong
}

/// What must be nowhere: not in the layers, the config, nor a file below `root` or its name.
pub fn nowhere(build: &Expect, image: Option<&Flat>, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for secret in &build.nowhere {
        let holds = |bytes: &[u8]| memchr_find(bytes, secret.as_bytes());
        if let Some(image) = image {
            if image.layers.iter().any(|layer| holds(layer)) {
                wrong.push(format!("in a layer: {secret}"));
            }
            if holds(image.config.to_string().as_bytes()) {
                wrong.push(format!("in the config: {secret}"));
            }
        }
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if (is_file && fs::read(&path).is_ok_and(|bytes| holds(&bytes)))
                    || path.to_string_lossy().contains(secret.as_str())
                {
                    wrong.push(format!("kept in {}: {secret}", path.display()));
                }
            }
        }
    }
    wrong
}

fn memchr_find(bytes: &[u8], part: &[u8]) -> bool {
    let first = part[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(part) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn differs(path: &str, wanted: &Wanted, node: &Node) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, wanted: Option<String>, got: String| {
        if let Some(wanted) = wanted
            && wanted != got
        {
            wrong.push(format!("{path}: {what}: expected {wanted:?}, got {got:?}"));
        }
    };
    compare("kind", wanted.kind.clone(), node.kind.into());
    compare("mode", wanted.mode.clone(), format!("{:04o}", node.mode));
    compare("uid", wanted.uid.map(|id| id.to_string()), node.uid.to_string());
    compare("gid", wanted.gid.map(|id| id.to_string()), node.gid.to_string());
    compare("size", wanted.size.map(|size| size.to_string()), node.size.to_string());
    compare("mtime", wanted.mtime.map(|time| time.to_string()), node.mtime.to_string());
    compare("target", wanted.target.clone(), node.target.clone());
    compare("content", wanted.content.clone(), String::from_utf8_lossy(&node.content).into_owned());
    wrong
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(yes) => !yes,
        Value::Number(_) => false,
    }
}

/// Objects without regard to the order of their keys, and without what is empty in them.
pub fn plain(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    // An empty object in a map of ports or volumes is a value; an absent setting is not.
    let mut keys: Vec<&String> = map.keys().filter(|key| !map[*key].is_null() && map[*key] != 0).collect();
    keys.sort();
    keys.into_iter().map(|key| (key.clone(), plain(&map[key]))).collect::<serde_json::Map<_, _>>().into()
}
