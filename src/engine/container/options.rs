//! What a caller can ask of a container, read once from Lua or the command line.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Component, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::error::{Error, Result};
use super::super::suggest::suggest;
use super::cgroup::Limits;

/// A command: one line for the image's shell, or an argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Given to the image's shell (`/bin/sh -c` unless its configuration says otherwise).
    Line(String),
    /// Executed as it is.
    Argv(Vec<String>),
}

impl Command {
    /// What to show a person.
    pub fn display(&self) -> String {
        match self {
            Command::Line(line) => line.clone(),
            Command::Argv(argv) => argv.join(" "),
        }
    }
}

/// Which network a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// A namespace of its own with nothing but loopback.
    #[default]
    None,
    /// The host's.
    Host,
}

/// Where standard input comes from.
#[derive(Debug, Clone, Default)]
pub enum Input {
    /// Nothing: end of file at once.
    #[default]
    Nothing,
    /// What can be read from this descriptor: the caller's own standard input. With a terminal asked for, and a
    /// terminal here, this one is put into raw mode for the time.
    From(Arc<OwnedFd>),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// What a tmpfs can be told, besides `rw` and `ro`.
const TMPFS: [&str; 12] =
    ["size", "mode", "uid", "gid", "nr_blocks", "nr_inodes", "exec", "noexec", "suid", "nosuid", "dev", "nodev"];

/// A folder or file of the host, or memory, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The host's path; `None` for a tmpfs.
    pub source: Option<PathBuf>,
    /// The absolute path in the container.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Further options of a tmpfs, such as `size=64m`.
    pub options: Vec<String>,
}

impl Mount {
    /// Parses the short form `SOURCE:TARGET[:ro|rw]`, both absolute.
    ///
    /// # Errors
    /// `invalid_argument`; `unsupported` for a named volume.
    pub fn parse(text: &str) -> Result<Mount> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [source, target] => (source, target, "rw"),
            [source, target, mode] => (source, target, mode),
            _ => return Err(Error::invalid(format!("invalid mount '{text}': expected SOURCE:TARGET[:ro]"))),
        };
        if !source.starts_with('/') && !source.starts_with("./") && !source.starts_with("../") {
            let message = format!("invalid mount '{text}': the source must be a path ('/x' or './x')");
            return Err(Error::invalid(message));
        }
        let source = std::path::absolute(source).map_err(|e| Error::invalid(format!("invalid mount '{text}': {e}")))?;
        let mut mount = Mount { source: Some(source), target: target.into(), read_only: false, options: Vec::new() };
        for word in mode.split(',') {
            match word {
                "ro" => mount.read_only = true,
                "rw" | "z" | "Z" => {}
                _ => return Err(Error::invalid(format!("invalid mount '{text}': unknown option '{word}'"))),
            }
        }
        mount.check()?;
        Ok(mount)
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
        let mount = Mount {
            source: None,
            target: target.into(),
            read_only: options.split(',').any(|word| word == "ro"),
            options: words.map(str::to_string).collect(),
        };
        mount.check()?;
        Ok(mount)
    }

    /// Refuses targets that cannot be mounted on.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        let target = self.target.display();
        if !self.target.is_absolute() {
            return Err(Error::invalid(format!("mount target '{target}' must be an absolute path")));
        }
        // What is left of it when `..` is followed, as it is in a root without links.
        let depth = self.target.components().fold(0u32, |depth, part| match part {
            Component::Normal(_) => depth + 1,
            Component::ParentDir => depth.saturating_sub(1),
            _ => depth,
        });
        if depth == 0 {
            return Err(Error::invalid("a mount cannot replace the container's '/'"));
        }
        Ok(())
    }
}

/// A resource limit of processes (setrlimit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// The kernel's name in lower case without `RLIMIT_`: `nofile`, `core`, ...
    pub name: String,
    /// What counts.
    pub soft: u64,
    /// What an unprivileged process may raise it to.
    pub hard: u64,
}

impl Ulimit {
    /// Parses `NAME=SOFT[:HARD]`; `-1` or `unlimited` for no limit.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<Ulimit> {
        let bad = || Error::invalid(format!("invalid ulimit '{text}': expected NAME=SOFT[:HARD]"));
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            text => text.parse::<u64>().map_err(|_| bad()),
        };
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        Ok(Ulimit { name: name.to_lowercase(), soft: number(soft)?, hard: number(hard)? })
    }
}

/// Everything that can be asked of one container.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Replaces the image's entrypoint; an empty one takes it away.
    pub entrypoint: Option<Vec<String>>,
    /// Variables; they win over the image's. `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Working folder.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, names or numbers.
    pub user: Option<String>,
    /// Host name; the short id by default.
    pub hostname: Option<String>,
    /// Network.
    pub network: Network,
    /// Give it a terminal.
    pub tty: bool,
    /// Standard input.
    pub input: Input,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Refuse writes to the root file system.
    pub read_only: bool,
    /// Every capability, no filter, nothing masked.
    pub privileged: bool,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
    /// Refuse gaining privileges by setuid programs.
    pub no_new_privileges: bool,
    /// Run without the seccomp filter.
    pub seccomp_unconfined: bool,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Limits of the container as a whole.
    pub limits: Limits,
    /// Size of `/dev/shm` in bytes; 64 MiB by default.
    pub shm_bytes: Option<u64>,
    /// Lines for `/etc/hosts`: name and address.
    pub hosts: Vec<(String, String)>,
    /// Name servers instead of the host's.
    pub dns: Vec<String>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
}

/// Refuses what a host name cannot be: the kernel takes 64 bytes, `/etc/hosts` no white space.
///
/// # Errors
/// `invalid_argument`.
pub fn check_hostname(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        let message = format!("invalid host name '{}'", name.escape_debug());
        return Err(Error::invalid(message).with_hint("use letters, digits, '-', '.' and '_', at most 64"));
    }
    Ok(())
}

impl Options {
    /// Refuses values that could not be meant, before anything is started.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        self.hostname.as_deref().map_or(Ok(()), check_hostname)?;
        for (name, address) in &self.hosts {
            check_hostname(name)?;
            if address.parse::<IpAddr>().is_err() {
                let message = format!("invalid address '{}' for host '{name}'", address.escape_debug());
                return Err(Error::invalid(message).with_hint("write it as NAME = \"192.0.2.1\""));
            }
        }
        if let Some(server) = self.dns.iter().find(|server| server.parse::<IpAddr>().is_err()) {
            let message = format!("invalid name server '{}': expected an IP address", server.escape_debug());
            return Err(Error::invalid(message));
        }
        self.limits.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_in_short_form() {
        let mount = Mount::parse("/data:/var/lib/db:ro").unwrap();
        assert_eq!((mount.source, mount.read_only), (Some("/data".into()), true));
        for bad in ["", "/a", "data:/x", "/a:b", "/a:/", "/a:/b:rx", "/a:/b:ro:z", ":/a"] {
            assert!(Mount::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Mount::parse("data:/x").unwrap_err().message(),
            "invalid mount 'data:/x': the source must be a path ('/x' or './x')"
        );
    }

    #[test]
    fn ulimits() {
        assert_eq!(Ulimit::parse("nofile=1024").unwrap(), Ulimit { name: "nofile".into(), soft: 1024, hard: 1024 });
        assert_eq!(Ulimit::parse("core=0:-1").unwrap().hard, u64::MAX);
        assert!(Ulimit::parse("nofile").is_err() && Ulimit::parse("nofile=x").is_err());
    }
}
