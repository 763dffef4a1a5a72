//! Namespaces of a container: which to make, which to join, and the order in which that can be done.
//!
//! Most come with the process, from clone3(2). A cgroup namespace is made later, by init in its own cgroup. A time
//! namespace is for children only, so the parent makes it, sets its clocks and leaves it again. To join a user
//! namespace by path, or others before a new one is made, a process between parent and child does the joining and has
//! the child for its parent (CLONE_PARENT).
//!
//! Source: namespaces(7), user_namespaces(7), time_namespaces(7), clone(2), setns(2).

use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::super::sys::process::Side;
use super::birth::{pair, reap};
use super::procfs::Proc;
use super::wire::Failure;

/// What is to be done about each kind of namespace.
#[derive(Debug)]
pub struct Plan {
    create: u64,
    join: Vec<(LinuxNamespaceType, OwnedFd)>,
    makes_cgroup: bool,
    makes_time: bool,
    staged: bool,
}

/// What a process in between tells its parent.
#[derive(Serialize, Deserialize)]
enum Staged {
    Born(i32),
    Failed(Failure),
}

/// The flag of a kind, as clone(2) and setns(2) know it.
pub fn flag(kind: LinuxNamespaceType) -> u64 {
    kind as u64
}

/// The name of a kind below `/proc/PID/ns`.
pub fn name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

/// True when the container has a namespace of this kind that is not its runtime's, be it new or joined.
pub fn has(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    list.is_some_and(|list| list.iter().any(|namespace| namespace.typ() == kind))
}

impl Plan {
    /// Reads the specification and opens the namespaces that are to be joined.
    ///
    /// # Errors
    /// `invalid_argument` for a kind named twice or settings without their namespace; `unsupported` for a container
    /// without mounts of its own; `not_found` for a path that is not there.
    pub fn new(spec: &Spec) -> Result<Plan> {
        let none = Vec::new();
        let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref()).unwrap_or(&none);
        let mut plan = Plan { create: 0, join: Vec::new(), makes_cgroup: false, makes_time: false, staged: false };
        let mut seen = 0;
        for namespace in list {
            let kind = namespace.typ();
            if seen & flag(kind) != 0 {
                return Err(Error::invalid(format!("the specification names the {} namespace twice", name(kind))));
            }
            seen |= flag(kind);
            match (namespace.path(), kind) {
                (Some(path), _) if !path.as_os_str().is_empty() => plan.join.push((kind, open(path, kind)?)),
                (_, LinuxNamespaceType::Cgroup) => plan.makes_cgroup = true,
                (_, LinuxNamespaceType::Time) => plan.makes_time = true,
                _ => plan.create |= flag(kind),
            }
        }
        plan.check(spec, seen)?;
        let makes_user = plan.makes_user();
        plan.staged = plan.join.iter().any(|(kind, _)| makes_user || *kind == LinuxNamespaceType::User);
        Ok(plan)
    }

    fn check(&self, spec: &Spec, seen: u64) -> Result<()> {
        let lacks = |kind| seen & flag(kind) == 0;
        if lacks(LinuxNamespaceType::Mount) {
            let message = "a container without a mount namespace would change the mounts of this host";
            return Err(Error::new(Kind::Unsupported, message));
        }
        let without = |what: &str, kind| {
            Err(Error::invalid(format!("{what} is set, but the container has no {} namespace of its own", name(kind))))
        };
        let Some(linux) = spec.linux() else { return Ok(()) };
        let mapped = linux.uid_mappings().as_ref().is_some_and(|list| !list.is_empty());
        if spec.hostname().is_some() && lacks(LinuxNamespaceType::Uts) {
            return without("hostname", LinuxNamespaceType::Uts);
        }
        if spec.domainname().is_some() && lacks(LinuxNamespaceType::Uts) {
            return without("domainname", LinuxNamespaceType::Uts);
        }
        if self.makes_user() && !mapped {
            return Err(Error::invalid("a new user namespace needs uidMappings and gidMappings"));
        }
        if self.makes_user() && ![linux.uid_mappings(), linux.gid_mappings()].into_iter().all(has_root) {
            return Err(Error::invalid("root is not mapped in the user namespace: containerID 0 is missing"));
        }
        if mapped && lacks(LinuxNamespaceType::User) {
            return without("uidMappings", LinuxNamespaceType::User);
        }
        if linux.time_offsets().as_ref().is_some_and(|list| !list.is_empty()) && !self.makes_time {
            return without("timeOffsets", LinuxNamespaceType::Time);
        }
        Ok(())
    }

    /// True when a user namespace is made for this container.
    pub fn makes_user(&self) -> bool {
        self.create & flag(LinuxNamespaceType::User) != 0
    }

    /// True when the container is in a user namespace other than its runtime's.
    pub fn has_user(&self) -> bool {
        self.makes_user() || self.join.iter().any(|(kind, _)| *kind == LinuxNamespaceType::User)
    }

    /// True when init has to make a cgroup namespace.
    pub fn makes_cgroup(&self) -> bool {
        self.makes_cgroup
    }

    /// True when a namespace of this kind is made, not joined.
    pub fn makes(&self, kind: LinuxNamespaceType) -> bool {
        self.create & flag(kind) != 0
    }

    /// The descriptors it holds.
    pub fn descriptors(&mut self) -> impl Iterator<Item = &mut OwnedFd> {
        self.join.iter_mut().map(|(_, fd)| fd)
    }

    /// Clones the child into what can be had at birth.
    ///
    /// # Errors
    /// `permission` without the rights namespaces need; `os`.
    pub fn clone(&self, cgroup: Option<BorrowedFd<'_>>, spec: &Spec) -> Result<Side> {
        if self.staged {
            return self.clone_staged(cgroup, spec);
        }
        let pid = self.join.iter().find(|(kind, _)| *kind == LinuxNamespaceType::Pid);
        let pid = pid.map(|(kind, fd)| Visit::join(fd.as_fd(), *kind)).transpose()?;
        let time = self.makes_time.then(|| Visit::to_new_time(spec)).transpose()?;
        let side = sys::process::clone(self.create, cgroup).map_err(|e| from_io(e, "create namespaces"))?;
        if matches!(side, Side::Parent(..)) {
            time.map_or(Ok(()), Visit::leave)?;
            pid.map_or(Ok(()), Visit::leave)?;
        }
        Ok(side)
    }

    /// Joins in the child what was not joined on its way.
    ///
    /// # Errors
    /// `permission`, `os`.
    pub fn join_rest(&self) -> Result<()> {
        if self.staged {
            return Ok(());
        }
        let mut rest = self.join.iter().filter(|(kind, _)| *kind != LinuxNamespaceType::Pid);
        rest.try_for_each(|(kind, fd)| join(fd.as_fd(), *kind))
    }

    fn clone_staged(&self, cgroup: Option<BorrowedFd<'_>>, spec: &Spec) -> Result<Side> {
        clone_between(|| {
            self.join_all()?;
            let _time = self.makes_time.then(|| Visit::to_new_time(spec)).transpose()?;
            let flags = self.create | libc::CLONE_PARENT as u64;
            sys::process::clone(flags, cgroup).map_err(|e| from_io(e, "create namespaces"))
        })
    }

    /// All but the user namespace with the rights of now, that one, and then what needed its rights.
    fn join_all(&self) -> Result<()> {
        let (user, others): (Vec<_>, Vec<_>) =
            self.join.iter().partition(|(kind, _)| *kind == LinuxNamespaceType::User);
        let mut later = Vec::new();
        for (kind, fd) in others {
            match join(fd.as_fd(), *kind) {
                Err(error) if error.kind() == Kind::Permission && !user.is_empty() => later.push((kind, fd)),
                other => other?,
            }
        }
        for (kind, fd) in user {
            join(fd.as_fd(), *kind)?;
        }
        later.into_iter().try_for_each(|(kind, fd)| join(fd.as_fd(), *kind))
    }
}

/// Has a process in between do `step`, which joins namespaces and clones a child of this process (CLONE_PARENT).
///
/// # Errors
/// Those of `step`; `os`.
pub(super) fn clone_between(step: impl FnOnce() -> Result<Side>) -> Result<Side> {
    let (ours, theirs) = pair()?;
    let pidfd = match sys::process::fork_into(0).map_err(|e| from_io(e, "fork"))? {
        Side::Parent(_, pidfd) => pidfd,
        Side::Child => {
            drop(ours);
            let (message, fd) = match step() {
                Ok(Side::Child) => return Ok(Side::Child),
                Ok(Side::Parent(pid, fd)) => (Staged::Born(pid.as_raw_nonzero().get()), Some(fd)),
                Err(error) => (Staged::Failed(Failure::from(&error)), None),
            };
            let bytes = serde_json::to_vec(&message).unwrap_or_default();
            let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
            // Without its message the parent knows that this process failed.
            let _ = sys::fd::send(&theirs, &bytes, &fds);
            sys::process::exit_now(0)
        }
    };
    drop(theirs);
    let answer = sys::fd::receive(&ours, 64 << 10);
    reap(&pidfd);
    let (bytes, fds) = answer.map_err(|e| from_io(e, "hear from the process that joins namespaces"))?;
    let died = || Error::new(Kind::Internal, "the process that joins namespaces died");
    match (serde_json::from_slice(&bytes), fds.into_iter().next()) {
        (Ok(Staged::Born(pid)), Some(fd)) => Ok(Side::Parent(Pid::from_raw(pid).ok_or_else(died)?, fd)),
        (Ok(Staged::Failed(failure)), _) => Err(failure.into()),
        _ => Err(died()),
    }
}

fn has_root(list: &Option<Vec<LinuxIdMapping>>) -> bool {
    list.iter().flatten().any(|mapping| mapping.container_id() == 0 && mapping.size() > 0)
}

fn open(path: &Path, kind: LinuxNamespaceType) -> Result<OwnedFd> {
    let what = || format!("{} namespace {}", name(kind), path.display());
    let fd = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()).os(what)?;
    match rustix::fs::fstatfs(&fd).os(what)?.f_type {
        libc::NSFS_MAGIC => Ok(fd),
        _ => Err(Error::invalid(format!("{} is not a namespace", path.display()))),
    }
}

/// Joins the namespace behind a descriptor of it, or of a process in it.
///
/// # Errors
/// `permission`, `os`.
pub(super) fn join(fd: BorrowedFd<'_>, kind: LinuxNamespaceType) -> Result<()> {
    let flags = CloneFlags::from_bits_retain(flag(kind) as libc::c_int);
    setns(fd, flags).os(|| format!("join the {} namespace", name(kind)))
}

/// A stay of this process in a namespace that only its children shall have.
pub(super) struct Visit {
    home: OwnedFd,
    kind: LinuxNamespaceType,
}

impl Visit {
    fn begin(kind: LinuxNamespaceType) -> Result<Visit> {
        let path = format!("/proc/self/ns/{}", name(kind));
        Ok(Visit { home: open(Path::new(&path), kind)?, kind })
    }

    /// Joins the namespace behind a descriptor of it, or of a process in it.
    pub(super) fn join(fd: BorrowedFd<'_>, kind: LinuxNamespaceType) -> Result<Visit> {
        let visit = Visit::begin(kind)?;
        join(fd, kind)?;
        Ok(visit)
    }

    /// Makes a time namespace with the clocks of the specification.
    fn to_new_time(spec: &Spec) -> Result<Visit> {
        let visit = Visit::begin(LinuxNamespaceType::Time)?;
        let flags = CloneFlags::from_bits_retain(flag(LinuxNamespaceType::Time) as libc::c_int);
        unshare(flags).os(|| "create a time namespace")?;
        let offsets = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
        let mut text = String::new();
        for (clock, offset) in offsets.into_iter().flatten() {
            let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
            // Cannot fail: it is a string.
            let _ = writeln!(text, "{clock} {seconds} {nanoseconds}");
        }
        let written = if text.is_empty() { Ok(()) } else { Proc::open()?.write("self/timens_offsets", &text) };
        match written {
            Ok(()) => Ok(visit),
            Err(error) => visit.leave().and(Err(error)),
        }
    }

    /// Goes home.
    ///
    /// # Errors
    /// `os`; this process must not go on then.
    pub(super) fn leave(self) -> Result<()> {
        join(self.home.as_fd(), self.kind)
    }
}

/// Writes the id mappings of a process in a new user namespace.
///
/// # Errors
/// `invalid_argument` for mappings the kernel refuses; `permission`, `os`.
pub fn write_maps(pid: Pid, spec: &Spec) -> Result<()> {
    let none = Vec::new();
    let linux = spec.linux().as_ref();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_ref()).unwrap_or(&none);
    let gids = linux.and_then(|linux| linux.gid_mappings().as_ref()).unwrap_or(&none);
    write_id_maps(pid, uids, gids)
}

fn write_id_maps(pid: Pid, uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<()> {
    let proc = Proc::open()?;
    let pid = pid.as_raw_nonzero();
    let refused = |error: Error| match error.errno() {
        Some(libc::EINVAL) => Error::invalid("the kernel refuses these id mappings (do they overlap?)"),
        _ => error.context("cannot set id mappings"),
    };
    proc.write(&format!("{pid}/uid_map"), &lines(uids)).map_err(refused)?;
    let file = format!("{pid}/gid_map");
    match proc.write(&file, &lines(gids)) {
        // Without CAP_SETGID only after setgroups(2) has been given up (Linux 3.19).
        Err(error) if error.kind() == Kind::Permission => {
            proc.write(&format!("{pid}/setgroups"), "deny")?;
            proc.write(&file, &lines(gids)).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

fn lines(list: &[LinuxIdMapping]) -> String {
    let mut text = String::new();
    for mapping in list {
        // Cannot fail: it is a string.
        let _ = writeln!(text, "{} {} {}", mapping.container_id(), mapping.host_id(), mapping.size());
    }
    text
}

/// A user namespace with these mappings that no process is in.
///
/// # Errors
/// As [`write_maps`].
pub fn user_with_maps(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<OwnedFd> {
    let (ours, theirs) = pair()?;
    match sys::process::fork_into(flag(LinuxNamespaceType::User)).map_err(|e| from_io(e, "create a user namespace"))? {
        Side::Child => {
            drop(ours);
            // Until the parent has what it wants, or is gone.
            let _ = sys::fd::receive(&theirs, 1);
            sys::process::exit_now(0)
        }
        Side::Parent(pid, pidfd) => {
            drop(theirs);
            let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
            let made = write_id_maps(pid, uids, gids).and_then(|()| open(Path::new(&path), LinuxNamespaceType::User));
            drop(ours);
            reap(&pidfd);
            made
        }
    }
}
