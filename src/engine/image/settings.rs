//! One change of an image's configuration, as build steps, commits and Dockerfiles make it.
//!
//! Source: OCI image specification 1.1, config.md; Dockerfile reference.

use nix::sys::signal::Signal;

use super::super::container::user;
use super::super::error::{Error, Result};
use super::super::suggest::suggest;
use super::config::{Empty, Healthcheck, RunConfig};

/// One change of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Sets variables; `None` removes one.
    Env(Vec<(String, Option<String>)>),
    /// Changes the working folder; a relative one continues the one before.
    Workdir(String),
    /// Sets `USER[:GROUP]`.
    User(String),
    /// Sets labels; `None` removes one.
    Label(Vec<(String, Option<String>)>),
    /// Sets the command; `None` removes it.
    Cmd(Option<Vec<String>>),
    /// Sets the entry point; `None` removes it. An inherited command goes with it, as in a Dockerfile.
    Entrypoint(Option<Vec<String>>),
    /// Names ports: `80`, `53/udp`.
    Expose(Vec<String>),
    /// Names paths that hold data.
    Volume(Vec<String>),
    /// Sets the signal that asks a container to stop.
    StopSignal(String),
    /// Sets the shell for commands that are one line.
    Shell(Vec<String>),
    /// Says how to tell whether a container is well.
    Healthcheck(Healthcheck),
    /// Adds an instruction for builds that start from the image.
    OnBuild(String),
    /// Takes settings away.
    Unset(Unset),
}

/// What to take away of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unset {
    /// Names of variables.
    pub env: Vec<String>,
    /// Names of labels.
    pub labels: Vec<String>,
    /// Ports: `80`, `53/udp`.
    pub ports: Vec<String>,
    /// Paths of volumes.
    pub volumes: Vec<String>,
    /// Whole settings, of [`Unset::WHOLE`].
    pub whole: Vec<&'static str>,
}

impl Unset {
    /// The settings that can be taken away as a whole.
    pub const WHOLE: &[&str] =
        &["cmd", "entrypoint", "user", "workdir", "healthcheck", "stop_signal", "shell", "on_build"];

    fn apply(&self, config: &mut RunConfig) -> Result<String> {
        for name in &self.env {
            set_env(config, name, None)?;
        }
        for name in &self.labels {
            config.labels.remove(name);
        }
        for port in &self.ports {
            config.exposed_ports.remove(&parse_port(port)?);
        }
        for path in &self.volumes {
            config.volumes.remove(path);
        }
        for name in &self.whole {
            match *name {
                "cmd" => config.cmd = None,
                "entrypoint" => config.entrypoint = None,
                "user" => config.user.clear(),
                "workdir" => config.working_dir.clear(),
                "healthcheck" => config.healthcheck = None,
                "stop_signal" => config.stop_signal = None,
                "shell" => config.shell = None,
                "on_build" => config.on_build.clear(),
                other => return Err(Error::invalid(format!("'{other}' cannot be unset"))),
            }
        }
        let names = [&self.env, &self.labels, &self.ports, &self.volumes].into_iter().flatten().map(String::as_str);
        let names: Vec<&str> = names.chain(self.whole.iter().copied()).collect();
        Ok(format!("UNSET {}", names.join(" ")))
    }
}

/// Changes the configuration and says so in a Dockerfile's words.
///
/// # Errors
/// `invalid_argument` for a malformed port, path, user, signal or name.
pub fn apply(config: &mut RunConfig, setting: &Setting) -> Result<String> {
    let json = |list: &[String]| serde_json::to_string(list).unwrap_or_default();
    Ok(match setting {
        Setting::Env(list) => {
            for (name, value) in list {
                set_env(config, name, value.as_deref())?;
            }
            format!("ENV {}", pairs(list))
        }
        Setting::Workdir(dir) => {
            config.working_dir = join_workdir(&config.working_dir, dir)?;
            format!("WORKDIR {}", config.working_dir)
        }
        Setting::User(user) => {
            user::check(user)?;
            config.user = user.clone();
            format!("USER {user}")
        }
        Setting::Label(list) => {
            for (name, value) in list {
                if name.is_empty() {
                    return Err(Error::invalid("a label needs a name"));
                }
                match value {
                    Some(value) => config.labels.insert(name.clone(), value.clone()),
                    None => config.labels.remove(name),
                };
            }
            format!("LABEL {}", pairs(list))
        }
        Setting::Cmd(cmd) => {
            config.cmd = cmd.clone();
            format!("CMD {}", cmd.as_deref().map_or("[]".into(), json))
        }
        Setting::Entrypoint(entrypoint) => {
            config.entrypoint = entrypoint.clone();
            config.cmd = None;
            format!("ENTRYPOINT {}", entrypoint.as_deref().map_or("[]".into(), json))
        }
        Setting::Expose(list) => {
            for port in list {
                config.exposed_ports.insert(parse_port(port)?, Empty {});
            }
            format!("EXPOSE {}", list.join(" "))
        }
        Setting::Volume(list) => {
            for path in list {
                if !path.starts_with('/') {
                    return Err(Error::invalid(format!("volume '{path}' must be an absolute path")));
                }
                config.volumes.insert(path.clone(), Empty {});
            }
            format!("VOLUME {}", json(list))
        }
        Setting::StopSignal(signal) => {
            check_signal(signal)?;
            config.stop_signal = Some(signal.clone());
            format!("STOPSIGNAL {signal}")
        }
        Setting::Shell(shell) => {
            config.shell = Some(shell.clone());
            format!("SHELL {}", json(shell))
        }
        Setting::Healthcheck(check) => {
            config.healthcheck = Some(check.clone());
            format!("HEALTHCHECK {}", json(&check.test))
        }
        Setting::OnBuild(instruction) => {
            check_trigger(instruction)?;
            config.on_build.push(instruction.clone());
            format!("ONBUILD {instruction}")
        }
        Setting::Unset(unset) => unset.apply(config)?,
    })
}

/// The instructions of a Dockerfile that may be triggers.
const TRIGGERS: [&str; 15] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction that an image's children may take.
///
/// # Errors
/// `invalid_argument` for one that cannot be a trigger, and for what is none.
pub fn check_trigger(text: &str) -> Result<()> {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "" => Err(Error::invalid("a trigger needs an instruction")),
        "ONBUILD" | "FROM" | "MAINTAINER" => Err(Error::invalid(format!("{word} cannot be a trigger"))),
        known if TRIGGERS.contains(&known) => Ok(()),
        _ => Err(suggest(Error::invalid(format!("unknown instruction '{word}'")), &word, TRIGGERS)),
    }
}

fn set_env(config: &mut RunConfig, name: &str, value: Option<&str>) -> Result<()> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::invalid(format!("invalid name of an environment variable: '{name}'")));
    }
    let prefix = format!("{name}=");
    let at = config.env.iter().position(|variable| variable.starts_with(&prefix));
    match (at, value) {
        (Some(at), Some(value)) => config.env[at] = format!("{prefix}{value}"),
        (None, Some(value)) => config.env.push(format!("{prefix}{value}")),
        (Some(at), None) => drop(config.env.remove(at)),
        (None, None) => {}
    }
    Ok(())
}

fn pairs(list: &[(String, Option<String>)]) -> String {
    let words: Vec<String> = list
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => format!("-{name}"),
        })
        .collect();
    words.join(" ")
}

/// A working folder after another: absolute ones replace, relative ones continue; `.` and `..` are resolved.
pub fn join_workdir(current: &str, dir: &str) -> Result<String> {
    if dir.is_empty() || dir.contains('\0') {
        return Err(Error::invalid("a working folder needs a path"));
    }
    let base = if dir.starts_with('/') { "" } else { current };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(dir.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
fn check_signal(text: &str) -> Result<()> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is_number = name.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let is_real_time = ["RTMIN", "RTMIN+", "RTMAX", "RTMAX-"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.parse::<u8>().is_ok_and(|n| n <= 30))
    });
    let mut known = Signal::iterator().map(Signal::as_str);
    if is_number || is_real_time || known.any(|known| known.trim_start_matches("SIG") == name) {
        return Ok(());
    }
    Err(suggest(Error::invalid(format!("unknown signal '{text}'")), text, Signal::iterator().map(Signal::as_str)))
}

fn parse_port(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    match number.parse::<u16>() {
        Ok(number) if number > 0 && known => Ok(format!("{number}/{protocol}")),
        _ => Err(Error::invalid(format!("invalid port '{text}': expected NUMBER[/tcp|udp|sctp]"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_folders_chain() {
        for (current, dir, want) in [
            ("", "a", "/a"),
            ("/a", "b", "/a/b"),
            ("/a", "/c", "/c"),
            ("/a/b", "../x/./y", "/a/x/y"),
            ("/", "../..", "/"),
        ] {
            assert_eq!(join_workdir(current, dir).unwrap(), want);
        }
    }
}
