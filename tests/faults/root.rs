//! A state folder under test: commands on it, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use moonshell::engine::digest::Digest;
use serde_json::Value;

use crate::process::{Ended, Run, mounts_below};

/// What a tree holds: paths, and what is at each in a line.
pub type Listing = BTreeMap<String, String>;

/// A state folder.
#[derive(Debug, Clone)]
pub struct Root(pub PathBuf);

impl Root {
    /// Starts a piece of Lua on it.
    pub fn start(&self, code: &str) -> Run {
        Run::start(&["--root", self.0.to_str().unwrap(), "-e", code])
    }

    /// Runs a piece of Lua on it.
    pub fn run(&self, code: &str) -> Ended {
        self.start(code).end()
    }

    /// Runs a piece of Lua that must succeed, and returns what it printed.
    pub fn ok(&self, code: &str) -> String {
        let ended = self.run(code);
        assert!(ended.status == 0, "status {}: {}", ended.status, ended.err);
        ended.out
    }

    /// The names of the work areas that are there, whoever they belong to.
    pub fn work_areas(&self) -> Vec<String> {
        ["tmp", "containers"].iter().flat_map(|folder| names(&self.0.join(folder))).collect()
    }

    /// Fails unless nothing of dead processes is here: no work area, no lock's file, no mount, no cgroup of `areas`.
    pub fn check_swept(&self, areas: &[String]) {
        assert_eq!(self.work_areas(), Vec::<String>::new(), "work areas are left");
        assert_eq!(names(&self.0.join("locks")), Vec::<String>::new(), "locks are left");
        assert_eq!(mounts_below(&self.0), Vec::<String>::new(), "mounts are left");
        for folder in ["", "memory", "cpu", "pids"] {
            for area in areas {
                let path = Path::new("/sys/fs/cgroup").join(folder).join("moonshell").join(area);
                assert!(!path.exists(), "{} is left", path.display());
            }
        }
    }

    /// Fails unless everything that is named is there and is what its digest says.
    pub fn check_whole(&self) {
        if !self.0.join("format").exists() {
            return;
        }
        for blob in names(&self.0.join("blobs/sha256")) {
            let content = fs::read(self.0.join("blobs/sha256").join(&blob)).unwrap();
            assert_eq!(Digest::of(&content).hex(), blob, "a blob is not what its name says");
        }
        for (path, _) in listing(&self.0.join("refs"), false).iter().filter(|(_, what)| what.starts_with("file")) {
            let target = json(&self.0.join("refs").join(path));
            let manifest = json(&self.blob(&target));
            self.blob(&manifest["config"]);
            manifest["layers"].as_array().unwrap().iter().for_each(|layer| drop(self.blob(layer)));
        }
        for id in names(&self.0.join("layers")) {
            self.check_layer(&id);
        }
        for step in names(&self.0.join("cache/steps")) {
            let path = self.0.join("cache/steps").join(&step);
            if !step.ends_with(".out")
                && let Some(layer) = json(&path)["layer"].as_str()
            {
                self.check_layer(layer);
            }
        }
        for packed in names(&self.0.join("cache/packed")) {
            self.blob(&json(&self.0.join("cache/packed").join(packed)));
        }
    }

    fn check_layer(&self, id: &str) {
        let dir = self.0.join("layers").join(id);
        let described = id == "skeleton" || json(&dir.join("layer.json")).is_object();
        assert!(described && dir.join("fs").is_dir(), "layer {id} is not whole");
    }

    /// The file of a blob that a descriptor names, after a look at its size; digests are looked at by file.
    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = self.0.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
        let size = fs::metadata(&path).unwrap_or_else(|e| panic!("{digest} is named but not there: {e}")).len();
        assert_eq!(size, descriptor["size"].as_u64().unwrap(), "{digest} has another size than its name says");
        path
    }

    /// The trees of all unpacked layers by id.
    pub fn layers(&self, ids: &BTreeSet<String>) -> BTreeMap<String, Listing> {
        ids.iter().map(|id| (id.clone(), listing(&self.0.join("layers").join(id).join("fs"), true))).collect()
    }

    /// Everything in it but empty folders, and the digests of files that were read: these stay known whatever comes of
    /// the step that read them.
    pub fn content(&self) -> Listing {
        let all = listing(&self.0, true);
        let strip = |line: &str| line.split(" at ").next().unwrap().to_string();
        let empty = |path: &str| !all.keys().any(|other| other.starts_with(&format!("{path}/")));
        let kept = all.iter().filter(|(path, what)| !what.starts_with("folder") || !empty(path));
        let kept = kept.filter(|(path, _)| !path.starts_with("cache/stat"));
        // A folder in which a file came and went has another time.
        kept.map(|(path, what)| (path.clone(), if what.starts_with("folder") { strip(what) } else { what.clone() }))
            .collect()
    }
}

/// The names in a folder, sorted; none if it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}: {text:?}", path.display()))
}

/// Everything below a folder: kind, looks and content.
pub fn listing(dir: &Path, with_times: bool) -> Listing {
    let mut found = Listing::new();
    walk(dir, "", with_times, &mut found);
    found
}

fn walk(dir: &Path, prefix: &str, with_times: bool, found: &mut Listing) {
    for name in names(dir) {
        let path = dir.join(&name);
        let inner = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            walk(&path, &inner, with_times, found);
            "folder".into()
        } else if kind.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_file() {
            format!("file {} {}", meta.len(), Digest::of(fs::read(&path).unwrap()).hex())
        } else if kind.is_char_device() {
            format!("device {}", meta.rdev())
        } else {
            "other".into()
        };
        // A removed name's mark has no time of its own.
        let time = if with_times && !kind.is_char_device() { format!(" at {}", meta.mtime()) } else { String::new() };
        found.insert(inner, format!("{what} {:o} {}:{}{time}", meta.mode(), meta.uid(), meta.gid()));
    }
}
