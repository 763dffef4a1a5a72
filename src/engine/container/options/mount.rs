//! Mounts as callers write them: the short form `SOURCE:TARGET[:OPTIONS]`, the long one (`type=bind,source=...`), and
//! memory (`TARGET[:OPTIONS]`).

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::super::error::{Error, Kind, Result};
use super::super::super::suggest::suggest;

/// What a tmpfs can be told, besides `rw` and `ro`.
const TMPFS: [&str; 12] =
    ["size", "mode", "uid", "gid", "nr_blocks", "nr_inodes", "exec", "noexec", "suid", "nosuid", "dev", "nodev"];
/// How mounts made later spread between host and container: mount_namespaces(7).
const PROPAGATION: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
/// The keys of the long form.
const KEYS: [&str; 12] = [
    "type",
    "source",
    "src",
    "target",
    "destination",
    "dst",
    "readonly",
    "ro",
    "bind-propagation",
    "bind-nonrecursive",
    "tmpfs-size",
    "tmpfs-mode",
];

/// Where the files of a mount are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A folder or file of the host.
    Host(PathBuf),
    /// A tmpfs.
    Memory,
    /// A data folder of the container's own, filled with what the image has there.
    Anonymous,
    /// What comes with the request, by its number: only build steps have such mounts.
    #[serde(skip)]
    Given(usize),
}

/// Something seen in the container at a place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where the files are.
    pub source: Source,
    /// The absolute path in the container.
    pub target: PathBuf,
    /// Whether writing is refused.
    #[serde(default)]
    pub read_only: bool,
    /// Options of a tmpfs, such as `size=64m`.
    #[serde(default)]
    pub options: Vec<String>,
    /// One of `private`, `rprivate`, ...; `rprivate` when not given.
    #[serde(default)]
    pub propagation: Option<String>,
    /// Bind only the folder itself, not what is mounted below it.
    #[serde(default)]
    pub flat: bool,
}

impl Mount {
    /// A writable mount.
    pub fn new(source: Source, target: impl Into<PathBuf>) -> Mount {
        let target = target.into();
        Mount { source, target, read_only: false, options: Vec::new(), propagation: None, flat: false }
    }

    /// An anonymous data folder at `target`.
    ///
    /// # Errors
    /// `invalid_argument` for a target that cannot be mounted on.
    pub fn anonymous(target: impl Into<PathBuf>) -> Result<Mount> {
        Mount::new(Source::Anonymous, target).checked()
    }

    /// Parses the short form: `SOURCE:TARGET[:OPTIONS]`, or `TARGET` alone for an anonymous data folder. A relative
    /// source begins with `./` or `../`; the options are `ro`, `rw`, `z`, `Z`, `nocopy` and a propagation.
    ///
    /// # Errors
    /// `invalid_argument`; `unsupported` for a named volume.
    pub fn parse(text: &str) -> Result<Mount> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, words) = match parts[..] {
            [target] if target.starts_with('/') => return Mount::anonymous(target),
            [source, target] => (source, target, "rw"),
            [source, target, words] => (source, target, words),
            _ => return Err(Error::invalid(format!("invalid mount '{text}': expected SOURCE:TARGET[:ro]"))),
        };
        let mut mount = Mount::new(Source::Host(host_path(source, text)?), target);
        for word in words.split(',') {
            match word {
                "ro" => mount.read_only = true,
                "rw" | "z" | "Z" | "nocopy" | "rbind" => {}
                "bind" => mount.flat = true,
                _ if PROPAGATION.contains(&word) => mount.propagation = Some(word.into()),
                _ => return Err(Error::invalid(format!("invalid mount '{text}': unknown option '{word}'"))),
            }
        }
        mount.checked()
    }

    /// Parses the long form: `type=bind|tmpfs|volume,source=...,target=...[,readonly]...`.
    ///
    /// # Errors
    /// As [`Mount::parse`].
    pub fn parse_long(text: &str) -> Result<Mount> {
        let bad = |why: String| Error::invalid(format!("invalid mount '{text}': {why}"));
        let (mut kind, mut source, mut target) = ("volume", None, None);
        let mut rest = Vec::new();
        for word in text.split(',') {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "type" => kind = value,
                "source" | "src" => source = Some(value),
                "target" | "destination" | "dst" => target = Some(value),
                _ if KEYS.contains(&key) => rest.push((key, value)),
                _ => return Err(suggest(bad(format!("unknown key '{key}'")), key, KEYS)),
            }
        }
        let target = target.ok_or_else(|| bad("the target is missing".into()))?;
        let source = match (kind, source) {
            ("bind", Some(source)) => Source::Host(host_path(source, text)?),
            ("bind", None) => return Err(bad("a bind needs a source".into())),
            ("tmpfs", None) => Source::Memory,
            ("tmpfs", Some(_)) => return Err(bad("a tmpfs has no source".into())),
            ("volume", None) => Source::Anonymous,
            ("volume", Some(name)) => return Err(named_volume(name, text)),
            (other, _) => return Err(bad(format!("unknown type '{other}': expected bind, tmpfs or volume"))),
        };
        let mut mount = Mount::new(source, target);
        for (key, value) in rest {
            let yes = match value {
                "" | "true" | "1" => true,
                "false" | "0" => false,
                _ => true,
            };
            match key {
                "readonly" | "ro" => mount.read_only = yes,
                "bind-nonrecursive" => mount.flat = yes,
                "bind-propagation" if PROPAGATION.contains(&value) => mount.propagation = Some(value.into()),
                "tmpfs-size" if kind == "tmpfs" => mount.options.push(format!("size={value}")),
                "tmpfs-mode" if kind == "tmpfs" => mount.options.push(format!("mode={value}")),
                _ => return Err(bad(format!("'{key}' cannot be '{value}' for type {kind}"))),
            }
        }
        mount.checked()
    }

    /// Parses the short form of memory: `TARGET[:OPTION,...]`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn tmpfs(text: &str) -> Result<Mount> {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let words = options.split(',').filter(|word| !word.is_empty() && *word != "rw" && *word != "ro");
        if let Some(unknown) = words.clone().find(|word| !TMPFS.contains(&word.split('=').next().unwrap_or_default())) {
            let name = unknown.split('=').next().unwrap_or_default();
            let error = Error::invalid(format!("invalid tmpfs '{text}': unknown option '{name}'"));
            return Err(suggest(error, name, TMPFS));
        }
        let mut mount = Mount::new(Source::Memory, target);
        mount.read_only = options.split(',').any(|word| word == "ro");
        mount.options = words.map(str::to_string).collect();
        mount.checked()
    }

    /// Refuses targets that cannot be mounted on.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        check_target(&self.target)
    }

    fn checked(self) -> Result<Mount> {
        self.check().map(|()| self)
    }
}

fn host_path(source: &str, text: &str) -> Result<PathBuf> {
    if !source.starts_with('/') && !source.starts_with("./") && !source.starts_with("../") && source != "." {
        return Err(named_volume(source, text));
    }
    std::path::absolute(source).map_err(|e| Error::invalid(format!("invalid mount '{text}': {e}")))
}

fn named_volume(name: &str, text: &str) -> Error {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return Error::invalid(format!("invalid mount '{text}': the source must be a path ('/x' or './x')"));
    }
    Error::new(Kind::Unsupported, format!("invalid mount '{text}': there are no named volumes yet"))
        .with_hint(format!("for a folder of the host write ./{name} or its absolute path"))
}

fn check_target(target: &Path) -> Result<()> {
    if !target.is_absolute() {
        return Err(Error::invalid(format!("mount target '{}' must be an absolute path", target.display())));
    }
    // What is left of it when `..` is followed, as it is in a root without links.
    let depth = target.components().fold(0u32, |depth, part| match part {
        Component::Normal(_) => depth + 1,
        Component::ParentDir => depth.saturating_sub(1),
        _ => depth,
    });
    if depth == 0 {
        return Err(Error::invalid("a mount cannot replace the container's '/'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let mount = Mount::parse("/data:/var/lib/db:ro").unwrap();
        assert_eq!((mount.source, mount.read_only), (Source::Host("/data".into()), true));
        assert_eq!(Mount::parse("/data").unwrap().source, Source::Anonymous);
        assert_eq!(Mount::parse("/a:/b:ro,rslave").unwrap().propagation.as_deref(), Some("rslave"));
        for bad in ["", "data:/x", "/a:b", "/a:/", "/", "/a:/b:rx", "/a:/b:ro:z", ":/a", "a"] {
            assert!(Mount::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Mount::parse("data:/x").unwrap_err().message(),
            "invalid mount 'data:/x': there are no named volumes yet"
        );
    }

    #[test]
    fn long_forms() {
        let mount = Mount::parse_long("type=bind,source=/data,target=/x,readonly").unwrap();
        assert_eq!((mount.source, mount.read_only), (Source::Host("/data".into()), true));
        let mount = Mount::parse_long("type=tmpfs,dst=/t,tmpfs-size=1m").unwrap();
        assert_eq!((mount.source, mount.options), (Source::Memory, vec!["size=1m".to_string()]));
        assert_eq!(Mount::parse_long("target=/x").unwrap().source, Source::Anonymous);
        for bad in
            ["", "type=bind,target=/x", "type=cow,target=/x", "type=tmpfs,src=/a,target=/x", "type=bind,sorce=/a"]
        {
            assert!(Mount::parse_long(bad).is_err(), "{bad}");
        }
    }
}
