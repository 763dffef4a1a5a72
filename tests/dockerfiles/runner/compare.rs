//! The same Dockerfile built by two programs: config and files beside each other, less the differences that are known.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::check::plain;
use super::flat::{Flat, Node};

/// A line of `known.json`: a difference, where it is to be seen, and why it is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// `docker` or `buildah`.
    pub peer: String,
    /// The case, or `*`.
    pub case: String,
    /// What the difference begins with, such as `config.Env` or `/etc/hosts`.
    pub what: String,
    /// Why it is one, for readers of the list.
    pub why: String,
}

/// The list beside the cases.
pub fn known(folder: &Path) -> Result<Vec<Known>, String> {
    let path = folder.join("known.json");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let list: Vec<Known> = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    match list.iter().find(|known| known.why.is_empty()) {
        Some(known) => Err(format!("{}: {} of {} has no reason", path.display(), known.what, known.case)),
        None => Ok(list),
    }
}

const KEYS: [&str; 12] = [
    "Env",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "Healthcheck",
    "StopSignal",
    "Shell",
    "OnBuild",
];

/// What differs, one line each, as `WHAT: ours, theirs`.
pub fn differences(ours: &Flat, theirs: &Flat) -> Vec<String> {
    let mut list = Vec::new();
    for key in KEYS {
        let [a, b] = [ours, theirs].map(|image| setting(key, &image.config["config"][key]));
        if a != b {
            list.push(format!("config.{key}: {a}, {b}"));
        }
    }
    let [a, b] = [ours, theirs].map(|image| (image.config["os"].clone(), image.config["architecture"].clone()));
    if a != b {
        list.push(format!("platform: {a:?}, {b:?}"));
    }
    let paths: BTreeMap<&String, ()> = ours.tree.keys().chain(theirs.tree.keys()).map(|path| (path, ())).collect();
    for path in paths.into_keys().filter(|path| *path != "/") {
        let [a, b] = [ours, theirs].map(|image| image.tree.get(path).map_or("nothing".into(), shape));
        let text = |image: &Flat| image.tree.get(path).map(|node| node.content.clone());
        if a != b {
            list.push(format!("{path}: {a}, {b}"));
        } else if text(ours) != text(theirs) {
            list.push(format!("{path}: other content"));
        }
    }
    list
}

/// A setting in one form: absent, `null` and empty are the same, unless empty says something.
fn setting(key: &str, value: &Value) -> Value {
    let empty = value.is_null() || *value == json!("") || *value == json!({}) || *value == json!([]);
    match (key, empty) {
        (_, true) => Value::Null,
        ("WorkingDir", _) if *value == json!("/") => Value::Null,
        _ => plain(value),
    }
}

fn shape(node: &Node) -> String {
    let size = if node.kind == "file" { node.size } else { 0 };
    let mode = if node.kind == "link" { 0o777 } else { node.mode };
    format!("{} {mode:04o} {}:{} {size} {}", node.kind, node.uid, node.gid, node.target)
}
