//! A container's devices.
//!
//! The host's own node is bound where it is the same device; then the file system they are in need not be able to
//! hold devices at all, and `mknod` in the container gives access to nothing, whatever its cgroup allows. What cannot
//! be bound is made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys;
use super::Root;

/// What every container has: path, major and minor number.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// One device node to be.
struct Node {
    path: PathBuf,
    kind: FileType,
    number: u64,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Node {
    fn from_spec(device: &LinuxDevice) -> Result<Node> {
        let shown = device.path().display();
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => return Err(Error::invalid(format!("device {shown} has no type"))),
        };
        let part = |number: i64| {
            u32::try_from(number).map_err(|_| Error::invalid(format!("device {shown} has no valid numbers")))
        };
        let number = match kind {
            FileType::Fifo => 0,
            _ => makedev(part(device.major())?, part(device.minor())?),
        };
        let (mode, uid, gid) = (device.file_mode(), device.uid(), device.gid());
        Ok(Node { path: device.path().clone(), kind, number, mode, uid, gid })
    }

    /// The host's node, if it is this device and looks as asked.
    fn on_host(&self) -> Result<Option<OwnedFd>> {
        if self.kind == FileType::Fifo {
            return Ok(None);
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = match open_tree(CWD, &self.path, flags | OpenTreeFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(None),
            other => other.os(|| format!("device {}", self.path.display()))?,
        };
        let stat = fstat(&tree).os(|| format!("device {}", self.path.display()))?;
        let same = FileType::from_raw_mode(stat.st_mode) == self.kind
            && stat.st_rdev == self.number
            && self.mode.is_none_or(|mode| mode & 0o7777 == stat.st_mode & 0o7777)
            && self.uid.is_none_or(|uid| uid == stat.st_uid)
            && self.gid.is_none_or(|gid| gid == stat.st_gid);
        Ok(same.then_some(tree))
    }
}

impl Root {
    /// Gives the container its devices and the usual links. `dev` is the file system at `/dev` when it is a fresh one,
    /// which then holds no other devices.
    pub(super) fn make_devices(&self, spec: &Spec, dev: Option<&OwnedFd>) -> Result<()> {
        let mut nodes = Vec::new();
        for device in spec.linux().iter().filter_map(|linux| linux.devices().as_ref()).flatten() {
            nodes.push(Node::from_spec(device)?);
        }
        for (path, major, minor) in DEFAULT {
            if !nodes.iter().any(|node| node.path == Path::new(path)) {
                let number = makedev(major, minor);
                let kind = FileType::CharacterDevice;
                nodes.push(Node { path: path.into(), kind, number, mode: None, uid: None, gid: None });
            }
        }
        let mut all_bound = true;
        for node in &nodes {
            all_bound &= self.device(node)?;
        }
        let folder = self.folder(Path::new("/dev"))?;
        for (to, name) in LINKS {
            match symlinkat(to, &folder, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e).os(|| format!("link /dev/{name}")),
            }
        }
        match dev {
            Some(dev) if all_bound && !allows_all(spec) => {
                sys::mount::set_attributes(dev, false, libc::MOUNT_ATTR_NODEV, 0, 0).os(|| "close /dev to new devices")
            }
            _ => Ok(()),
        }
    }

    /// Binds or makes one device; true when no node was made.
    fn device(&self, node: &Node) -> Result<bool> {
        if let Some(tree) = node.on_host()? {
            return self.attach(&tree, &node.path, false, true).map(|()| true);
        }
        let made = self.make_node(node);
        match made {
            // No right to make nodes, as in a user namespace: the host's will do, whatever its mode is.
            Err(error) if error.kind() == Kind::Permission && node.kind != FileType::Fifo => {
                let plain = Node { mode: None, uid: None, gid: None, path: node.path.clone(), ..*node };
                let Some(tree) = plain.on_host()? else { return Err(error) };
                self.attach(&tree, &node.path, false, true).map(|()| true)
            }
            other => other.map(|()| node.kind == FileType::Fifo),
        }
    }

    fn make_node(&self, node: &Node) -> Result<()> {
        let what = || format!("make device {}", node.path.display());
        let (Some(parent), Some(name)) = (node.path.parent(), node.path.file_name()) else {
            return Err(Error::invalid(format!("{} cannot be a device", node.path.display())));
        };
        let parent = self.folder(parent)?;
        let mask = rustix::process::umask(Mode::empty());
        let made = mknodat(&parent, name, node.kind, Mode::from(node.mode.unwrap_or(0o666) & 0o7777), node.number);
        rustix::process::umask(mask);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match made {
            Ok(()) => openat(&parent, name, flags, Mode::empty()).os(what)?,
            Err(Errno::EXIST) => {
                let file = openat(&parent, name, flags, Mode::empty()).os(what)?;
                let stat = fstat(&file).os(what)?;
                if FileType::from_raw_mode(stat.st_mode) != node.kind || stat.st_rdev != node.number {
                    let message = format!("there is something else at {}", node.path.display());
                    return Err(Error::new(Kind::AlreadyExists, message));
                }
                file
            }
            Err(e) => return Err(e).os(what),
        };
        let (uid, gid) = (node.uid.map(rustix::fs::Uid::from_raw), node.gid.map(rustix::fs::Gid::from_raw));
        rustix::fs::chownat(file.as_fd(), "", uid, gid, AtFlags::EMPTY_PATH).os(what)
    }
}

/// True when the container's rules allow every device, so that it is meant to make its own.
fn allows_all(spec: &Spec) -> bool {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let last = resources.and_then(|resources| resources.devices().as_ref()).and_then(|rules| rules.last());
    last.is_some_and(|rule| {
        let any = |number: Option<i64>| number.is_none_or(|number| number < 0);
        let all = matches!(rule.typ(), None | Some(LinuxDeviceType::A));
        rule.allow() && all && any(rule.major()) && any(rule.minor())
    })
}
