//! Image names as container users type them: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! A name without a registry belongs to `docker.io`, a single word there to `library/`, and a name with neither tag
//! nor digest means `latest`. Source: the distribution project's reference grammar; OCI distribution
//! specification 1.1, "Pulling manifests".

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use super::error::{Error, Result};

/// The registry of names that do not say one.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A parsed image name; printing it gives the full form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and port, such as `docker.io` or `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }
    /// The path within the registry, such as `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }
    /// The tag; `None` only when a digest is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
    /// The digest, where the name pins one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry's manifest path ends in: the digest if there is one, else the tag.
    pub fn manifest_name(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }

    /// The short form people type: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            Some(rest) => rest.strip_prefix("library/").unwrap_or(rest).to_string(),
            None => full,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// Parses a name.
    ///
    /// # Errors
    /// `invalid_argument`, saying which part breaks which rule.
    fn from_str(text: &str) -> Result<Reference> {
        let bad = |why: &str| Error::invalid(format!("invalid image name '{text}': {why}"));
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|e| bad(e.message()))?)),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the registry's port.
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(bad("a tag is up to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':']) || first == "localhost" || first != first.to_lowercase() =>
            {
                (first, path)
            }
            _ => (DEFAULT_REGISTRY, name),
        };
        if !valid_registry(registry) {
            return Err(bad(&format!("'{registry}' is not a host name with an optional port")));
        }
        if path != path.to_lowercase() {
            return Err(bad("the repository must be lower case"));
        }
        if !path.split('/').all(valid_component) {
            return Err(bad("a repository is words of a-z and 0-9, joined by '.', '_', '__' or '-', separated by '/'"));
        }
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let library = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if library { format!("library/{path}") } else { path.to_string() };
        if registry.len() + 1 + repository.len() > 255 {
            return Err(bad("the name is longer than 255 characters"));
        }
        if library && Digest::from_hex(path).is_some() {
            return Err(bad("64 hexadecimal digits are an id, not a name"));
        }
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_string()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_string()),
        };
        Ok(Reference { registry: registry.into(), repository, tag, digest })
    }
}

fn valid_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn valid_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(alphanumeric).filter(|run| !run.is_empty());
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && separators.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

fn valid_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_err()) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_registry_library_and_tag() {
        let hex = "ab".repeat(32);
        let table = [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("library/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("a__b/c-d.e_f--g", "docker.io/a__b/c-d.e_f--g:latest", "a__b/c-d.e_f--g:latest"),
        ];
        for (text, full, familiar) in table {
            let name: Reference = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.familiar().as_str()), (full, familiar));
            assert_eq!(full.parse::<Reference>().unwrap(), name);
        }
        let pinned: Reference = format!("app@sha256:{hex}").parse().unwrap();
        assert_eq!((pinned.tag(), pinned.manifest_name()), (None, format!("sha256:{hex}")));
        let both: Reference = format!("app:1@sha256:{hex}").parse().unwrap();
        assert_eq!((both.tag(), both.manifest_name()), (Some("1"), format!("sha256:{hex}")));
    }

    #[test]
    fn refuses_what_the_grammar_refuses() {
        let long = "a".repeat(256);
        let hex = "ab".repeat(32);
        for bad in [
            "",
            ":",
            "a:",
            "/a",
            "a/",
            "a//b",
            "A",
            "a/B",
            "a b",
            "a:t/../x",
            "../x",
            "a/..",
            "-a",
            "a-",
            "a___b",
            "a._b",
            "a:-t",
            "a@sha256:12",
            "a@",
            "host.x:99999/a",
            "host.x:/a",
            "-h.x/a",
            "a\0b",
            "ä",
            &long,
            &hex,
            "[zz]:1/a",
            "http://x.y/a",
            "a:t:u",
            "a\n",
            "$(x)",
            ".",
            "a/.hidden",
            "_a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |text: &str| text.parse::<Reference>().unwrap_err().message().to_string();
        assert_eq!(message("Busybox"), "invalid image name 'Busybox': the repository must be lower case");
        assert!(message("a:b c").contains("a tag is up to 128"));
    }
}
