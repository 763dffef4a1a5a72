//! The image configuration: what OCI defines, what Docker adds, and whatever else was there.
//!
//! An image that was pulled keeps its configuration byte for byte as a blob; this form is for reading it and for
//! making the next one, so keys it does not know are kept beside those it does. Sources: OCI image specification 1.1,
//! config.md; the moby project's image specification 1.2 for `Healthcheck`, `OnBuild`, `Shell`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};

/// A set, the way Go programs write one: an object whose values are empty objects.
pub type Set = BTreeMap<String, Empty>;

/// The value of a [`Set`]'s entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// An image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The processor, as Go names it (`amd64`).
    #[serde(default)]
    pub architecture: String,
    /// The processor's variant (`v8`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// Its version.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What it must be able to do.
    #[serde(rename = "os.features", default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// How containers are started.
    #[serde(default, deserialize_with = "or_default")]
    pub config: RunConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// How the layers came about.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Everything else, such as `container_config`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How containers of an image are started unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Set::is_empty")]
    pub exposed_ports: Set,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Comes before the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, or the entry point's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Windows only: the command is one escaped string already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// Paths that get a volume.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Set::is_empty")]
    pub volumes: Set,
    /// Where the command starts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop (`SIGTERM`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds between that signal and the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// How to tell whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for builds that start from this image.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// The shell of commands given as one string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A health check; times in nanoseconds, 0 meaning the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", "..."]`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// How long one may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// How long failures do not count after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Between two checks during that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The layers, by the digests of their uncompressed tars, base first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One for each layer.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True for a step that made no layer.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Go programs write `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// `integrity` when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig> {
        let config: ImageConfig = serde_json::from_slice(bytes)
            .map_err(|e| Error::integrity("image configuration cannot be read").caused_by(e))?;
        if config.rootfs.kind != "layers" {
            return Err(Error::new(
                Kind::Unsupported,
                format!("image configuration has a root file system of type '{}'", config.rootfs.kind),
            ));
        }
        Ok(config)
    }

    /// The bytes to store; the same configuration gives the same bytes.
    ///
    /// # Errors
    /// `internal`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::new(Kind::Internal, "write image configuration").caused_by(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_docker_adds_and_what_nobody_knows() {
        let text = r#"{"architecture":"amd64","os":"linux","variant":"v2","os.version":"1","x-own":{"a":[1,2]},
            "config":{"User":"1:2","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Entrypoint":null,"Cmd":["sh"],
              "Volumes":null,"WorkingDir":"/w","Labels":{"k":"v"},"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],
              "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3,"Odd":1},"ArgsEscaped":true,
              "StopSignal":"SIGINT","StopTimeout":7,"Hostname":"h","Tty":false},
            "rootfs":{"type":"layers","diff_ids":[]},
            "history":[{"created_by":"x","empty_layer":true,"odd":"y"},{"comment":"c"}]}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.entrypoint, None);
        assert_eq!(config.config.extra["Hostname"], "h");
        assert!(config.history[0].empty_layer && !config.history[1].empty_layer);
        let again = ImageConfig::parse(&config.to_bytes().unwrap()).unwrap();
        assert_eq!(again, config);
        let mut before: Value = serde_json::from_str(text).unwrap();
        let after: Value = serde_json::from_slice(&config.to_bytes().unwrap()).unwrap();
        // A null and an absent key mean the same.
        let run = before["config"].as_object_mut().unwrap();
        run.retain(|_, value| !value.is_null());
        assert_eq!(before, after);
    }

    #[test]
    fn refuses_what_is_not_a_configuration() {
        for bad in ["", "[]", "{}", r#"{"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}"#] {
            assert!(ImageConfig::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let error = ImageConfig::parse(br#"{"rootfs":{"type":"layers+base","diff_ids":[]}}"#).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }
}
