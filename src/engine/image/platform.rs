//! For which machine an image is: `linux/amd64`, `linux/arm64/v8`.

use std::fmt;
use std::str::FromStr;

use super::super::error::{Error, Result};

/// An operating system and a processor, named as Go names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v7`; the usual one of its architecture is left out.
    pub variant: Option<String>,
}

impl Platform {
    /// From parts as configurations and indexes hold them, under their usual names.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let architecture = architecture.to_ascii_lowercase();
        let (architecture, implied) = match architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "i386" | "i486" | "i586" | "i686" | "x86" => ("386", None),
            "armhf" => ("arm", None),
            "armel" => ("arm", Some("v6")),
            "riscv" => ("riscv64", None),
            "powerpc64le" => ("ppc64le", None),
            other => (other, None),
        };
        let variant = variant.filter(|variant| !variant.is_empty()).or(implied);
        let usual = matches!((architecture, variant), ("arm64", Some("v8" | "8")) | ("arm", Some("v7" | "7")))
            || (architecture, variant) == ("amd64", Some("v1"));
        Platform {
            os: os.to_ascii_lowercase(),
            architecture: architecture.into(),
            variant: variant.filter(|_| !usual).map(str::to_string),
        }
    }

    /// This machine's.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, None)
    }

    /// True when an image for `other` is what this asks for.
    pub fn accepts(&self, other: &Platform) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// Parses `OS/ARCHITECTURE[/VARIANT]`, or an architecture alone for linux.
    ///
    /// # Errors
    /// `invalid_argument`.
    fn from_str(text: &str) -> Result<Platform> {
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(Error::invalid(format!("invalid platform '{text}': expected OS/ARCHITECTURE[/VARIANT]")));
        }
        match parts.as_slice() {
            [architecture] => Ok(Platform::new("linux", architecture, None)),
            [os, architecture] => Ok(Platform::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, Some(variant))),
            _ => Err(Error::invalid(format!("invalid platform '{text}': expected OS/ARCHITECTURE[/VARIANT]"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_alike() {
        let table = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
            ("windows/amd64", "windows/amd64"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
        for bad in ["", "/", "linux/", "linux/amd64/v1/x", "linux/ amd64", "a/b\n"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_platform_without_variant_accepts_all() {
        let want: Platform = "linux/arm".parse().unwrap();
        assert!(want.accepts(&"linux/arm/v6".parse().unwrap()));
        let exact: Platform = "linux/arm/v6".parse().unwrap();
        assert!(!exact.accepts(&want));
    }
}
