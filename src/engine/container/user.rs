//! Who a container's process is: `USER[:GROUP]` looked up in the image's own `/etc/passwd` and `/etc/group`.
//!
//! Both files come from the image and are data only. Numbers are exact: one that does not fit 32 bits, or is the
//! kernel's 'no id', is an error, never another user (CVE-2024-40635).

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::super::error::{Error, Kind, OsContext, Result};
use super::super::rootfs::view::View;

/// The most of `/etc/passwd` or `/etc/group` that is read, in bytes (CVE-2024-9676).
const ACCOUNTS_LIMIT: u64 = 4 << 20;

/// A user as the kernel sees one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, the primary one first (CVE-2022-36109).
    pub groups: Vec<u32>,
    /// Home folder.
    pub home: String,
}

/// Looks up `user` in the files of a root file system; files that are missing are empty.
///
/// # Errors
/// As [`look_up`]; `invalid_argument` when a file is no regular file or too long.
pub fn look_up_in(view: &View<'_>, user: &str) -> Result<Identity> {
    let text = |path: &str| match view.read(Path::new(path), ACCOUNTS_LIMIT) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == Kind::NotFound => Ok(String::new()),
        Err(e) => Err(e.context(format!("cannot look up user '{user}'"))),
    };
    look_up(user, &text("/etc/passwd")?, &text("/etc/group")?)
}

/// Looks up `user` in the files below an open root folder, which a running container may change at any time: links
/// lead nowhere but inside, and only regular files are read.
///
/// # Errors
/// As [`look_up_in`].
pub fn look_up_at(root: &OwnedFd, user: &str) -> Result<Identity> {
    let text = |path: &str| read_at(root, path).map_err(|e| e.context(format!("cannot look up user '{user}'")));
    look_up(user, &text("etc/passwd")?, &text("etc/group")?)
}

fn read_at(root: &OwnedFd, path: &str) -> Result<String> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, path, flags, Mode::empty(), inside) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
        other => std::fs::File::from(other.os(|| format!("open /{path} of the container"))?),
    };
    let meta = file.metadata().os(|| format!("stat /{path} of the container"))?;
    if !meta.is_file() || meta.len() > ACCOUNTS_LIMIT {
        return Err(Error::invalid(format!(
            "/{path} of the container is no regular file of at most {ACCOUNTS_LIMIT} bytes"
        )));
    }
    let mut bytes = Vec::new();
    file.take(ACCOUNTS_LIMIT).read_to_end(&mut bytes).os(|| format!("read /{path} of the container"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Looks up a group, by name or number.
///
/// # Errors
/// `not_found` for a name the image does not have; `invalid_argument`.
pub fn group_in(view: &View<'_>, group: &str) -> Result<u32> {
    if let Some(gid) = parse_id(group)? {
        return Ok(gid);
    }
    match view.read(Path::new("/etc/group"), ACCOUNTS_LIMIT) {
        Ok(bytes) => find_group(group, &String::from_utf8_lossy(&bytes)),
        Err(e) if e.kind() == Kind::NotFound => find_group(group, ""),
        Err(e) => Err(e.context(format!("cannot look up group '{group}'"))),
    }
}

/// Looks up `user`; empty means root. `passwd` and `group` are the files' texts, empty where missing.
///
/// # Errors
/// `not_found` for a name the image does not have, `invalid_argument` for a malformed or too large number.
pub fn look_up(user: &str, passwd: &str, group: &str) -> Result<Identity> {
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    if user.contains(char::is_whitespace) || (user.contains(':') && name.is_empty()) || wanted_group == Some("") {
        return Err(Error::invalid(format!("invalid user '{user}': expected USER[:GROUP]")));
    }
    let name = if name.is_empty() { "0" } else { name };
    let number = parse_id(name)?;
    let entry = passwd.lines().filter_map(Entry::parse).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == name,
    });
    let (uid, default_gid, home, login) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home, Some(entry.name)),
        (None, Some(uid)) => (uid, 0, if uid == 0 { "/root" } else { "/" }, None),
        (None, None) => {
            return Err(Error::not_found(format!("user '{name}' is not in the image's /etc/passwd")));
        }
    };
    let (gid, mut groups) = match wanted_group {
        Some(text) => (find_group(text, group)?, Vec::new()),
        None => (default_gid, login.map_or_else(Vec::new, |login| memberships(login, group))),
    };
    groups.retain(|other| *other != gid);
    groups.insert(0, gid);
    Ok(Identity { uid, gid, groups, home: if home.is_empty() { "/".into() } else { home.into() } })
}

/// Refuses what no user could be, without looking anybody up.
///
/// # Errors
/// `invalid_argument`.
pub fn check(user: &str) -> Result<()> {
    match look_up(user, "", "") {
        Err(e) if e.kind() == Kind::InvalidArgument => Err(e),
        _ => Ok(()),
    }
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Entry<'a>> {
        let fields: Vec<&str> = line.trim_end().split(':').collect();
        match fields[..] {
            [name, _, uid, gid, _, home, ..] if !name.is_empty() => {
                Some(Entry { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
            }
            _ => None,
        }
    }
}

/// A number as typed: `None` when it is a name.
fn parse_id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX as u32 => Ok(Some(id)),
        _ => Err(Error::invalid(format!("user or group id {text} is out of range: 0 to {}", i32::MAX))),
    }
}

fn group_lines(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.trim_end().split(':').collect();
        match fields[..] {
            [name, _, gid, members, ..] => Some((name, gid.parse().ok()?, members)),
            [name, _, gid] => Some((name, gid.parse().ok()?, "")),
            _ => None,
        }
    })
}

fn find_group(text: &str, group: &str) -> Result<u32> {
    if let Some(gid) = parse_id(text)? {
        return Ok(gid);
    }
    let found = group_lines(group).find(|(name, ..)| *name == text);
    found
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| Error::not_found(format!("group '{text}' is not in the image's /etc/group")))
}

fn memberships(login: &str, group: &str) -> Vec<u32> {
    let mut list: Vec<u32> = group_lines(group)
        .filter(|(_, _, members)| members.split(',').any(|member| member == login))
        .map(|(_, gid, _)| gid)
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\nbob:x:1001:50:::\n";
    const GROUP: &str = "root:x:0:\nann:x:1000:\nwheel:x:10:bob,ann\ndocker:x:999:ann\nusers:x:50:\n";

    #[test]
    fn names_numbers_and_groups() {
        let get = |user: &str| look_up(user, PASSWD, GROUP).map(|id| (id.uid, id.gid, id.groups, id.home));
        assert_eq!(get("").unwrap(), (0, 0, vec![0], "/root".into()));
        assert_eq!(get("ann").unwrap(), (1000, 1000, vec![1000, 10, 999], "/home/ann".into()));
        assert_eq!(get("1000").unwrap(), (1000, 1000, vec![1000, 10, 999], "/home/ann".into()));
        assert_eq!(get("ann:wheel").unwrap(), (1000, 10, vec![10], "/home/ann".into()));
        assert_eq!(get("4242").unwrap(), (4242, 0, vec![0], "/".into()));
        assert_eq!(get("4242:7").unwrap(), (4242, 7, vec![7], "/".into()));
        assert_eq!(get("bob").unwrap(), (1001, 50, vec![50, 10], "/".into()));
    }

    #[test]
    fn nothing_malformed_becomes_somebody_else() {
        for bad in [
            "2147483648",
            "4294967295",
            "4294967296",
            "-1",
            "1000:x",
            ":5",
            "1000:",
            " 0",
            "0 ",
            "nobody",
            "ann:4294967296",
        ] {
            assert!(look_up(bad, PASSWD, GROUP).is_err(), "{bad:?}");
        }
        let message = look_up("nobody", PASSWD, GROUP).unwrap_err().message().to_string();
        assert_eq!(message, "user 'nobody' is not in the image's /etc/passwd");
    }
}
