//! Devices of the host in a container, and rules for its device cgroup, as callers write them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::super::error::{Error, Result};

/// A device node of the host, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host; a folder means every device in it.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// What may be done: of `r`, `w`, `m`.
    pub access: String,
}

impl Device {
    /// Parses `HOST[:CONTAINER][:ACCESS]`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<Device> {
        let bad = || Error::invalid(format!("invalid device '{text}': expected /dev/X[:/dev/Y][:rwm]"));
        let is_access = |word: &str| !word.is_empty() && word.chars().all(|c| "rwm".contains(c));
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, access] if is_access(access) => (host, host, access),
            [host, container] => (host, container, "rwm"),
            [host, container, access] if is_access(access) => (host, container, access),
            _ => return Err(bad()),
        };
        if !host.starts_with('/') || !container.starts_with('/') {
            return Err(bad());
        }
        Ok(Device { host: host.into(), container: container.into(), access: access.into() })
    }
}

/// A rule such as `c 42:* rmw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `a`, `b` or `c`.
    pub kind: char,
    /// `None` for any.
    pub major: Option<i64>,
    /// `None` for any.
    pub minor: Option<i64>,
    /// Of `r`, `w`, `m`.
    pub access: String,
}

impl DeviceRule {
    /// Parses `TYPE MAJOR:MINOR ACCESS`; `*` for any number.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<DeviceRule> {
        let bad = || Error::invalid(format!("invalid device rule '{text}': expected such as 'c 42:* rmw'"));
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(bad()) };
        let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
        let number = |text: &str| match text {
            "*" => Ok(None),
            text => text.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| bad()),
        };
        if access.is_empty() || !access.chars().all(|c| "rwm".contains(c)) {
            return Err(bad());
        }
        let kind = kind.chars().next().ok_or_else(bad)?;
        Ok(DeviceRule { kind, major: number(major)?, minor: number(minor)?, access: access.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let device = Device::parse("/dev/fuse:/dev/f:r").unwrap();
        assert_eq!((device.container, device.access), ("/dev/f".into(), "r".to_string()));
        assert_eq!(Device::parse("/dev/fuse:rw").unwrap().container, PathBuf::from("/dev/fuse"));
        for bad in ["", "fuse", "/dev/a:/dev/b:x", "/dev/a:b", "/dev/a:/b:r:w"] {
            assert!(Device::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rules() {
        let rule = DeviceRule::parse("c 42:* rmw").unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor), ('c', Some(42), None));
        for bad in ["", "x 1:2 r", "c 1 r", "c 1:2", "c 1:2 q", "c a:b r"] {
            assert!(DeviceRule::parse(bad).is_err(), "{bad}");
        }
    }
}
