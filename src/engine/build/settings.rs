//! Steps that change a state's configuration and nothing else: they cost nothing and need no cache.

use nix::sys::signal::Signal;

use super::super::container::user;
use super::super::error::{Error, Result};
use super::super::image::config::{Empty, RunConfig};
use super::super::suggest::suggest;
use super::State;

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
}

impl State {
    /// The state with one setting changed.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed port, path or name.
    pub fn set(&self, setting: &Setting) -> Result<State> {
        let mut config = self.0.config.clone();
        let history = apply(&mut config.config, setting)?;
        let key = self.key_after("config", &config.config)?;
        let next = self.after(key, None, None, history.clone(), history);
        let mut changed = next.0.config.clone();
        changed.config = config.config;
        Ok(State::make(key, next.0.layers.clone(), changed, next.0.step.clone()))
    }
}

/// Changes the configuration and says so in a Dockerfile's words.
fn apply(config: &mut RunConfig, setting: &Setting) -> Result<String> {
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
    })
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

    #[test]
    fn settings_change_the_key_and_only_what_they_say() {
        let base = State::scratch();
        let one = base.set(&Setting::Env(vec![("A".into(), Some("1".into()))])).unwrap();
        let two = one.set(&Setting::Env(vec![("A".into(), Some("2".into())), ("B".into(), Some("".into()))])).unwrap();
        assert_eq!(two.config().config.env, ["A=2", "B="]);
        assert!(one.key() != two.key() && one.key() != base.key());
        assert_eq!(base.set(&Setting::Env(vec![("A".into(), Some("1".into()))])).unwrap(), one);
        let entry = one
            .set(&Setting::Cmd(Some(vec!["x".into()])))
            .unwrap()
            .set(&Setting::Entrypoint(Some(vec!["/app".into()])))
            .unwrap();
        assert_eq!(entry.config().config.cmd, None);
        let ports = base.set(&Setting::Expose(vec!["80".into(), "53/udp".into()])).unwrap();
        assert_eq!(ports.config().config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert!(base.set(&Setting::Expose(vec!["0".into()])).is_err());
        assert_eq!(two.config().history.len(), 2);
        assert!(two.config().history[1].empty_layer);
    }
}
