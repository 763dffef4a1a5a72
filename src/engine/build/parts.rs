//! What a step reads besides its parent, part by part: kept with its record, so that a later one can be compared.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::digest::Digest;

/// Longer values are kept as a digest: only whether they differ counts.
const VALUE_BYTES: usize = 200;

/// What sort of thing a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartKind {
    /// A file, folder or link that is copied; its value says what counts of it.
    File,
    /// A variable.
    Env,
    /// The program and its arguments.
    Command,
    /// Anything else that was asked for.
    Option,
}

impl PartKind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            PartKind::File => "file",
            PartKind::Env => "env",
            PartKind::Command => "command",
            PartKind::Option => "option",
        }
    }
}

/// One thing a step reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part(pub PartKind, pub String, pub String);

impl Part {
    /// A file by its path and what counts of it: its mode and the digest of its content, say.
    pub fn file(path: impl Into<String>, value: impl Into<String>) -> Part {
        Part(PartKind::File, path.into(), value.into())
    }

    /// An option by its name and value.
    pub fn option(name: impl Into<String>, value: impl Into<String>) -> Part {
        Part(PartKind::Option, name.into(), value.into())
    }
}

/// The parts of inputs written as JSON: `argv` is the command, `env` holds pairs of name and value, `items` holds
/// paths followed by what counts of each, and every other key is an option.
pub(super) fn parts_of_json(inputs: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    match serde_json::from_slice(inputs) {
        Ok(Value::Object(object)) => object.iter().for_each(|(key, value)| add(&mut parts, key, value)),
        Ok(value @ Value::Array(_)) => add(&mut parts, "items", &value),
        Ok(value) => add(&mut parts, "value", &value),
        Err(_) => {}
    }
    parts
}

fn add(parts: &mut Vec<Part>, key: &str, value: &Value) {
    match (key, value) {
        (_, Value::Null) => {}
        ("argv", _) => parts.push(Part(PartKind::Command, String::new(), command(value))),
        ("env" | "Env", Value::Array(list)) => parts.extend(list.iter().map(variable)),
        ("items", Value::Array(list)) => parts.extend(list.iter().map(item)),
        _ => parts.push(Part::option(key, shown(value))),
    }
}

fn command(value: &Value) -> String {
    let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    short(match words[..] {
        // A line for a shell.
        [_, "-c", line] => line.to_string(),
        _ => words.join(" "),
    })
}

/// `["NAME", "value"]` or `"NAME=value"`.
fn variable(entry: &Value) -> Part {
    let (name, value) = match entry {
        Value::Array(pair) => (pair.first().map(shown).unwrap_or_default(), pair.get(1).map(shown).unwrap_or_default()),
        other => {
            let text = other.as_str().unwrap_or_default();
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_string(), short(value.to_string()))
        }
    };
    Part(PartKind::Env, name, value)
}

/// `["path", what, counts]` or `{"path": ..., ...}`.
fn item(entry: &Value) -> Part {
    match entry {
        Value::Array(list) => {
            let value: Vec<String> = list.iter().skip(1).map(shown).collect();
            Part::file(list.first().map(shown).unwrap_or_default(), value.join(" "))
        }
        Value::Object(object) => {
            let rest: serde_json::Map<String, Value> = object
                .iter()
                .filter(|(key, _)| *key != "path")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Part::file(object.get("path").map(shown).unwrap_or_default(), shown(&Value::Object(rest)))
        }
        other => Part::file(shown(other), ""),
    }
}

fn shown(value: &Value) -> String {
    short(match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

fn short(text: String) -> String {
    if text.len() <= VALUE_BYTES { text } else { Digest::of(text).short() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_parts() {
        let text = br#"{"argv":["/bin/sh","-c","make"],"env":[["A","1"],["B",null]],"workdir":null,"network":"host"}"#;
        let parts = parts_of_json(text);
        let want = [
            Part(PartKind::Command, "".into(), "make".into()),
            Part(PartKind::Env, "A".into(), "1".into()),
            Part(PartKind::Env, "B".into(), "".into()),
            Part::option("network", "host"),
        ];
        assert_eq!(parts, want);
        let copied = parts_of_json(br#"{"target":"/src","owner":[0,0],"items":[["/src/a",420,{"File":"sha256:1"}]]}"#);
        assert!(copied.contains(&Part::file("/src/a", r#"420 {"File":"sha256:1"}"#)), "{copied:?}");
        assert_eq!(parts_of_json(b"\"/gone\""), [Part::option("value", "/gone")]);
        assert!(parts_of_json(b"nonsense").is_empty());
        let long = "x".repeat(1000);
        let parts = parts_of_json(format!(r#"{{"text":"{long}"}}"#).as_bytes());
        assert!(parts[0].2.len() < 100);
    }
}
