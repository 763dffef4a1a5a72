//! The birth of a container's first process, seen from its parent.
//!
//! ```text
//! parent  spawn ── go ──────────> note, note, ... ── end of the line
//!            \                     /
//! child    clone3 ─ waits ─ sets up ─ (Ready, waits at the gate) ─ execve
//! ```
//!
//! The parent must be single-threaded. Parent and child talk over one socket: a message to the child lets it run on, one
//! from it is a [`Note`], and the socket ends when the child has executed its program or died.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Spec, State};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::super::error::{Error, OsContext, Result, from_io};
use super::super::sys;
use super::super::sys::process::Side;
use super::cgroups::Cgroup;
use super::namespaces::{self, Plan};
use super::procfs::Proc;
use super::wire::{Failure, Note};
use super::{init, mounts, process};

/// The longest note, in bytes.
const NOTE_LIMIT: usize = 64 << 10;

/// What a first process is made from. Init reads nothing else.
pub struct Birth<'a> {
    /// The contract, in the OCI runtime specification's words.
    pub spec: &'a Spec,
    /// A detached mount: [`super::overlay::mount`] or [`mounts::folder`]; with [`Oci::clones_root`] the folder itself.
    pub rootfs: OwnedFd,
    /// Where it is attached inside the container's own mount namespace, before it becomes `/`.
    pub mount_point: &'a Path,
    /// The compiled seccomp program; empty for none.
    pub seccomp: Vec<u8>,
    /// Its flags: `SECCOMP_FILTER_FLAG_*`.
    pub seccomp_flags: u32,
    /// Standard input, output and error; empty for a terminal.
    pub stdio: Vec<OwnedFd>,
    /// Open `tasks` files of cgroup v1; the child writes itself into each.
    pub cgroup: Vec<OwnedFd>,
    /// The folder of a cgroup v2 it is born in.
    pub cgroup_v2: Option<OwnedFd>,
    /// Dies with its parent, which lets it run on at once.
    pub bound: bool,
    /// So many descriptors from 3 up stay open for the program.
    pub preserve_fds: u32,
    /// Mounts that no path leads to, by the numbers in the specification's sources.
    pub given: Vec<OwnedFd>,
    /// A pipe; when given, a byte from it is awaited when everything is set up.
    pub gate: Option<OwnedFd>,
    /// What only a runtime for other engines asks for.
    pub oci: Oci<'a>,
}

impl<'a> Birth<'a> {
    /// For a monitor: a process that dies with it, in the container's control group if it has one. `seccomp` is the
    /// program and its flags.
    ///
    /// # Errors
    /// `os`.
    pub fn watched(
        spec: &'a Spec,
        (rootfs, mount_point): (OwnedFd, &'a Path),
        (seccomp, seccomp_flags): (Vec<u8>, u32),
        stdio: Vec<OwnedFd>,
        cgroup: Option<&Cgroup>,
    ) -> Result<Birth<'a>> {
        let joining = cgroup.map(Cgroup::join).transpose()?.unwrap_or_default();
        Ok(Birth {
            spec,
            rootfs,
            mount_point,
            seccomp,
            seccomp_flags,
            stdio,
            cgroup: joining.v1,
            cgroup_v2: joining.v2,
            bound: true,
            preserve_fds: 0,
            given: Vec::new(),
            gate: None,
            oci: Oci::default(),
        })
    }
}

/// What only a runtime for other engines asks for.
#[derive(Default)]
pub struct Oci<'a> {
    /// Move the root file system to `/` where pivot_root(2) cannot: the host's root is a ramfs.
    pub no_pivot: bool,
    /// Keep the parent's session keyring.
    pub no_new_keyring: bool,
    /// A pipe to which a failure behind the gate is written; it is closed when the program is executed.
    pub report: Option<OwnedFd>,
    /// The root file system is the folder at the mount point, and only inside a user namespace may it be mounted.
    pub clones_root: bool,
    /// What hooks are told; without it those that run in the container's namespaces are left out.
    pub state: Option<&'a State>,
}

/// A process that is being born.
#[derive(Debug)]
pub struct Child {
    /// Its id, as its parent sees it.
    pub pid: Pid,
    /// Becomes readable when it ends.
    pub pidfd: OwnedFd,
    /// Readable when there is a note, and at the end.
    pub notes: OwnedFd,
    /// The word to run on waits for it already.
    pub(super) let_go: bool,
}

/// The child's end of the socket.
pub struct Line(OwnedFd);

/// Makes the process; it waits for [`Child::go`].
///
/// # Errors
/// `invalid_argument` for a specification without a process; `not_found` for a namespace or mount source that is not
/// there; `permission`, `unsupported`, `os`. No process is left behind.
pub fn spawn(mut birth: Birth<'_>) -> Result<Child> {
    let spec = birth.spec;
    let plan = Plan::new(spec)?;
    let sources = mounts::sources(spec, plan.has_user(), std::mem::take(&mut birth.given))?;
    let (notes, line) = pair()?;
    // Where the parent has nothing to do for it meanwhile, it need not wait for the parent to be scheduled.
    let let_go = birth.bound && !is_settled_by_parent(&plan, spec);
    if let_go {
        say_go(&notes)?;
    }
    let side = plan.clone(birth.cgroup_v2.as_ref().map(AsFd::as_fd), spec)?;
    match side {
        Side::Child => init::run(birth, sources, plan, Line(line)),
        Side::Parent(pid, pidfd) => {
            let child = Child { pid, pidfd, notes, let_go };
            child.settle(&plan, spec).inspect_err(|_| child.abort())?;
            Ok(child)
        }
    }
}

/// Whether [`Child::settle`] has anything to do.
fn is_settled_by_parent(plan: &Plan, spec: &Spec) -> bool {
    plan.has_user() || spec.process().as_ref().is_some_and(|process| process.oom_score_adj().is_some())
}

fn say_go(notes: &OwnedFd) -> Result<()> {
    match sys::fd::send(notes, b"g", &[]) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
        other => other.map_err(|e| from_io(e, "let the container's first process run on")),
    }
}

/// Waits for the end of a child whose status nobody asks for.
pub(super) fn reap(pidfd: &OwnedFd) {
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {}
}

/// A socket for a parent and its child.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).os(|| "socketpair")
}

impl Child {
    /// What the parent has the rights to do and the child, in a user namespace of its own, has not.
    fn settle(&self, plan: &Plan, spec: &Spec) -> Result<()> {
        if plan.makes_user() {
            namespaces::write_maps(self.pid, spec)?;
        }
        if let Some(process) = spec.process() {
            self.adjust(process, plan.has_user())?;
        }
        Ok(())
    }

    /// Sets what any process may not set for itself: how readily it is killed for memory, and with `limits` its limits.
    pub(super) fn adjust(&self, process: &oci_spec::runtime::Process, limits: bool) -> Result<()> {
        if let Some(value) = process.oom_score_adj() {
            Proc::open()?.write(&format!("{}/oom_score_adj", self.pid.as_raw_nonzero()), &value.to_string())?;
        }
        if limits { process::set_limits_of(self.pid, process) } else { Ok(()) }
    }

    /// Lets it run on. A process that is gone meanwhile has left a note, or its status tells why.
    ///
    /// # Errors
    /// `os`.
    pub fn go(&mut self) -> Result<()> {
        if std::mem::take(&mut self.let_go) { Ok(()) } else { say_go(&self.notes) }
    }

    /// Waits for one note; none at the end: it has executed its program, or died.
    ///
    /// # Errors
    /// `internal` for what is no note; `os`.
    pub fn note(&self) -> Result<Option<(Note, Option<OwnedFd>)>> {
        let (bytes, fds) = match sys::fd::receive(&self.notes, NOTE_LIMIT) {
            Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => return Ok(None),
            other => other.map_err(|e| from_io(e, "read init's notes"))?,
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let note = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(super::super::error::Kind::Internal, format!("malformed note from init: {e}")))?;
        Ok(Some((note, fds.into_iter().next())))
    }

    /// Kills it and waits for its end.
    pub fn abort(&self) {
        // Either call fails only when it is gone already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        reap(&self.pidfd);
    }
}

impl Line {
    /// The child's end of [`pair`].
    pub(super) fn new(socket: OwnedFd) -> Line {
        Line(socket)
    }

    /// The socket, to be moved.
    pub(super) fn descriptor(&mut self) -> &mut OwnedFd {
        &mut self.0
    }

    /// Tells the parent. Nobody to tell is no failure: a bound child dies with its parent, another goes on.
    pub fn tell(&self, note: &Note, fd: Option<BorrowedFd<'_>>) {
        let Ok(bytes) = serde_json::to_vec(note) else { return };
        let _ = match fd {
            Some(fd) => sys::fd::send(&self.0, &bytes, &[fd]),
            // A plain write: by now there may be a filter that allows little else.
            None => rustix::io::write(&self.0, &bytes).map(drop).map_err(Into::into),
        };
    }

    /// Tells the parent that this process cannot go on.
    pub fn fail(&self, error: &Error) {
        self.tell(&Note::Failed(Failure::from(error)), None);
    }

    /// Waits for the parent's go.
    ///
    /// # Errors
    /// `interrupted` when the parent is gone.
    pub fn wait(&self) -> Result<()> {
        match sys::fd::receive(&self.0, 8) {
            Ok((bytes, _)) if !bytes.is_empty() => Ok(()),
            _ => Err(Error::interrupted()),
        }
    }

    /// True while the parent, the only one at the other end, is there.
    pub fn is_heard(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Moves descriptors out of the way of standard input, output and error, which must all be open before anything else
/// is opened.
///
/// # Errors
/// `os`.
pub(super) fn lift<'a>(list: impl Iterator<Item = &'a mut OwnedFd>) -> Result<()> {
    for fd in list.filter(|fd| fd.as_raw_fd() < 3) {
        let higher = rustix::io::fcntl_dupfd_cloexec(&*fd, 3).os(|| "move a descriptor")?;
        // The low one stays open, to be replaced by a standard stream.
        std::mem::forget(std::mem::replace(fd, higher));
    }
    loop {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
        let null = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).os(|| "open /dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        std::mem::forget(null);
    }
}
