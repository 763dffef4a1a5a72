//! Running one program to its end in a container that leaves no record: what build steps are made of.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::store::Workspace;
use super::super::sys;
use super::options::{Command, Input, Options};
use super::spawner::Spawner;
use super::streams::{Ending, Manners, Outcome, OutputSink, Streams};
use super::wire::{Given, Request};
use super::{cgroups, spec};

pub use super::bundle::Base;

/// Mounts that no path leads to.
#[derive(Default)]
pub struct Extra {
    /// How each comes about.
    pub given: Vec<Given>,
    /// What they are made from, in their order; then what is to stay open until the program has ended.
    pub descriptors: Vec<OwnedFd>,
}

impl Engine {
    /// Runs a program in a work area of the caller's, whose `upper/` then holds what the program changed.
    ///
    /// `sink` receives output as it comes. Nothing else remains, whatever happens.
    ///
    /// # Errors
    /// `not_found` with exit code 127 and `permission` (or another) with 126 when the program cannot be executed;
    /// `interrupted`, `timeout`; `invalid_argument` for options that cannot be meant; `os`.
    pub fn run_in(
        &self,
        area: &Workspace,
        base: Base<'_>,
        command: Option<&Command>,
        options: &Options,
        sink: &mut OutputSink<'_>,
    ) -> Result<Ending> {
        self.run_with(area, base, command, options, Extra::default(), sink)
    }

    /// The same with mounts that no path leads to: those of `options` whose source is given.
    ///
    /// # Errors
    /// As [`Engine::run_in`].
    pub fn run_with(
        &self,
        area: &Workspace,
        base: Base<'_>,
        command: Option<&Command>,
        options: &Options,
        extra: Extra,
        sink: &mut OutputSink<'_>,
    ) -> Result<Ending> {
        self.cancel().check()?;
        options.check()?;
        let identity = self.identity(base, options)?;
        let rootfs = self.prepare_rootfs(area.path(), area.path(), base, true)?;
        let id = area.path().file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        let files = self.write_files(area.path(), area.path(), &id, options)?;
        let filter = self.filter(options)?;
        let own_cgroup = !options.limits.is_empty();
        let facts = spec::Facts {
            id: &id,
            identity: &identity,
            root: &rootfs.mount_point,
            files: &files,
            data: &[],
            cgroups: cgroups::host(),
            own_cgroup,
            seccomp: None,
            apparmor: self.apparmor(options)?,
            devices: super::bundle::nodes(options)?,
            executable: &self.config().executable,
        };
        let spec = Box::new(spec::make(options, base.config, command, &facts)?);
        let cgroup = own_cgroup.then(|| format!("/moonshell/{id}"));
        let request = Request::Passing { spec, rootfs, cgroup: cgroup.clone(), given: extra.given };
        let streams = self.start_passing(area, &request, filter.program.as_fd(), options, &extra.descriptors)?;
        // The monitor has them now, and the locks among them end with it.
        drop(extra.descriptors);
        let outcome = streams.pump(self.cancel(), sink, &|message| self.warn_once(message));
        if let Some(path) = &cgroup {
            // Nothing is left of it, unless the monitor was killed.
            cgroups::sweep(path)?;
        }
        match outcome? {
            Outcome::Ended(ending) => Ok(ending),
            Outcome::Gone => Err(Error::new(Kind::Internal, super::streams::MONITOR_KILLED)),
            Outcome::Detached => Err(Error::new(Kind::Internal, "a step was left running")),
        }
    }

    fn start_passing(
        &self,
        area: &Workspace,
        request: &Request,
        filter: BorrowedFd<'_>,
        options: &Options,
        more: &[OwnedFd],
    ) -> Result<Streams> {
        let memory = memory_file(request)?;
        let (control, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).os(|| "socketpair")?;
        let mut fds = vec![memory.as_fd(), theirs.as_fd(), area.lock_fd(), filter];
        let manners = Manners { timeout: options.timeout, ..Manners::default() };
        if options.tty {
            fds.extend(more.iter().map(AsFd::as_fd));
            self.ask_spawner(&fds)?;
            return Streams::new(control, options.input.clone(), None).with(manners);
        }
        let pipe = || pipe_with(PipeFlags::CLOEXEC).os(|| "pipe");
        let ((in_read, in_write), (out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?, pipe()?);
        fds.extend([in_read.as_fd(), out_write.as_fd(), err_write.as_fd()]);
        fds.extend(more.iter().map(AsFd::as_fd));
        self.ask_spawner(&fds)?;
        rustix::io::ioctl_fionbio(&in_write, true).os(|| "prepare a pipe")?;
        let mut streams =
            Streams::new(control, options.input.clone(), Some([Some(in_write), Some(out_read), Some(err_read)]));
        if matches!(options.input, Input::Nothing) {
            streams.close_input();
        }
        streams.with(manners)
    }

    /// Passes a request on, to a new spawner if somebody has killed the old one.
    pub(super) fn ask_spawner(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let spawner = self.spawner()?;
        match spawner.request(fds) {
            Err(error) if matches!(error.errno(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                let mut slot = self.shared.spawner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // Another thread may have found out first.
                if slot.as_ref().is_some_and(|known| std::sync::Arc::ptr_eq(known, &spawner)) {
                    *slot = None;
                }
                drop(slot);
                self.spawner()?.request(fds)
            }
            other => other,
        }
    }

    fn spawner(&self) -> Result<std::sync::Arc<Spawner>> {
        let mut slot = self.shared.spawner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*slot {
            Some(spawner) => Ok(spawner.clone()),
            None => Ok(slot.insert(std::sync::Arc::new(Spawner::start(&self.config().executable)?)).clone()),
        }
    }
}

/// A value as JSON in a memory file.
pub(super) fn memory_file(value: &impl serde::Serialize) -> Result<OwnedFd> {
    let text = serde_json::to_vec(value).map_err(|e| Error::new(Kind::Internal, format!("a request: {e}")))?;
    sys::fd::memory_file("request", &text).map_err(|e| from_io(e, "memory file"))
}
