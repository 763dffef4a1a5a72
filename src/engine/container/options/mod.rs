//! What a caller can ask of a container, read once from Lua or the command line.

mod device;
mod limits;
mod mount;
mod policy;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::error::{Error, Result};

pub use device::{Device, DeviceRule};
pub use limits::{Limits, Ulimit};
pub use mount::{Mount, Source};
pub use policy::{Health, HealthOptions, Log, Restart};

/// A command: one line for the image's shell, or an argument vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// A namespace of its own with nothing but loopback.
    #[default]
    None,
    /// The host's.
    Host,
    /// That of another container, by its id.
    Container(String),
}

/// Whose namespace of one kind a container lives in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// That of another container, by its id.
    Container(String),
}

impl Share {
    /// Parses `private`, `host`, `container:NAME`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(what: &str, text: &str) -> Result<Share> {
        match text {
            "" | "private" | "shareable" => Ok(Share::Private),
            "host" => Ok(Share::Host),
            _ => match text.strip_prefix("container:").filter(|name| !name.is_empty()) {
                Some(name) => Ok(Share::Container(name.into())),
                None => {
                    Err(Error::invalid(format!("invalid {what} '{text}': expected private, host or container:NAME")))
                }
            },
        }
    }
}

/// The system call filter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// The engine's own profile.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's JSON form.
    Profile(String),
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

/// Everything that can be asked of one container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Its name; a made-up one when not given.
    pub name: Option<String>,
    /// For which machine, such as `linux/arm64`; this one's when not given.
    pub platform: Option<String>,
    /// A file to write its id to, which must not exist.
    #[serde(skip)]
    pub cidfile: Option<PathBuf>,
    /// Replaces the image's entrypoint; an empty one takes it away.
    pub entrypoint: Option<Vec<String>>,
    /// Variables; they win over the image's. `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Working folder.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, names or numbers.
    pub user: Option<String>,
    /// Further groups, names or numbers.
    pub group_add: Vec<String>,
    /// Host name; the short id by default.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Network.
    pub network: Network,
    /// Process ids.
    pub pid: Share,
    /// Shared memory and message queues.
    pub ipc: Share,
    /// Host name.
    pub uts: Share,
    /// Control groups.
    pub cgroupns: Share,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep its standard input open.
    pub interactive: bool,
    /// Standard input of a foreground container.
    #[serde(skip)]
    pub input: Input,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Containers whose mounts it gets too: `NAME[:ro]`.
    pub volumes_from: Vec<String>,
    /// Refuse writes to the root file system.
    pub read_only: bool,
    /// Run it below a small first process that reaps orphans.
    pub init: bool,
    /// Every capability, no filter, nothing masked.
    pub privileged: bool,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
    /// Refuse gaining privileges by setuid programs.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// AppArmor profile, `unconfined` for none; the engine's own when not given.
    pub apparmor: Option<String>,
    /// Hide and protect nothing below `/proc` and `/sys`.
    pub unmask: bool,
    /// Host ids that its root and the next 65,535 ids are mapped to: `UID`.
    pub userns: Option<u32>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Further rules of its device cgroup.
    pub device_rules: Vec<DeviceRule>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Limits of the container as a whole.
    pub limits: Limits,
    /// How readily the kernel kills it when memory is short: -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Size of `/dev/shm` in bytes; 64 MiB by default.
    pub shm_bytes: Option<u64>,
    /// Lines for `/etc/hosts`: name and address.
    pub hosts: Vec<(String, String)>,
    /// Name servers instead of the host's.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Labels, besides the image's.
    pub labels: Vec<(String, String)>,
    /// Annotations of the runtime specification.
    pub annotations: Vec<(String, String)>,
    /// When to start it again.
    pub restart: Restart,
    /// Remove it when it has ended.
    pub auto_remove: bool,
    /// The signal that asks it to stop; the image's, or TERM.
    pub stop_signal: Option<String>,
    /// Seconds from that signal to the end; 10 by default.
    pub stop_timeout: Option<u64>,
    /// Health checks.
    pub health: HealthOptions,
    /// Its log.
    pub log: Log,
    /// Kill it after this long.
    #[serde(skip)]
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
    /// Writes down only what differs from the default: this is read far more often than it is written.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize_asked<S: serde::Serializer>(
        options: &Options,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        static DEFAULT: LazyLock<serde_json::Value> =
            LazyLock::new(|| serde_json::to_value(Options::default()).unwrap_or_default());
        let mut all = serde_json::to_value(options).map_err(serde::ser::Error::custom)?;
        if let Some(all) = all.as_object_mut() {
            all.retain(|name, value| DEFAULT.get(name) != Some(value));
        }
        all.serialize(serializer)
    }

    /// Refuses values that could not be meant, and those that contradict each other, before anything is started.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        self.hostname.as_deref().map_or(Ok(()), check_hostname)?;
        self.domainname.as_deref().map_or(Ok(()), check_hostname)?;
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
        if let Some(word) =
            self.dns_search.iter().chain(&self.dns_options).find(|word| word.contains(char::is_whitespace))
        {
            return Err(Error::invalid(format!(
                "'{}' has white space, which resolv.conf cannot hold",
                word.escape_debug()
            )));
        }
        if let Some(score) = self.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
            return Err(Error::invalid(format!("oom_score_adj must be from -1000 to 1000, got {score}")));
        }
        self.check_conflicts()?;
        self.check_targets()?;
        self.limits.check()
    }

    fn check_conflicts(&self) -> Result<()> {
        let clash = |what: &str| Err(Error::invalid(what.to_string()));
        if self.auto_remove && self.restart != Restart::No {
            return clash("a container that is removed at its end cannot be started again: rm and restart conflict");
        }
        if self.hostname.is_some() && self.uts != Share::Private {
            return clash("hostname needs a host name of its own: it conflicts with uts");
        }
        if self.hostname.is_some() && matches!(self.network, Network::Container(_)) {
            return clash("hostname conflicts with the network of another container, whose name it has");
        }
        if self.shm_bytes.is_some() && self.ipc != Share::Private {
            return clash("shm_size needs shared memory of its own: it conflicts with ipc");
        }
        if self.privileged && self.userns.is_some() {
            return clash("privileged and userns conflict");
        }
        if self.init && self.pid != Share::Private {
            return clash("init needs process ids of its own: it conflicts with pid");
        }
        Ok(())
    }

    fn check_targets(&self) -> Result<()> {
        let mut seen = std::collections::HashSet::new();
        for mount in &self.mounts {
            mount.check()?;
            if !seen.insert(&mount.target) {
                return Err(Error::invalid(format!("two mounts for '{}'", mount.target.display())));
            }
        }
        Ok(())
    }
}
