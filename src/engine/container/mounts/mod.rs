//! Mounting inside a container's root, by descriptors only: no path is used after it was checked.
//!
//! Each mount is made detached (fsmount, open_tree), its target is resolved inside the root with openat2, and
//! move_mount joins the two descriptors: nothing in the root can redirect it (CVE-2019-19921, CVE-2021-30465).
//! `/proc` and `/sys` must be real folders, and what is masked below them is found from their own mounts'
//! descriptors (CVE-2023-27561, CVE-2025-31133, CVE-2025-52881).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::super::error::{Error, OsContext, Result};
use super::super::sys;
use super::spec::DEVICES;

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// A root file system under construction.
pub struct Root {
    fd: OwnedFd,
    // File systems the engine itself mounted, by destination: what lies below them is reached from here.
    own: Vec<(PathBuf, OwnedFd)>,
}

/// Mount options as the specification lists them, sorted by what takes them.
#[derive(Default)]
struct Options {
    attributes: u64,
    recursive: bool,
    propagation: u64,
    data: Vec<(String, Option<String>)>,
}

impl Options {
    fn parse(list: &[String]) -> Options {
        let mut options = Options::default();
        for word in list {
            let bit = match word.as_str() {
                "ro" => libc::MOUNT_ATTR_RDONLY,
                "nosuid" => libc::MOUNT_ATTR_NOSUID,
                "nodev" => libc::MOUNT_ATTR_NODEV,
                "noexec" => libc::MOUNT_ATTR_NOEXEC,
                "noatime" => libc::MOUNT_ATTR_NOATIME,
                "strictatime" => libc::MOUNT_ATTR_STRICTATIME,
                "nodiratime" => libc::MOUNT_ATTR_NODIRATIME,
                _ => 0,
            };
            options.attributes |= bit;
            match word.as_str() {
                _ if bit != 0 => {}
                "rbind" => options.recursive = true,
                "exec" => options.attributes &= !libc::MOUNT_ATTR_NOEXEC,
                "suid" => options.attributes &= !libc::MOUNT_ATTR_NOSUID,
                "dev" => options.attributes &= !libc::MOUNT_ATTR_NODEV,
                "rw" | "bind" | "relatime" => {}
                "private" | "rprivate" => options.propagation = libc::MS_PRIVATE,
                "slave" | "rslave" => options.propagation = libc::MS_SLAVE,
                "shared" | "rshared" => options.propagation = libc::MS_SHARED,
                other => options.data.push(match other.split_once('=') {
                    Some((key, value)) => (key.to_string(), Some(value.to_string())),
                    None => (other.to_string(), None),
                }),
            }
        }
        options
    }
}

/// Mount sources that were opened before the container's namespaces were made.
#[derive(Default)]
pub struct Sources(Vec<Option<OwnedFd>>);

impl Sources {
    /// Its descriptors.
    pub fn descriptors(&mut self) -> impl Iterator<Item = &mut OwnedFd> {
        self.0.iter_mut().flatten()
    }
}

/// Opens sources.
///
/// # Errors
/// `not_found`, `os`.
pub fn sources(_spec: &Spec, _has_user: bool) -> Result<Sources> {
    Ok(Sources::default())
}

impl Root {
    /// Mounts.
    ///
    /// # Errors
    /// `os`.
    pub fn mount_everything(&mut self, spec: &Spec, _sources: Sources) -> Result<()> {
        for mount in spec.mounts().iter().flatten() {
            self.mount(mount)?;
            if mount.destination() == Path::new("/dev") {
                self.populate_dev(&DEVICES.map(str::to_string))?;
            }
        }
        Ok(())
    }

    /// Takes a mounted root file system.
    pub fn new(fd: OwnedFd) -> Root {
        Root { fd, own: Vec::new() }
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Does one mount of the specification.
    ///
    /// # Errors
    /// `not_found` for a bind source that is missing; `invalid_argument` for a target that cannot be one; `os`.
    pub fn mount(&mut self, mount: &Mount) -> Result<()> {
        let target = mount.destination();
        let no_options = Vec::new();
        let list = mount.options().as_ref().unwrap_or(&no_options);
        let options = Options::parse(list);
        let kind = mount.typ().as_deref().unwrap_or("bind");
        if kind == "bind" || list.iter().any(|word| word == "bind" || word == "rbind") {
            let source = mount.source().as_deref().unwrap_or(Path::new(""));
            return self.bind(source, target, &options);
        }
        let tree = make(kind, &options).map_err(|e| e.context(format!("mount {kind} on {}", target.display())))?;
        let special = matches!(kind, "proc" | "sysfs" | "cgroup2");
        self.attach(&tree, target, true, special)?;
        if special {
            self.own.push((target.clone(), tree));
        }
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path, options: &Options) -> Result<()> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if options.recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let tree = match open_tree(rustix::fs::CWD, source, flags) {
            Err(Errno::NOENT) => {
                let message = format!("cannot mount '{}': no such file or folder on the host", source.display());
                return Err(Error::not_found(message).with_hint("make it first: fs.mkdir(path)"));
            }
            other => other.os(|| format!("mount source {}", source.display()))?,
        };
        let propagation = if options.propagation == 0 { libc::MS_PRIVATE } else { options.propagation };
        sys::mount::set_attributes(&tree, options.recursive, options.attributes, 0, propagation)
            .os(|| format!("set options of mount {}", target.display()))?;
        let is_dir = file_type(&tree)? == FileType::Directory;
        self.attach(&tree, target, is_dir, false)
    }

    /// Joins a detached mount to a place in the root, making the place if it is not there.
    fn attach(&self, tree: &OwnedFd, target: &Path, is_dir: bool, plain_path: bool) -> Result<()> {
        let place = self.place(target, is_dir, plain_path)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(tree, "", &place, "", flags).os(|| format!("mount on {}", target.display()))
    }

    fn place(&self, target: &Path, is_dir: bool, plain_path: bool) -> Result<OwnedFd> {
        let mut resolve = INSIDE;
        if plain_path {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        match openat2(&self.fd, target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(fd) if is_dir && file_type(&fd)? != FileType::Directory => {
                Err(Error::invalid(format!("mount target {} is not a folder", target.display())))
            }
            Ok(fd) if !is_dir && file_type(&fd)? == FileType::Directory => {
                Err(Error::invalid(format!("mount target {} is a folder, the source is a file", target.display())))
            }
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => self.make_place(target, is_dir),
            Err(Errno::LOOP) if plain_path => {
                Err(Error::invalid(format!("{} is a symbolic link in this image", target.display())))
            }
            Err(e) => Err(e).os(|| format!("mount target {}", target.display())),
        }
    }

    fn make_place(&self, target: &Path, is_dir: bool) -> Result<OwnedFd> {
        let what = || format!("make mount target {}", target.display());
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Error::invalid(format!("mount target {} cannot be made", target.display())));
        };
        let parent = self.folder(parent)?;
        if is_dir {
            match mkdirat(&parent, name, Mode::from(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e).os(what),
            }
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&parent, name, flags, Mode::from(0o644)) {
                Ok(_) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e).os(what),
            }
        }
        let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&parent, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), plain).os(what)
    }

    /// Opens a folder in the root, making it and its parents (mode 0755, owner root) where they are missing.
    ///
    /// # Errors
    /// `invalid_argument` when something on the way is not a folder; `os`.
    pub fn folder(&self, path: &Path) -> Result<OwnedFd> {
        let what = || format!("folder {}", path.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(&self.fd, path, flags, Mode::empty(), INSIDE) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => {
                return Err(Error::invalid(format!("{} is not a folder in this image", path.display())));
            }
            Err(Errno::LOOP) => {
                let message = format!("{} leads through a link that leaves the container", path.display());
                return Err(Error::invalid(message));
            }
            Err(e) => return Err(e).os(what),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::invalid(format!("{} is not a path in this image", path.display())));
        };
        let parent = self.folder(parent)?;
        mkdirat(&parent, name, Mode::from(0o755)).os(what)?;
        openat2(&parent, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS).os(what)
    }

    /// Gives the container the usual devices and links in `/dev`, which must be a fresh tmpfs by now.
    ///
    /// # Errors
    /// `os`; `integrity` when the host's own device is not one.
    pub fn populate_dev(&self, devices: &[String]) -> Result<()> {
        for path in devices {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(rustix::fs::CWD, path.as_str(), flags).os(|| format!("device {path}"))?;
            if file_type(&tree)? != FileType::CharacterDevice {
                return Err(Error::integrity(format!("{path} of this host is not a character device")));
            }
            self.attach(&tree, Path::new(path), false, true)?;
        }
        let dev = self.folder(Path::new("/dev"))?;
        let links = [
            ("/proc/self/fd", "fd"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
            ("pts/ptmx", "ptmx"),
        ];
        for (to, name) in links {
            match rustix::fs::symlinkat(to, &dev, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e).os(|| format!("link /dev/{name}")),
            }
        }
        Ok(())
    }

    /// Puts a terminal's slave on `/dev/console`.
    ///
    /// # Errors
    /// `os`.
    pub fn console(&self, slave: &OwnedFd) -> Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(slave, "", flags).os(|| "the terminal")?;
        self.attach(&tree, Path::new("/dev/console"), false, true)
    }

    /// Hides `masked` paths (files read as empty, folders are empty and read-only) and makes `read_only` ones so.
    ///
    /// # Errors
    /// `os`; `integrity` when the host's `/dev/null` is not what it should be.
    pub fn protect(&self, masked: &[String], read_only: &[String]) -> Result<()> {
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mut empty = None;
        for path in masked {
            let Some(place) = self.find(path)? else { continue };
            let tree = if file_type(&place)? == FileType::Directory {
                // Only what is mounted somewhere can be cloned (a detached tree not before Linux 6.15).
                match &empty {
                    Some(empty) => {
                        open_tree(empty, "", clone | OpenTreeFlags::AT_EMPTY_PATH).os(|| format!("mask {path}"))?
                    }
                    None => {
                        let options = Options::parse(&["ro".into(), "nosuid".into(), "nodev".into(), "noexec".into()]);
                        let tree = make("tmpfs", &options)?;
                        join(&tree, &place).os(|| format!("mask {path}"))?;
                        empty = Some(tree);
                        continue;
                    }
                }
            } else {
                null(clone)?
            };
            join(&tree, &place).os(|| format!("mask {path}"))?;
        }
        for path in read_only {
            let Some(place) = self.find(path)? else { continue };
            let flags = clone | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
            let tree = open_tree(&place, "", flags).os(|| format!("protect {path}"))?;
            sys::mount::set_attributes(&tree, true, libc::MOUNT_ATTR_RDONLY, 0, 0).os(|| format!("protect {path}"))?;
            join(&tree, &place).os(|| format!("protect {path}"))?;
        }
        Ok(())
    }

    /// A path to protect: below one of our own mounts from its descriptor and without links, else inside the root.
    fn find(&self, path: &str) -> Result<Option<OwnedFd>> {
        let path = Path::new(path);
        let own = self.own.iter().find_map(|(at, fd)| path.strip_prefix(at).ok().map(|rest| (fd, rest)));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = match own {
            Some((fd, rest)) => {
                openat2(fd, rest, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
            }
            None => openat2(&self.fd, path, flags, Mode::empty(), INSIDE),
        };
        match found {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e).os(|| format!("protect {}", path.display())),
        }
    }
}

/// A new detached file system.
fn make(kind: &str, options: &Options) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).os(|| format!("open file system {kind}"))?;
    // What mount tables show.
    fsconfig_set_string(&context, "source", kind).os(|| format!("name file system {kind}"))?;
    for (key, value) in &options.data {
        match value {
            Some(value) => fsconfig_set_string(&context, key.as_str(), value.as_str()),
            None => fsconfig_set_flag(&context, key.as_str()),
        }
        .os(|| format!("option {key} of {kind}"))?;
    }
    fsconfig_create(&context).os(|| format!("create {kind}"))?;
    let attributes = MountAttrFlags::from_bits_retain(options.attributes as _);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).os(|| format!("mount {kind}"))
}

/// The host's `/dev/null`, if that is what it is.
fn null(clone: OpenTreeFlags) -> Result<OwnedFd> {
    let tree = open_tree(rustix::fs::CWD, "/dev/null", clone).os(|| "/dev/null")?;
    let stat = fstat(&tree).os(|| "/dev/null")?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(tree) } else { Err(Error::integrity("/dev/null of this host is not the null device")) }
}

fn join(tree: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
}

fn file_type(fd: &OwnedFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd).os(|| "stat")?.st_mode))
}
