//! What happens to a container over time: restarts, health checks, the way it is stopped, its log.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::super::error::{Error, Result};
use super::super::super::image::config::Healthcheck;
use super::super::super::suggest::suggest;

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it failed; at most so many times in a row, 0 for any number.
    OnFailure(u32),
    /// However it ended, and after a boot.
    Always,
    /// The same, but not after a boot if it had been stopped.
    UnlessStopped,
}

impl Restart {
    /// Parses `no`, `on-failure[:N]`, `always`, `unless-stopped`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<Restart> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let policy = match name {
            "no" | "" => Restart::No,
            "always" => Restart::Always,
            "unless-stopped" => Restart::UnlessStopped,
            "on-failure" => {
                let bad = || Error::invalid(format!("invalid restart policy '{text}': expected on-failure[:COUNT]"));
                return Ok(Restart::OnFailure(count.map_or(Ok(0), str::parse).map_err(|_| bad())?));
            }
            _ => {
                let error = Error::invalid(format!("invalid restart policy '{text}'"));
                return Err(suggest(error, name, ["no", "on-failure", "always", "unless-stopped"]));
            }
        };
        match count {
            Some(_) => Err(Error::invalid(format!("invalid restart policy '{text}': only on-failure takes a count"))),
            None => Ok(policy),
        }
    }

    /// The policy's name, as it was written.
    pub fn name(&self) -> &'static str {
        match self {
            Restart::No => "no",
            Restart::OnFailure(_) => "on-failure",
            Restart::Always => "always",
            Restart::UnlessStopped => "unless-stopped",
        }
    }
}

/// How to find out whether a running container is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What to run inside.
    pub argv: Vec<String>,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// At the start, failures in this time do not count.
    pub start_period: Duration,
    /// Between two checks in that time.
    pub start_interval: Duration,
}

/// What a caller says about health checks; what is not said comes from the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthOptions {
    /// A line for the image's shell, or a vector.
    pub command: Option<super::Command>,
    /// As in [`Health`].
    pub interval: Option<Duration>,
    /// As in [`Health`].
    pub timeout: Option<Duration>,
    /// As in [`Health`].
    pub retries: Option<u32>,
    /// As in [`Health`].
    pub start_period: Option<Duration>,
    /// As in [`Health`].
    pub start_interval: Option<Duration>,
    /// No check at all, whatever the image says.
    pub disable: bool,
}

impl HealthOptions {
    /// The check to make: options over the image's; none when neither has a command. `shell` is the image's.
    ///
    /// # Errors
    /// `invalid_argument` for a check that the image describes in an unknown way.
    pub fn resolve(&self, image: Option<&Healthcheck>, shell: &[String]) -> Result<Option<Health>> {
        if self.disable {
            return Ok(None);
        }
        let line = |line: &str| shell.iter().cloned().chain([line.to_string()]).collect::<Vec<String>>();
        let argv = match (&self.command, image.map(|check| check.test.as_slice()).unwrap_or_default()) {
            (Some(super::Command::Line(text)), _) => line(text),
            (Some(super::Command::Argv(argv)), _) => argv.clone(),
            (None, []) => return Ok(None),
            (None, [kind, ..]) if kind == "NONE" => return Ok(None),
            (None, [kind, rest @ ..]) if kind == "CMD" && !rest.is_empty() => rest.to_vec(),
            (None, [kind, text]) if kind == "CMD-SHELL" => line(text),
            (None, [kind, ..]) => {
                return Err(Error::invalid(format!("the image's health check is of unknown kind '{kind}'")));
            }
        };
        let nanos = |field: fn(&Healthcheck) -> Option<i64>| {
            image.and_then(field).filter(|nanos| *nanos > 0).map(|nanos| Duration::from_nanos(nanos as u64))
        };
        let thirty = Duration::from_secs(30);
        Ok(Some(Health {
            argv,
            interval: self.interval.or(nanos(|check| check.interval)).unwrap_or(thirty),
            timeout: self.timeout.or(nanos(|check| check.timeout)).unwrap_or(thirty),
            retries: self
                .retries
                .or(image.and_then(|check| check.retries).map(|count| count.max(0) as u32))
                .filter(|count| *count > 0)
                .unwrap_or(3),
            start_period: self.start_period.or(nanos(|check| check.start_period)).unwrap_or_default(),
            start_interval: self
                .start_interval
                .or(nanos(|check| check.start_interval))
                .unwrap_or(Duration::from_secs(5)),
        }))
    }
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// False: output is not kept at all.
    pub keep: bool,
    /// A file that grows beyond this is put aside; 0 for any size.
    pub max_bytes: u64,
    /// How many files are kept, the current one included.
    pub max_files: u32,
    /// Labels that are written down with each line.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Variables that are, too.
    #[serde(default)]
    pub env: Vec<String>,
    /// What these two come to for the container: names and values.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Default for Log {
    fn default() -> Log {
        let (labels, env, attributes) = Default::default();
        Log { keep: true, max_bytes: 0, max_files: 1, labels, env, attributes }
    }
}

impl Log {
    /// Reads a driver's name and its options.
    ///
    /// # Errors
    /// `invalid_argument`; `unsupported` for a driver this engine does not have.
    pub fn parse(driver: Option<&str>, options: &[(String, String)]) -> Result<Log> {
        let mut log = Log::default();
        match driver {
            None | Some("json-file" | "local" | "k8s-file" | "") => {}
            Some("none") => log.keep = false,
            Some(other) => {
                let error = Error::invalid(format!("unknown log driver '{other}'"));
                return Err(suggest(error, other, ["json-file", "none"]));
            }
        }
        for (name, value) in options {
            let bad = |what: &str| Error::invalid(format!("log option {name}='{value}': expected {what}"));
            match name.as_str() {
                "max-size" => {
                    log.max_bytes = crate::engine::size::parse(value).ok_or_else(|| bad("a size such as 10m"))?
                }
                "max-file" => {
                    log.max_files = value.parse().ok().filter(|n| *n > 0).ok_or_else(|| bad("a number from 1"))?
                }
                "labels" => log.labels = names(value),
                "env" => log.env = names(value),
                "tag" | "mode" | "compress" | "path" | "max-buffer-size" => {}
                other => {
                    let error = Error::invalid(format!("unknown log option '{other}'"));
                    return Err(suggest(error, other, ["max-size", "max-file", "labels", "env"]));
                }
            }
        }
        if log.max_files > 1 && log.max_bytes == 0 {
            return Err(Error::invalid("log option max-file needs max-size"));
        }
        Ok(log)
    }

    /// The same, for a container with these labels and variables (`NAME=VALUE`); those it has not are left out.
    pub fn with_attributes(&self, labels: &BTreeMap<String, String>, env: &[String]) -> Log {
        let label = |name: &String| Some((name.clone(), labels.get(name)?.clone()));
        let variable = |name: &String| {
            let value = env.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))?;
            Some((name.clone(), value.to_string()))
        };
        let found = self.labels.iter().filter_map(label).chain(self.env.iter().filter_map(variable));
        Log { attributes: found.collect(), ..self.clone() }
    }
}

/// The names of a list with commas.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies() {
        assert_eq!(Restart::parse("on-failure:3").unwrap(), Restart::OnFailure(3));
        assert_eq!(Restart::parse("unless-stopped").unwrap(), Restart::UnlessStopped);
        for bad in ["alway", "always:3", "on-failure:x", "on-failure:-1"] {
            assert!(Restart::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_image_says_what_the_options_do_not() {
        let image = Healthcheck {
            test: vec!["CMD-SHELL".into(), "ok".into()],
            interval: Some(7_000_000_000),
            ..Healthcheck::default()
        };
        let shell = ["/bin/sh".to_string(), "-c".to_string()];
        let health = HealthOptions { retries: Some(1), ..HealthOptions::default() }
            .resolve(Some(&image), &shell)
            .unwrap()
            .unwrap();
        assert_eq!(health.argv, ["/bin/sh", "-c", "ok"]);
        assert_eq!((health.interval, health.retries), (Duration::from_secs(7), 1));
        assert!(
            HealthOptions { disable: true, ..HealthOptions::default() }
                .resolve(Some(&image), &shell)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn logs() {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        let log = Log::parse(None, &[pair("max-size", "10m"), pair("max-file", "3")]).unwrap();
        assert_eq!((log.max_bytes, log.max_files), (10 << 20, 3));
        let log = Log::parse(None, &[pair("labels", "app, tier"), pair("env", "LANG,NO")]).unwrap();
        let labels = BTreeMap::from([pair("app", "web"), pair("other", "x")]);
        let log = log.with_attributes(&labels, &["LANGUAGE=de".into(), "LANG=C=1".into()]);
        assert_eq!(log.attributes, BTreeMap::from([pair("LANG", "C=1"), pair("app", "web")]));
        assert!(Log::parse(Some("syslog"), &[]).is_err());
        assert!(Log::parse(None, &[pair("max-file", "3")]).is_err());
    }
}
