//! The cgroups a container sees below `/sys/fs/cgroup`: its own, in every hierarchy it has one in.
//!
//! On v2 that is one file system; on v1 a tmpfs with one for each hierarchy, and links for those that share one. In a
//! cgroup namespace its own cgroup is the root of a fresh mount; without one its folder is bound.
//!
//! Source: cgroups(7), cgroup_namespaces(7); OCI runtime specification 1.2, config-linux.md.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::fs::{CWD, Mode, mkdirat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::super::super::error::{Error, OsContext, Result};
use super::super::super::sys;
use super::Root;
use super::filesystem::make;
use super::options::Options;

/// Where this process is in one hierarchy.
#[derive(Debug, PartialEq)]
struct Place {
    /// `memory`, or `cpu,cpuacct`; `name=systemd`; empty on v2.
    controllers: String,
    path: String,
}

/// The lines of `/proc/self/cgroup` as seen before a cgroup namespace was made.
#[derive(Debug, Default)]
pub struct Own(Vec<Place>);

impl Own {
    /// Reads them.
    pub fn parse(text: &str) -> Own {
        let parts = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some(Place { controllers: parts.next()?.into(), path: parts.next()?.into() })
        });
        Own(parts.collect())
    }

    /// The v1 hierarchies in which it has a cgroup of its own: at the root there is only the host's.
    fn v1(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| !place.controllers.is_empty() && place.path != "/")
    }

    fn has_v1(&self) -> bool {
        self.0.iter().any(|place| !place.controllers.is_empty() && !place.controllers.starts_with("name="))
    }

    fn v2(&self) -> Option<&Place> {
        self.0.iter().find(|place| place.controllers.is_empty())
    }
}

/// Folder and further names of a hierarchy.
fn names(controllers: &str) -> (&str, Vec<&str>) {
    let name = controllers.strip_prefix("name=").unwrap_or(controllers);
    let links = if name.contains(',') { name.split(',').collect() } else { Vec::new() };
    (name, links)
}

impl Root {
    /// Mounts what a specification calls `cgroup`.
    pub(super) fn mount_cgroups(&mut self, mount: &Mount, options: &Options, own: &Own, has_ns: bool) -> Result<()> {
        let target = mount.destination();
        if !own.has_v1() {
            let tree = v2(options, own, has_ns)?;
            self.attach(&tree, target, true, true)?;
            self.own.push((target.clone(), tree));
            return Ok(());
        }
        let frame = Options {
            own: sys::mount::Change { set: options.own.set & !libc::MOUNT_ATTR_RDONLY, ..options.own },
            data: vec![("mode".into(), Some("755".into()))],
            ..Options::default()
        };
        let frame = make("tmpfs", Path::new("cgroup"), &frame)?;
        self.attach(&frame, target, true, true)?;
        for place in own.v1() {
            let (name, links) = names(&place.controllers);
            let Some(tree) = v1(place, options, has_ns)? else { continue };
            put(&frame, name, &tree)?;
            for link in links {
                symlinkat(name, frame.as_fd(), link).os(|| format!("link cgroup {link}"))?;
            }
        }
        if own.v2().is_some_and(|place| place.path != "/") {
            put(&frame, "unified", &v2(options, own, has_ns)?)?;
        }
        if options.read_only() {
            sys::mount::set_attributes(&frame, false, libc::MOUNT_ATTR_RDONLY, 0, 0)
                .os(|| "make the cgroups read-only")?;
        }
        self.own.push((target.clone(), frame));
        Ok(())
    }
}

fn put(frame: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<()> {
    let what = || format!("mount cgroup {name}");
    mkdirat(frame, name, Mode::from(0o755)).os(what)?;
    move_mount(tree, "", frame, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).os(what)
}

/// One hierarchy of v1; none where the host does not have it mounted.
fn v1(place: &Place, options: &Options, has_ns: bool) -> Result<Option<OwnedFd>> {
    let (name, _) = names(&place.controllers);
    let plain = Options { own: options.own, ..Options::default() };
    if has_ns {
        let mut plain = plain;
        match place.controllers.strip_prefix("name=") {
            Some(name) => plain.data = vec![("none".into(), None), ("name".into(), Some(name.into()))],
            None => plain.data = name.split(',').map(|controller| (controller.to_string(), None)).collect(),
        }
        return make("cgroup", Path::new("cgroup"), &plain).map(Some);
    }
    bind(&PathBuf::from(format!("/sys/fs/cgroup/{name}{}", place.path)), &plain)
}

fn v2(options: &Options, own: &Own, has_ns: bool) -> Result<OwnedFd> {
    let plain = Options { own: options.own, data: options.data.clone(), ..Options::default() };
    if has_ns {
        return make("cgroup2", Path::new("cgroup2"), &plain);
    }
    let base = if own.has_v1() { "/sys/fs/cgroup/unified" } else { "/sys/fs/cgroup" };
    let path = own.v2().map_or("/", |place| place.path.as_str());
    bind(&PathBuf::from(format!("{base}{path}")), &plain)?
        .ok_or_else(|| Error::not_found("cgroup2 is not mounted on /sys/fs/cgroup of this host"))
}

fn bind(path: &Path, options: &Options) -> Result<Option<OwnedFd>> {
    let what = || format!("bind {}", path.display());
    match open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC) {
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).os(what),
        Ok(tree) => {
            sys::mount::set_attributes(&tree, false, options.own.set, 0, libc::MS_PRIVATE).os(what)?;
            Ok(Some(tree))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_hybrid_host() {
        let own = Own::parse("5:net_cls:/\n4:cpu,cpuacct:/moonshell/x\n1:name=systemd:/a:b\n0::/\n");
        let list: Vec<_> = own.v1().map(|place| (place.controllers.as_str(), place.path.as_str())).collect();
        assert_eq!(list, [("cpu,cpuacct", "/moonshell/x"), ("name=systemd", "/a:b")]);
        assert_eq!(names("cpu,cpuacct"), ("cpu,cpuacct", vec!["cpu", "cpuacct"]));
        assert_eq!(names("name=systemd"), ("systemd", vec![]));
        assert!(own.has_v1() && own.v2().is_some());
        assert!(!Own::parse("0::/x").has_v1());
    }
}
