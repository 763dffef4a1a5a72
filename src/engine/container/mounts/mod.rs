//! Mounting inside a container's root, by descriptors only: no path is used after it was checked.
//!
//! Each mount is made detached (fsmount, open_tree), its target is resolved inside the root with openat2, and
//! move_mount joins the two descriptors: nothing in the root can redirect it (CVE-2019-19921, CVE-2021-30465).
//! `/proc` and `/sys` must be real folders, and what is masked below them is found from their own mounts'
//! descriptors (CVE-2023-27561, CVE-2025-31133, CVE-2025-52881).

mod cgroup;
mod copy;
mod devices;
mod filesystem;
mod foreign;
pub mod options;
mod own;
mod protect;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2, readlinkat,
};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::super::error::{Error, Kind, OsContext, Result};
use super::super::sys;
use super::namespaces;
use super::wire::GIVEN;
use filesystem::{make, mapping, propagate};
use options::Options;

pub use cgroup::Own as OwnCgroups;

/// So many links that lead nowhere are followed on the way to a mount's target.
const LINKS: u32 = 8;

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// openat2(2), again when the kernel asks for it: it cannot tell whether `..` stays inside while something anywhere is
/// renamed or mounted, and then says EAGAIN rather than to guess.
fn lookup(
    fd: impl AsFd,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
    how: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    for _ in 0..1000 {
        match openat2(&fd, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// A root file system under construction.
pub struct Root {
    fd: OwnedFd,
    // File systems the engine itself mounted, by destination: what lies below them is reached from here.
    own: Vec<(PathBuf, OwnedFd)>,
}

/// Bind mounts that were opened before the container's namespaces were made, by their place in the specification.
#[derive(Default)]
pub struct Sources(Vec<Option<OwnedFd>>);

impl Sources {
    /// Its descriptors.
    pub fn descriptors(&mut self) -> impl Iterator<Item = &mut OwnedFd> {
        self.0.iter_mut().flatten()
    }

    fn take(&mut self, at: usize) -> Option<OwnedFd> {
        self.0.get_mut(at).and_then(Option::take)
    }
}

/// Opens the sources that the container itself could not: those of a container in a user namespace, which may not
/// enter their folders; id-mapped ones; and those that stay tied to the host's mounts, as all mounts of the
/// container's own namespace are cut off from these. `given` are those that no path leads to.
///
/// # Errors
/// `not_found` for a source that is missing; `invalid_argument`, `os`.
pub fn sources(spec: &Spec, has_user: bool, given: Vec<OwnedFd>) -> Result<Sources> {
    let mut list = Vec::new();
    let mut given: Vec<_> = given.into_iter().map(Some).collect();
    for (at, mount) in spec.mounts().iter().flatten().enumerate() {
        let words = mount.options().as_deref().unwrap_or_default();
        if let Some(tree) = number(mount).and_then(|number| given.get_mut(number)?.take()) {
            filesystem::dress(&tree, mount, &Options::parse(words)?, spec.linux().as_ref())?;
            list.resize_with(at + 1, || None);
            list[at] = Some(tree);
            continue;
        }
        let tied = |word: &String| matches!(word.trim_start_matches('r'), "slave" | "shared" | "idmap");
        let is_mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
        let is_foreign = mount.source().as_deref().is_some_and(|source| foreign::split(source).is_some());
        if !(has_user || is_mapped || is_foreign || words.iter().any(tied)) {
            continue;
        }
        let options = Options::parse(words)?;
        if is_bind(mount, &options) && !options.remount {
            list.resize_with(at + 1, || None);
            list[at] = match filesystem::bind(mount, &options, spec.linux().as_ref()) {
                // A user who may mount only inside the user namespace: the container does it, as far as it may.
                Err(error) if error.kind() == Kind::Permission && has_user => None,
                other => Some(other?),
            };
        }
    }
    Ok(Sources(list))
}

/// Which of the given mounts it is, if it is one.
fn number(mount: &Mount) -> Option<usize> {
    mount.source().as_deref()?.to_str()?.strip_prefix(GIVEN)?.parse().ok()
}

fn is_bind(mount: &Mount, options: &Options) -> bool {
    options.bind.is_some() || matches!(mount.typ().as_deref(), None | Some("bind" | "rbind" | ""))
}

/// A folder of the host as a root file system: a detached mount of it and all below, cut off from the host's.
///
/// # Errors
/// `not_found`, `os`.
pub fn folder(path: &Path) -> Result<OwnedFd> {
    let what = || format!("root file system {}", path.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).os(what)?;
    if file_type(&tree)? != FileType::Directory {
        return Err(Error::invalid(format!("{} is not a folder", what())));
    }
    sys::mount::set_attributes(&tree, true, 0, 0, libc::MS_PRIVATE).os(what)?;
    Ok(tree)
}

impl Root {
    /// Takes a mounted root file system.
    pub fn new(fd: OwnedFd) -> Root {
        Root { fd, own: Vec::new() }
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Does all mounts of the specification, in their order, and makes the devices.
    ///
    /// # Errors
    /// `not_found` for a bind source that is missing; `invalid_argument` for a target that cannot be one; `os`.
    pub fn mount_everything(&mut self, spec: &Spec, mut sources: Sources, cgroups: &OwnCgroups) -> Result<()> {
        let dev = Path::new("/dev");
        let list = spec.mounts().as_deref().unwrap_or_default();
        if !list.iter().any(|mount| mount.destination() == dev) {
            self.make_devices(spec, None)?;
        }
        let mut closing = None;
        for (at, mount) in list.iter().enumerate() {
            let words = mount.options().as_deref().unwrap_or_default();
            let shown = || format!("mount {}", mount.destination().display());
            let mut options = Options::parse(words).map_err(|e| e.context(shown()))?;
            let is_fresh_dev = mount.destination() == dev && !is_bind(mount, &options) && !options.remount;
            // It is filled first, also by the mounts below it.
            let closes = is_fresh_dev && options.own.set & libc::MOUNT_ATTR_RDONLY != 0;
            if closes {
                options.own.set &= !libc::MOUNT_ATTR_RDONLY;
            }
            let tree = self.mount(mount, &options, sources.take(at), spec, cgroups)?;
            // Devices belong onto the fresh /dev, before anything that may be mounted below it.
            if let (true, Some(tree)) = (is_fresh_dev, &tree) {
                self.make_devices(spec, Some(tree))?;
            }
            if closes {
                closing = tree;
            }
        }
        match closing {
            Some(dev) => {
                sys::mount::set_attributes(&dev, false, libc::MOUNT_ATTR_RDONLY, 0, 0).os(|| "make /dev read-only")
            }
            None => Ok(()),
        }
    }

    /// Does one mount of the specification; returns a file system that was made for it.
    fn mount(
        &mut self,
        mount: &Mount,
        options: &Options,
        source: Option<OwnedFd>,
        spec: &Spec,
        cgroups: &OwnCgroups,
    ) -> Result<Option<OwnedFd>> {
        let target = mount.destination();
        if target == Path::new("/") {
            return Err(Error::invalid("nothing can be mounted on / of a container"));
        }
        if options.remount {
            return self.remount(mount, options, spec).map(|()| None);
        }
        if is_bind(mount, options) {
            let tree = match source {
                Some(tree) => tree,
                None if own::is_own(mount) => self.own_binary(mount, options)?,
                None => filesystem::bind(mount, options, None)?,
            };
            let is_dir = file_type(&tree)? == FileType::Directory;
            return self.attach(&tree, target, is_dir, false).map(|()| None);
        }
        let kind = mount.typ().as_deref().unwrap_or_default();
        if mapping(mount, options, None)?.is_some() {
            let message = format!("mount {}: only bind mounts can be id-mapped", target.display());
            return Err(Error::new(Kind::Unsupported, message));
        }
        let has_cgroup_ns = namespaces::has(spec, LinuxNamespaceType::Cgroup);
        if kind == "cgroup" {
            return self.mount_cgroups(mount, options, cgroups, has_cgroup_ns).map(|()| None);
        }
        let tree = self.file_system(kind, mount, options, spec)?;
        let special = matches!(kind, "proc" | "sysfs" | "cgroup2");
        self.attach(&tree, target, true, special)?;
        propagate(&tree, options)?;
        if special {
            self.own.push((target.clone(), tree));
            return Ok(None);
        }
        Ok(Some(tree))
    }

    fn file_system(&self, kind: &str, mount: &Mount, options: &Options, spec: &Spec) -> Result<OwnedFd> {
        let target = mount.destination();
        let source = mount.source().as_deref().filter(|source| !source.as_os_str().is_empty());
        let what = |e: Error| e.context(format!("mount {kind} on {}", target.display()));
        let mut more = Options { data: options.data.clone(), ..Options::parse(&[])? };
        (more.own, more.deep) = (options.own, options.deep);
        let covered = if kind == "tmpfs" { self.covered(target)? } else { None };
        if let (Some(covered), false) = (&covered, options.has_data("mode")) {
            let mode = fstat(covered).os(|| "stat").map_err(what)?.st_mode & 0o7777;
            more.data.push(("mode".into(), Some(format!("{mode:o}"))));
        }
        let label = spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref()).filter(|l| !l.is_empty());
        if let (Some(label), "tmpfs" | "mqueue") = (label, kind)
            && super::process::is_selinux_on()
        {
            more.data.push(("context".into(), Some(label.into())));
        }
        match make(kind, source.unwrap_or(Path::new(kind)), &more) {
            // The network's owner decides about /sys.
            Err(error) if kind == "sysfs" && error.kind() == Kind::Permission => self.bind_sys(options).map_err(what),
            Ok(tree) => {
                if let (Some(covered), true) = (covered, options.copy_up) {
                    copy::copy_up(&covered, &tree).map_err(what)?;
                }
                Ok(tree)
            }
            Err(e) => Err(what(e)),
        }
    }

    /// The folder a tmpfs is about to cover.
    fn covered(&self, target: &Path) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match lookup(&self.fd, target, flags, INSIDE) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => Ok(None),
            Err(e) => Err(e).os(|| format!("open {}", target.display())),
        }
    }

    /// Joins a detached mount to a place in the root, making the place if it is not there.
    fn attach(&self, tree: &OwnedFd, target: &Path, is_dir: bool, plain_path: bool) -> Result<()> {
        let place = self.place(target, is_dir, plain_path, LINKS)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(tree, "", &place, "", flags).os(|| format!("mount on {}", target.display()))
    }

    /// Finds or makes a target; links that lead nowhere are followed, so many of them, unless the path is to be plain.
    fn place(&self, target: &Path, is_dir: bool, plain_path: bool, links: u32) -> Result<OwnedFd> {
        let mut resolve = INSIDE;
        if plain_path {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        match lookup(&self.fd, target, OFlags::PATH | OFlags::CLOEXEC, resolve) {
            Ok(fd) if is_dir && file_type(&fd)? != FileType::Directory => {
                Err(Error::invalid(format!("mount target {} is not a folder", target.display())))
            }
            Ok(fd) if !is_dir && file_type(&fd)? == FileType::Directory => {
                Err(Error::invalid(format!("mount target {} is a folder, the source is a file", target.display())))
            }
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => match self.dangling(target)? {
                Some(to) if links > 0 && !plain_path => self.place(&to, is_dir, false, links - 1),
                _ => self.make_place(target, is_dir),
            },
            Err(Errno::LOOP) if plain_path => {
                Err(Error::invalid(format!("{} is a symbolic link in this image", target.display())))
            }
            Err(e) => Err(e).os(|| format!("mount target {}", target.display())),
        }
    }

    /// Where the link at a path points, as a path in the root; none when something else, or nothing, is there. What
    /// links of procfs say is nothing to go by: they stand for descriptors and files of the engine.
    fn dangling(&self, target: &Path) -> Result<Option<PathBuf>> {
        let what = || format!("mount target {}", target.display());
        let link = match lookup(&self.fd, target, OFlags::PATH | OFlags::NOFOLLOW, INSIDE) {
            Ok(fd) if file_type(&fd)? == FileType::Symlink => fd,
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e).os(what),
        };
        if fstatfs(&link).os(what)?.f_type == PROC_SUPER_MAGIC {
            return Ok(None);
        }
        let to = readlinkat(&link, "", Vec::new()).os(what)?;
        let to = Path::new(OsStr::from_bytes(to.as_bytes()));
        Ok(Some(target.parent().unwrap_or(Path::new("/")).join(to)))
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
        lookup(&parent, name, OFlags::PATH | OFlags::CLOEXEC, plain).os(what)
    }

    /// Opens a folder in the root, making it and its parents (mode 0755, owner root) where they are missing.
    ///
    /// # Errors
    /// `invalid_argument` when something on the way is not a folder; `os`.
    pub fn folder(&self, path: &Path) -> Result<OwnedFd> {
        self.folder_through(path, LINKS)
    }

    /// So many links that lead nowhere are followed: what they lead to is made.
    fn folder_through(&self, path: &Path, links: u32) -> Result<OwnedFd> {
        let what = || format!("folder {}", path.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match lookup(&self.fd, path, flags, INSIDE) {
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
        let parent = self.folder_through(parent, links)?;
        if let (Some(to), true) = (self.dangling(path)?, links > 0) {
            return self.folder_through(&to, links - 1);
        }
        match mkdirat(&parent, name, Mode::from(0o755)) {
            // Another container on the same folder was quicker.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).os(what),
        }
        lookup(&parent, name, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS).os(what)
    }
}

fn join(tree: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
}

fn file_type(fd: &OwnedFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd).os(|| "stat")?.st_mode))
}
