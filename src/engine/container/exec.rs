//! A further process in a running container.
//!
//! The parent enters the pid namespace for the moment of the clone; the child joins everything else through the
//! pidfd of the container's first process (setns(2) with several namespaces at once, Linux 5.8). While it is on its
//! way, processes of the container can see it: it cannot be traced or looked into (not dumpable), it holds no
//! descriptor of the host but those it was given, and its working folder is opened without magic links
//! (CVE-2019-5736, CVE-2024-21626).

use std::convert::Infallible;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::process::{DumpableBehavior, Pid};

use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::super::sys::process::Side;
use super::birth::{Child, Line, lift, pair};
use super::namespaces::{self, Visit};
use super::process::{self, Filter, Labels};
use super::program::{Program, open_working_folder};
use super::terminal;

/// What a further process is made from.
pub struct Exec<'a> {
    /// The process.
    pub process: &'a Process,
    /// The container's specification.
    pub spec: &'a Spec,
    /// The compiled seccomp program; empty for none.
    pub seccomp: Vec<u8>,
    /// Its flags.
    pub seccomp_flags: u32,
    /// Standard input, output and error; empty for a terminal.
    pub stdio: Vec<OwnedFd>,
    /// Open `tasks` files of cgroup v1; the child writes itself into each.
    pub cgroup: Vec<OwnedFd>,
    /// The folder of a cgroup v2 it is born in.
    pub cgroup_v2: Option<OwnedFd>,
    /// So many descriptors from 3 up stay open for the program.
    pub preserve_fds: u32,
}

/// What the child needs to know of the container, opened by the parent.
struct Target {
    init: OwnedFd,
    flags: u64,
    has_user: bool,
    root: OwnedFd,
}

/// Starts a process in every namespace of the process behind `init`, a pidfd. The calling process must be
/// single-threaded and becomes its parent.
///
/// # Errors
/// `not_found` when that process is gone; `permission`, `os`. No process is left behind.
pub fn spawn(init: BorrowedFd<'_>, init_pid: Pid, exec: Exec<'_>) -> Result<Child> {
    let mut target = Target::new(init, init_pid, exec.spec)?;
    let (notes, line) = pair()?;
    // Inherited at the clone, so that there is no moment at which the child is open to the container.
    let before = rustix::process::dumpable_behavior().os(|| "prctl PR_GET_DUMPABLE")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).os(|| "prctl PR_SET_DUMPABLE")?;
    let side = target.clone(exec.cgroup_v2.as_ref().map(AsFd::as_fd), exec.spec);
    if matches!(side, Ok(Side::Child)) {
        run(target, exec, Line::new(line))
    }
    rustix::process::set_dumpable_behavior(before).os(|| "prctl PR_SET_DUMPABLE")?;
    match side? {
        Side::Parent(pid, pidfd) => {
            let child = Child { pid, pidfd, notes, let_go: false };
            child.adjust(exec.process, target.has_user).inspect_err(|_| child.abort())?;
            Ok(child)
        }
        Side::Child => Err(Error::new(Kind::Internal, "a child came back from its program")),
    }
}

impl Target {
    fn new(init: BorrowedFd<'_>, pid: Pid, spec: &Spec) -> Result<Target> {
        let pid = pid.as_raw_nonzero();
        let gone = |e: Error| match e.kind() {
            Kind::NotFound | Kind::Os(libc::ESRCH) => Error::not_found("the container has ended"),
            _ => e,
        };
        let inode = |path: String| rustix::fs::stat(path.as_str()).map(|stat| stat.st_ino).os(|| path);
        let root = openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .os(|| "the container's root")
            .map_err(gone)?;
        let mut flags = 0;
        for kind in spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten() {
            flags |= namespaces::flag(kind.typ());
        }
        // The kernel refuses to enter the user namespace one is in.
        let user = namespaces::flag(LinuxNamespaceType::User);
        let has_user = flags & user != 0
            && inode(format!("/proc/{pid}/ns/user")).map_err(gone)? != inode("/proc/self/ns/user".into())?;
        if !has_user {
            flags &= !user;
        }
        // What was opened by number belongs to the process behind the pidfd only if that still lives.
        if has_ended(init)? {
            return Err(Error::not_found("the container has ended"));
        }
        let init = rustix::io::fcntl_dupfd_cloexec(init, 3).os(|| "copy a pidfd")?;
        Ok(Target { init, flags, has_user, root })
    }

    fn clone(&mut self, cgroup: Option<BorrowedFd<'_>>, spec: &Spec) -> Result<Side> {
        let visit = match namespaces::has(spec, LinuxNamespaceType::Pid) {
            true => match Visit::join(self.init.as_fd(), LinuxNamespaceType::Pid) {
                // A user whose power begins in the container's user namespace.
                Err(error) if error.kind() == Kind::Permission && self.has_user => {
                    return self.clone_from_inside(cgroup);
                }
                other => Some(other?),
            },
            false => None,
        };
        let side = sys::process::clone(0, cgroup).map_err(|e| from_io(e, "create a process"));
        if !matches!(side, Ok(Side::Child)) {
            visit.map_or(Ok(()), Visit::leave)?;
        }
        side
    }

    fn clone_from_inside(&mut self, cgroup: Option<BorrowedFd<'_>>) -> Result<Side> {
        let side = namespaces::clone_between(|| {
            namespaces::join(self.init.as_fd(), LinuxNamespaceType::User)?;
            namespaces::join(self.init.as_fd(), LinuxNamespaceType::Pid)?;
            sys::process::clone(libc::CLONE_PARENT as u64, cgroup).map_err(|e| from_io(e, "create a process"))
        });
        // The child is in it.
        self.flags &= !namespaces::flag(LinuxNamespaceType::User);
        side
    }

    /// Joins everything but the pid namespace.
    fn enter(&self) -> Result<()> {
        let flags = self.flags & !namespaces::flag(LinuxNamespaceType::Pid);
        setns(&self.init, CloneFlags::from_bits_retain(flags as libc::c_int))
            .os(|| "join the container's namespaces")?;
        // The root of its mount namespace; another one only where pivot_root(2) could not be used.
        let (theirs, here) = (fstat(&self.root).os(|| "stat")?, rustix::fs::stat("/").os(|| "stat /")?);
        if (theirs.st_dev, theirs.st_ino) != (here.st_dev, here.st_ino) {
            rustix::process::fchdir(&self.root).os(|| "enter the container's root")?;
            rustix::process::chroot(".").os(|| "enter the container's root")?;
        }
        rustix::process::chdir("/").os(|| "chdir /")
    }
}

fn run(target: Target, exec: Exec<'_>, mut line: Line) -> ! {
    let Err(error) = become_program(target, exec, &mut line);
    line.fail(&error);
    sys::process::exit_now(125)
}

fn become_program(mut target: Target, mut exec: Exec<'_>, line: &mut Line) -> Result<Infallible> {
    let process = exec.process;
    let affinity = process.exec_cpu_affinity().as_ref();
    // It was for the clone.
    drop(exec.cgroup_v2.take());
    lift(exec.stdio.iter_mut().chain(exec.cgroup.iter_mut()).chain([&mut target.root, line.descriptor()]))?;
    let mut keep = vec![line.as_fd().as_raw_fd(), target.init.as_raw_fd(), target.root.as_raw_fd()];
    keep.extend(exec.stdio.iter().chain(&exec.cgroup).map(AsRawFd::as_raw_fd));
    sys::fd::close_all_but(3 + exec.preserve_fds as i32, &mut keep).map_err(|e| from_io(e, "close descriptors"))?;
    if let Some(list) = affinity.and_then(|affinity| affinity.initial().as_deref()) {
        process::set_affinity(list)?;
    }
    join_cgroups(exec.cgroup)?;
    line.wait()?;
    if let Some(list) = affinity.and_then(|affinity| affinity.cpu_affinity_final().as_deref()) {
        process::set_affinity(list)?;
    }
    let labels = Labels::open(process)?;
    if !target.has_user {
        process::set_limits(process, line)?;
    }
    process::set_priorities(process)?;
    process::leave_keyring()?;
    target.enter()?;
    if target.has_user {
        process::become_root()?;
    }
    rustix::process::setsid().os(|| "setsid")?;
    let uid = process.user().uid();
    if process.terminal().unwrap_or(false) {
        let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).os(|| "open /")?;
        terminal::take(terminal::open(root.as_fd(), process, line)?, uid)?;
    } else {
        process::take_streams(exec.stdio, uid)?;
    }
    if let Some(personality) = exec.spec.linux().as_ref().and_then(|linux| linux.personality().as_ref()) {
        process::set_personality(personality)?;
    }
    let folder = open_working_folder(process.cwd())?;
    drop(target);
    let program = Program::new(process)?;
    let filter = Filter { program: &exec.seccomp, flags: exec.seccomp_flags };
    process::drop_privileges(process, labels, &filter, line)?;
    rustix::process::fchdir(&folder).os(|| format!("working folder {}", process.cwd().display()))?;
    drop(folder);
    process::set_umask(process);
    sys::fd::keep_on_exec(3, exec.preserve_fds).map_err(|e| from_io(e, "preserve descriptors"))?;
    sys::process::reset_signals();
    process::load_last(process, &filter, line)?;
    program.execute()
}

/// True when the process behind a pidfd has ended.
///
/// # Errors
/// `os`.
pub fn has_ended(pidfd: BorrowedFd<'_>) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).os(|| "poll a pidfd")? > 0)
}

/// Moves this process, which has one thread, into each cgroup v1 by its `tasks` file.
///
/// # Errors
/// `os`: ENOSPC for a cpuset without processors, ENODEV for a removed cgroup.
pub(super) fn join_cgroups(tasks: Vec<OwnedFd>) -> Result<()> {
    for file in tasks {
        std::fs::File::from(file).write_all(b"0").os(|| "join a cgroup")?;
    }
    Ok(())
}
