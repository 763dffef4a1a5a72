//! Which cgroup file systems this host has mounted, and which of them serves a controller.
//!
//! A host has one unified hierarchy (v2), one hierarchy per controller or pair of controllers (v1), or both (hybrid:
//! the controllers are in v1 and the unified one has what no v1 hierarchy claims). Source: proc_pid_mountinfo(5),
//! cgroups(7), Documentation/admin-guide/cgroup-v2.rst.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Controllers by their v1 names, which serve as the names here; `io` is v2's name of `blkio`.
pub(super) const CONTROLLERS: [&str; 12] = [
    "memory", "cpu", "cpuacct", "pids", "freezer", "blkio", "devices", "cpuset", "hugetlb", "net_cls", "net_prio",
    "rdma",
];

/// What v2 does in every cgroup without a controller: counting processor time, freezing, device programs.
const CORE: [&str; 3] = ["cpuacct", "freezer", "devices"];

/// The cgroup file systems of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The unified hierarchy alone.
    V2,
    /// Hierarchies by controller, whether or not the unified one is mounted beside them.
    V1,
    /// None is mounted.
    None,
}

/// The two file interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    pub version: Version,
    /// Its controllers, by their v1 names.
    pub controllers: Vec<&'static str>,
}

impl Hierarchy {
    /// Whether it serves a controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }
}

/// The name of a controller in v2.
pub(super) fn v2_name(controller: &str) -> &str {
    if controller == "blkio" { "io" } else { controller }
}

/// True for what v2 has without enabling a controller.
pub(super) fn is_core(controller: &str) -> bool {
    CORE.contains(&controller)
}

/// All mounted hierarchies, those of v1 first. Read once in a process.
pub(super) fn all() -> &'static [Hierarchy] {
    static FOUND: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    FOUND.get_or_init(|| {
        // Without /proc nothing is known to be mounted.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        parse(&mounts, |root| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default())
    })
}

/// Which interface this host has.
pub fn host() -> Host {
    match all() {
        [] => Host::None,
        list if list.iter().any(|hierarchy| hierarchy.version == Version::V1) => Host::V1,
        _ => Host::V2,
    }
}

/// The hierarchy that serves a controller: v1's own, else the unified one.
pub(super) fn of(controller: &str) -> Option<&'static Hierarchy> {
    all().iter().find(|hierarchy| hierarchy.has(controller))
}

/// Finds the hierarchies in the text of `mountinfo`; `available` tells the controllers of a v2 mount.
fn parse(mounts: &str, available: impl Fn(&PathBuf) -> String) -> Vec<Hierarchy> {
    let mut list: Vec<Hierarchy> = Vec::new();
    let mut unified: Option<PathBuf> = None;
    for line in mounts.lines() {
        let Some((mount, kind, options)) = fields(line) else { continue };
        // The same hierarchy may be mounted in several places; the customary one is preferred.
        let customary = mount.starts_with("/sys/fs/cgroup");
        match kind {
            "cgroup2" if unified.is_none() || customary => unified = Some(mount),
            "cgroup" => {
                let named = |name: &&&str| options.split(',').any(|word| word == **name);
                let controllers: Vec<&'static str> = CONTROLLERS.iter().filter(named).copied().collect();
                let known = list.iter().position(|hierarchy| hierarchy.controllers == controllers);
                match known {
                    // A hierarchy such as systemd's, which only names processes.
                    _ if controllers.is_empty() => {}
                    Some(at) if customary && !list[at].mount.starts_with("/sys/fs/cgroup") => list[at].mount = mount,
                    Some(_) => {}
                    None => list.push(Hierarchy { mount, version: Version::V1, controllers }),
                }
            }
            _ => {}
        }
    }
    if let Some(mount) = unified {
        let names = available(&mount);
        let has = |name: &str| is_core(name) || names.split_whitespace().any(|word| word == name);
        let free = CONTROLLERS.iter().filter(|name| !list.iter().any(|hierarchy| hierarchy.has(name)));
        let controllers = free.copied().filter(|name| has(v2_name(name))).collect();
        list.push(Hierarchy { mount, version: Version::V2, controllers });
    }
    list
}

/// The mount point, type and super block options of a line of `mountinfo`.
fn fields(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut words = system.split(' ');
    let (kind, options) = (words.next()?, words.nth(1)?);
    Some((unescape(mount.split(' ').nth(4)?), kind, options))
}

/// Undoes the octal escapes of blanks and backslashes.
fn unescape(text: &str) -> PathBuf {
    let mut path = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        path.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) if byte.is_ascii() => path.push(byte.into()),
            _ => path.push_str(rest.get(at..at + 4).unwrap_or(&rest[at..])),
        }
        rest = rest.get(at + 4..).unwrap_or_default();
    }
    path.push_str(rest);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_keeps_its_controllers_in_v1() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                    32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    34 31 0:31 / /srv/memory rw - cgroup cgroup rw,memory\n\
                    35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let list = parse(text, |_| "hugetlb memory\n".into());
        let seen: Vec<_> = list.iter().map(|one| (one.mount.to_str().unwrap(), one.controllers.clone())).collect();
        let unified = ("/sys/fs/cgroup/unified", vec!["freezer", "devices", "hugetlb"]);
        let pair = ("/sys/fs/cgroup/cpu,cpuacct", vec!["cpu", "cpuacct"]);
        assert_eq!(seen, [pair, ("/sys/fs/cgroup/memory", vec!["memory"]), unified]);
    }

    #[test]
    fn a_unified_host_has_what_its_root_lists() {
        let list = parse("26 21 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", |_| "cpu io memory pids".into());
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].version, Version::V2);
        assert!(list[0].has("blkio") && list[0].has("freezer") && !list[0].has("cpuset"));
    }

    #[test]
    fn escapes_in_mount_points() {
        assert_eq!(unescape("/a\\040b\\134c"), PathBuf::from("/a b\\c"));
        assert_eq!(unescape("/a\\0"), PathBuf::from("/a\\0"));
    }
}
