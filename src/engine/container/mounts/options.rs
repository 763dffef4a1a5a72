//! Mount options in the words of the runtime specification, sorted by what takes them.
//!
//! Source: OCI runtime specification 1.2, config.md ("Linux mount options"); mount(8), mount_setattr(2).

use super::super::super::error::{Error, Result};
use super::super::super::sys::mount::Change;

/// Attributes of a mount: the word, the bits it sets, whether it takes them away. With an `r` before it a word is
/// about all mounts below as well.
const ATTRIBUTES: [(&str, u64, bool); 20] = [
    ("ro", libc::MOUNT_ATTR_RDONLY, false),
    ("rw", libc::MOUNT_ATTR_RDONLY, true),
    ("nosuid", libc::MOUNT_ATTR_NOSUID, false),
    ("suid", libc::MOUNT_ATTR_NOSUID, true),
    ("nodev", libc::MOUNT_ATTR_NODEV, false),
    ("dev", libc::MOUNT_ATTR_NODEV, true),
    ("noexec", libc::MOUNT_ATTR_NOEXEC, false),
    ("exec", libc::MOUNT_ATTR_NOEXEC, true),
    ("nodiratime", libc::MOUNT_ATTR_NODIRATIME, false),
    ("diratime", libc::MOUNT_ATTR_NODIRATIME, true),
    ("nosymfollow", libc::MOUNT_ATTR_NOSYMFOLLOW, false),
    ("symfollow", libc::MOUNT_ATTR_NOSYMFOLLOW, true),
    ("noatime", libc::MOUNT_ATTR_NOATIME, false),
    ("atime", libc::MOUNT_ATTR_NOATIME, true),
    ("strictatime", libc::MOUNT_ATTR_STRICTATIME, false),
    ("nostrictatime", libc::MOUNT_ATTR_STRICTATIME, true),
    ("relatime", libc::MOUNT_ATTR_RELATIME, false),
    ("norelatime", libc::MOUNT_ATTR_RELATIME, true),
    ("defaults", 0, false),
    ("loud", 0, false),
];

const PROPAGATION: [(&str, u64); 4] = [
    ("private", libc::MS_PRIVATE),
    ("slave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// The options of one mount.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// What to change of the mount itself; for a new one, what it begins with.
    pub own: Change,
    /// What to change of it and of all below.
    pub deep: Change,
    /// How mounts propagate, and whether that is about all below too.
    pub propagation: Option<(u64, bool)>,
    /// A bind mount; true with all mounts below.
    pub bind: Option<bool>,
    /// Change a mount that is there.
    pub remount: bool,
    /// Begin a tmpfs with what is at its place.
    pub copy_up: bool,
    /// Show owners through a mapping; true for all mounts below as well.
    pub ids: Option<bool>,
    /// What the file system itself takes.
    pub data: Vec<(String, Option<String>)>,
}

/// What [`Options::parse`] knows, without what file systems themselves take; for `features`.
pub fn known() -> Vec<String> {
    let mut list: Vec<String> =
        ["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "sync", "async", "dirsync", "mand", "nomand"]
            .map(String::from)
            .into();
    for (word, bits, _) in ATTRIBUTES {
        list.push(word.to_string());
        if bits != 0 || word == "relatime" || word == "norelatime" {
            list.push(format!("r{word}"));
        }
    }
    for (word, _) in PROPAGATION {
        list.extend([word.to_string(), format!("r{word}")]);
    }
    list.sort_unstable();
    list
}

fn attribute(word: &str) -> Option<(u64, bool)> {
    ATTRIBUTES.iter().find(|(name, ..)| *name == word).map(|(_, bits, clears)| (*bits, *clears))
}

fn propagation(word: &str) -> Option<u64> {
    PROPAGATION.iter().find(|(name, _)| *name == word).map(|(_, flag)| *flag)
}

impl Options {
    /// Sorts the words of one mount; a later word wins.
    ///
    /// # Errors
    /// `invalid_argument` for words that exclude each other.
    pub fn parse(list: &[String]) -> Result<Options> {
        let mut options = Options::default();
        for word in list.iter().map(String::as_str) {
            match word {
                "bind" => options.bind = options.bind.or(Some(false)),
                "rbind" => options.bind = Some(true),
                "remount" => options.remount = true,
                "tmpcopyup" => options.copy_up = true,
                "idmap" => options.ids = Some(options.ids.unwrap_or(false)),
                "ridmap" => options.ids = Some(true),
                "" | "silent" => {}
                _ => options.take(word),
            }
        }
        if options.bind.is_some() && options.copy_up {
            return Err(Error::invalid("mount option 'tmpcopyup' is for tmpfs, not for a bind mount"));
        }
        Ok(options)
    }

    fn take(&mut self, word: &str) {
        if let Some((bits, clears)) = attribute(word) {
            // Only for all mounts below is taking away more than undoing an earlier word: a mount that is bound
            // keeps what its source has.
            set(&mut self.own, word, bits, clears, false);
        } else if let Some(flag) = propagation(word) {
            self.propagation = Some((flag, false));
        } else if let Some((bits, clears)) = word.strip_prefix('r').and_then(attribute) {
            set(&mut self.deep, &word[1..], bits, clears, true);
        } else if let Some(flag) = word.strip_prefix('r').and_then(propagation) {
            self.propagation = Some((flag, true));
        } else {
            self.data.push(match word.split_once('=') {
                Some((key, value)) => (key.to_string(), Some(value.to_string())),
                None => (word.to_string(), None),
            });
        }
    }

    /// True when the mount shall be read-only.
    pub fn read_only(&self) -> bool {
        (self.own.set | self.deep.set) & libc::MOUNT_ATTR_RDONLY != 0
    }

    /// True when `name` is among what the file system takes.
    pub fn has_data(&self, name: &str) -> bool {
        self.data.iter().any(|(key, _)| key == name)
    }
}

/// Applies one word to a change. The kernel wants all bits about access times cleared when one is set.
fn set(change: &mut Change, word: &str, bits: u64, clears: bool, really: bool) {
    let is_atime = word.ends_with("atime") && !word.ends_with("diratime");
    if clears {
        change.set &= !bits;
        if really && !is_atime {
            change.clear |= bits;
        }
        return;
    }
    if is_atime {
        change.set &= !libc::MOUNT_ATTR__ATIME;
        change.clear |= libc::MOUNT_ATTR__ATIME;
    } else {
        change.clear &= !bits;
    }
    change.set |= bits;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Options {
        Options::parse(&list.split(',').map(String::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn words_go_where_they_belong() {
        let options = parse("rbind,rprivate,ro,nosuid,suid,mode=755,sync");
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.propagation, Some((libc::MS_PRIVATE, true)));
        assert_eq!(options.own, Change { set: libc::MOUNT_ATTR_RDONLY, clear: 0, propagation: 0 });
        assert_eq!(options.data, [("mode".into(), Some("755".into())), ("sync".into(), None)]);
        assert!(options.read_only());
    }

    #[test]
    fn recursive_words_and_access_times() {
        let options = parse("rro,rexec,noatime,relatime");
        let deep = Change { set: libc::MOUNT_ATTR_RDONLY, clear: libc::MOUNT_ATTR_NOEXEC, propagation: 0 };
        assert_eq!(options.deep, deep);
        assert_eq!(options.own, Change { set: 0, clear: libc::MOUNT_ATTR__ATIME, propagation: 0 });
        assert_eq!(parse("rw,ro,rw").own, Change::default());
        assert!(Options::parse(&["bind".into(), "tmpcopyup".into()]).is_err());
        assert!(known().contains(&"rnosymfollow".to_string()));
    }
}
