//! A case: its expectations as they stand in `expect.json`, and its files copied into a folder of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::build::base_digest;

/// `expect.json`; the README beside the cases says what each key means.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub about: String,
    pub prepare: String,
    pub args: Vec<String>,
    pub context: Option<String>,
    pub stdin: Option<Value>,
    pub env: BTreeMap<String, String>,
    pub fails: Option<Value>,
    pub status: Option<i32>,
    pub config: BTreeMap<String, Value>,
    pub env_has: BTreeMap<String, Option<String>>,
    pub tree: BTreeMap<String, Option<Wanted>>,
    pub only: BTreeMap<String, Vec<String>>,
    pub same_inode: Vec<[String; 2]>,
    pub created: Option<String>,
    pub layers: Option<usize>,
    pub history: Option<Vec<Step>>,
    pub log: Vec<String>,
    pub not_in_log: Vec<String>,
    pub nowhere: Vec<String>,
    pub written: BTreeMap<String, Option<Wanted>>,
    pub image: Option<bool>,
    pub run: Option<Run>,
    pub again: Vec<Expect>,
    pub peers: BTreeMap<String, Value>,
    pub since: Option<String>,
}

/// What a path must be.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    pub kind: Option<String>,
    pub mode: Option<String>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub content: Option<String>,
    pub target: Option<String>,
    pub mtime: Option<u64>,
    pub size: Option<u64>,
}

/// An entry of the history.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    pub has: String,
    pub empty: Option<bool>,
}

/// A container of the image, and what it must say.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    pub args: Vec<String>,
    pub cmd: Vec<String>,
    pub stdout: String,
    pub status: i32,
}

/// A case in a folder of its own.
pub struct Case {
    pub name: String,
    pub expect: Expect,
    pub dir: tempfile::TempDir,
}

impl Case {
    /// Reads a case and copies its files; `web` is the address that serves its `www`.
    pub fn copy(source: &Path, web: impl FnOnce(&Path) -> String) -> Result<Case, String> {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        copy_tree(source, dir.path()).map_err(|e| format!("{}: {e}", source.display()))?;
        let web = web(&dir.path().join("www"));
        let put = |text: String| -> Result<String, String> {
            let text = text.replace("@DIR@", &dir.path().display().to_string()).replace("@WEB@", &web);
            if text.contains("@BASE@") { Ok(text.replace("@BASE@", &base_digest()?)) } else { Ok(text) }
        };
        let path = dir.path().join("expect.json");
        let text = fs::read_to_string(&path).map_err(|e| format!("{name}/expect.json: {e}"))?;
        let expect: Expect = serde_json::from_str(&put(text)?).map_err(|e| format!("{name}/expect.json: {e}"))?;
        fs::remove_file(path).map_err(|e| e.to_string())?;
        for entry in fs::read_dir(dir.path()).map_err(|e| e.to_string())?.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Ok(text) = fs::read_to_string(entry.path())
                && file.to_lowercase().contains("dockerfile")
                && text.contains('@')
            {
                fs::write(entry.path(), put(text)?).map_err(|e| e.to_string())?;
            }
        }
        Ok(Case { name, expect, dir })
    }

    /// Runs the shell lines that prepare a build.
    pub fn prepare(&self, lines: &str) -> Result<(), String> {
        let mut shell = Command::new("sh");
        shell.args(["-euc", lines]).current_dir(self.dir.path()).env("HOME", self.dir.path());
        shell.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("TZ", "UTC")]);
        for who in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
            shell.env(format!("GIT_{who}_DATE"), "2024-01-01T00:00:00Z");
        }
        let output = shell.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}: cannot prepare: {}", self.name, String::from_utf8_lossy(&output.stderr)))
    }

    /// What a build reads on its standard input.
    pub fn stdin(&self, build: &Expect) -> Result<Vec<u8>, String> {
        match &build.stdin {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.clone().into_bytes()),
            Some(file) => {
                let path = self.dir.path().join(file["file"].as_str().ok_or("stdin: text or {\"file\": NAME}")?);
                fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
            }
        }
    }
}

/// A text or a list of them.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(String::from).collect(),
        _ => Vec::new(),
    }
}

/// Copies a folder; files get 0644 or 0755, whatever the checkout made of them.
fn copy_tree(source: &Path, target: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (from, to): (PathBuf, PathBuf) = (entry.path(), target.join(entry.file_name()));
        let meta = fs::symlink_metadata(&from)?;
        if meta.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
            continue;
        }
        let runs = meta.is_dir() || meta.permissions().mode() & 0o100 != 0;
        if meta.is_dir() {
            fs::create_dir(&to)?;
            copy_tree(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
        fs::set_permissions(&to, PermissionsExt::from_mode(if runs { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}
