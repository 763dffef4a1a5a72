//! An image archive (OCI layout or docker-archive) as one tree: its layers put on top of each other by these lines, not
//! by the engine.
//!
//! ```text
//! index.json  -> manifest blob -> config blob, layer blobs      an OCI layout in a tar
//! manifest.json: [{Config, Layers}]                             what `docker save` writes
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use tar::EntryType;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: &'static str,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub size: u64,
    pub mtime: u64,
    pub target: String,
    pub content: Vec<u8>,
    /// The first name of the file of which this is a hard link, or its own.
    pub file: String,
}

/// An image.
pub struct Flat {
    pub config: Value,
    pub tree: BTreeMap<String, Node>,
    /// The layers' tar streams, in order.
    pub layers: Vec<Vec<u8>>,
}

impl Flat {
    /// The same with `@DIR@` for a folder's path, in the names of paths and in links.
    pub fn without(mut self, dir: &Path) -> Flat {
        let dir = dir.display().to_string();
        let put = |text: &str| text.replace(&dir, "/@DIR@");
        self.tree = std::mem::take(&mut self.tree)
            .into_iter()
            .map(|(path, node)| (put(&path), Node { target: put(&node.target), ..node }))
            .collect();
        self
    }

    /// Reads an archive.
    pub fn read(archive: &Path) -> Result<Flat, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let file = fs::File::open(archive).map_err(|e| format!("{}: {e}", archive.display()))?;
        tar::Archive::new(file).unpack(dir.path()).map_err(|e| format!("{}: {e}", archive.display()))?;
        let json = |path: PathBuf| -> Result<Value, String> {
            let text = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
        };
        let blob = |value: &Value| {
            let digest = value["digest"].as_str().unwrap_or_default();
            dir.path().join("blobs").join(digest.replace(':', "/"))
        };
        let (config, files): (Value, Vec<PathBuf>) = if dir.path().join("manifest.json").exists() {
            let manifest = json(dir.path().join("manifest.json"))?;
            let path = |value: &Value| dir.path().join(value.as_str().unwrap_or_default());
            let layers = manifest[0]["Layers"].as_array().cloned().unwrap_or_default();
            (json(path(&manifest[0]["Config"]))?, layers.iter().map(path).collect())
        } else {
            let mut manifest = json(dir.path().join("index.json"))?;
            while let Some(next) = manifest["manifests"].get(0) {
                manifest = json(blob(next))?;
            }
            let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
            (json(blob(&manifest["config"]))?, layers.iter().map(blob).collect())
        };
        let mut flat = Flat { config, tree: BTreeMap::new(), layers: Vec::new() };
        for path in files {
            let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let plain = unpacked(bytes).map_err(|e| format!("{}: {e}", path.display()))?;
            flat.apply(&plain).map_err(|e| format!("layer {}: {e}", path.display()))?;
            flat.layers.push(plain);
        }
        Ok(flat)
    }

    /// Puts a layer on top.
    fn apply(&mut self, layer: &[u8]) -> std::io::Result<()> {
        let mut fresh = BTreeMap::new();
        for entry in tar::Archive::new(layer).entries()? {
            let mut entry = entry?;
            let path = clean(&entry.path()?);
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                let inside = format!("{parent}/");
                self.tree.retain(|path, _| !path.starts_with(&inside));
                continue;
            }
            if let Some(gone) = name.strip_prefix(".wh.") {
                let (gone, inside) = (format!("{parent}/{gone}"), format!("{parent}/{gone}/"));
                self.tree.retain(|path, _| *path != gone && !path.starts_with(&inside));
                continue;
            }
            let header = entry.header();
            let kind = match header.entry_type() {
                EntryType::Directory => "dir",
                EntryType::Symlink => "link",
                EntryType::Regular | EntryType::Continuous | EntryType::Link => "file",
                EntryType::Fifo => "fifo",
                EntryType::XHeader | EntryType::XGlobalHeader => continue,
                _ => "device",
            };
            let link = entry.link_name()?.map(|link| link.display().to_string()).unwrap_or_default();
            let is_link = header.entry_type() == EntryType::Link;
            let mut node = Node {
                kind,
                mode: header.mode()? & 0o7777,
                // The base image leaves these fields empty.
                uid: header.uid().unwrap_or(0),
                gid: header.gid().unwrap_or(0),
                size: header.size()?,
                mtime: header.mtime()?,
                target: if kind == "link" { link.clone() } else { String::new() },
                content: Vec::new(),
                file: path.clone(),
            };
            entry.read_to_end(&mut node.content)?;
            if is_link {
                let first = clean(Path::new(&link));
                let target = fresh.get(&first).or_else(|| self.tree.get(&first));
                node = target.cloned().ok_or_else(|| std::io::Error::other(format!("{path}: link to {first}")))?;
            }
            fresh.insert(path, node);
        }
        for (path, node) in &fresh {
            if node.kind != "dir" {
                let inside = format!("{path}/");
                self.tree.retain(|old, _| !old.starts_with(&inside) || fresh.contains_key(old));
            }
        }
        self.tree.append(&mut fresh);
        Ok(())
    }

    /// The names in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let inside = format!("{}/", folder.trim_end_matches('/'));
        let name = |path: &String| path.strip_prefix(&inside).filter(|rest| !rest.contains('/')).map(String::from);
        self.tree.keys().filter_map(name).filter(|name| !name.is_empty()).collect()
    }
}

/// A path of an archive as an absolute one.
fn clean(path: &Path) -> String {
    let mut text = String::new();
    for part in path.components() {
        if let Component::Normal(name) = part {
            text.push('/');
            text.push_str(&name.to_string_lossy());
        }
    }
    if text.is_empty() { "/".into() } else { text }
}

fn unpacked(bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::Decoder::new(bytes.as_slice())?.read_to_end(&mut plain)?;
    } else {
        return Ok(bytes);
    }
    Ok(plain)
}
