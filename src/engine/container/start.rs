//! Handing a container to a monitor of its own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::claim::Claim;
use super::client::{Answer, Client};
use super::detach::DetachKeys;
use super::monitor::read_spec;
use super::options::{Input, Network, Share};
use super::record::{self, Record};
use super::run::memory_file;
use super::spec::OTHER_CONTAINER;
use super::streams::{Manners, Streams};
use super::wire::Request;

/// How a client takes part in a container it starts or attaches to.
#[derive(Default)]
pub struct Attachment {
    /// Where its input comes from.
    pub input: Input,
    /// Keys that leave it running.
    pub detach: Option<DetachKeys>,
    /// Signals to pass on, as they come out of this descriptor, one byte each.
    pub signals: Option<OwnedFd>,
    /// Kill it after this long.
    pub timeout: Option<std::time::Duration>,
}

impl Engine {
    /// Starts a container and waits until its program runs. `spec` is its specification, when it was just made.
    ///
    /// # Errors
    /// As [`Engine::start_attached`].
    pub(super) fn start_detached(&self, record: &Record, claim: Claim, spec: Option<Spec>) -> Result<i32> {
        let client = Client::new(self.hand_to_monitor(record, claim, false, spec, &[])?);
        match client.answer(self.cancel(), &|message| self.warn_once(message)) {
            Ok(Answer::Started(pid)) => Ok(pid),
            Ok(Answer::Gone) => Err(self.why_gone(record, true)),
            Ok(other) => Err(Error::new(Kind::Internal, format!("unexpected answer of a monitor: {other:?}"))),
            Err(error) => Err(error),
        }
    }

    /// Starts a container whose streams are the caller's. It dies with the caller, unless that detaches.
    ///
    /// # Errors
    /// `not_found` with exit code 127 and `permission` (or another) with 126 when the program cannot be executed: these
    /// come when the streams are read; `not_found` for another container whose namespaces it shares; `os`.
    pub(super) fn start_attached(
        &self,
        record: &Record,
        claim: Claim,
        spec: Option<Spec>,
        attachment: Attachment,
    ) -> Result<Streams> {
        let ends = Ends::new(record.tty, record.interactive)?;
        let control = self.hand_to_monitor(record, claim, true, spec, &ends.theirs())?;
        Ok(ends.streams(control, attachment, record.tty)?.owning())
    }

    fn hand_to_monitor(
        &self,
        record: &Record,
        claim: Claim,
        bound: bool,
        spec: Option<Spec>,
        stdio: &[BorrowedFd<'_>],
    ) -> Result<OwnedFd> {
        // Where others are filled in, what its maker has is out of date.
        let spec = if self.fill_in_others(record)? { None } else { spec };
        // The host may have booted since it was made.
        self.apparmor(&record.options)?;
        let (root, id) = (self.store().root().to_path_buf(), record.id.clone());
        let filter = self.filter(&record.options)?;
        let (attach, seccomp_flags) = (!stdio.is_empty(), filter.flags);
        let memory = memory_file(&Request::Kept { root, id, bound, attach, seccomp_flags, spec: spec.map(Box::new) })?;
        let (control, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).os(|| "socketpair")?;
        let held = claim.run.fd().ok_or_else(|| Error::new(Kind::Internal, "a container's lock is gone"))?;
        // Made here, so that whoever finds the lock taken can connect.
        let folder = record::folder(self.store().root(), &record.id);
        let listener = super::monitor::listen_in(&folder)?;
        let mut fds = vec![memory.as_fd(), theirs.as_fd(), held, filter.program.as_fd(), listener.as_fd()];
        fds.extend_from_slice(stdio);
        if let Err(error) = self.ask_spawner(&fds) {
            // A socket nobody listens on is swept by the next start, too.
            let _ = std::fs::remove_file(folder.join("control"));
            return Err(error);
        }
        claim.hand_over();
        Ok(control)
    }

    /// Puts the process ids of other containers, as they are now, into the specification of one that shares with them;
    /// false for one that does not.
    fn fill_in_others(&self, record: &Record) -> Result<bool> {
        let options = &record.options;
        let shares = [&options.pid, &options.ipc, &options.uts, &options.cgroupns];
        if !shares.iter().any(|share| matches!(share, Share::Container(_)))
            && !matches!(options.network, Network::Container(_))
        {
            return Ok(false);
        }
        let folder = record::folder(self.store().root(), &record.id);
        let mut spec = read_spec(&folder)?;
        let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone()).unwrap_or_default();
        let mut list = Vec::new();
        for mut namespace in namespaces {
            // A run before left the path of that time.
            let kind = namespace.typ();
            if let Some(wanted) = other_of(record, kind) {
                let file = namespace.path().as_ref().and_then(|path| path.file_name()).map(PathBuf::from);
                let pid = self.pid_of(wanted)?;
                namespace.set_path(file.map(|file| PathBuf::from(format!("/proc/{pid}/ns")).join(file)));
            }
            list.push(namespace);
        }
        if let Some(linux) = spec.linux_mut() {
            linux.set_namespaces(Some(list));
        }
        if let Share::Container(id) = &options.ipc {
            self.fill_in_memory(&mut spec, id)?;
        }
        record::write(&folder.join("config.json"), &spec)?;
        Ok(true)
    }

    fn fill_in_memory(&self, spec: &mut Spec, id: &str) -> Result<()> {
        let pid = self.pid_of(id)?;
        for mount in spec.mounts_mut().iter_mut().flatten() {
            let from = mount.source().as_ref().is_some_and(|source| {
                source.ends_with("root/dev/shm")
                    && (source.starts_with("/proc") || source.to_string_lossy().starts_with(OTHER_CONTAINER))
            });
            if from {
                mount.set_source(Some(format!("/proc/{pid}/root/dev/shm").into()));
            }
        }
        Ok(())
    }

    fn pid_of(&self, id: &str) -> Result<i32> {
        let state = record::read_state(&record::folder(self.store().root(), id))?;
        if !state.status.is_live() {
            let short = &id[..id.len().min(12)];
            return Err(Error::invalid(format!(
                "container {short}, whose namespaces are to be shared, is not running"
            )));
        }
        Ok(state.pid)
    }
}

/// Which other container a namespace of this kind comes from.
fn other_of(record: &Record, kind: oci_spec::runtime::LinuxNamespaceType) -> Option<&str> {
    use oci_spec::runtime::LinuxNamespaceType as Kind;
    let options = &record.options;
    let share = match kind {
        Kind::Pid => &options.pid,
        Kind::Ipc => &options.ipc,
        Kind::Uts => &options.uts,
        Kind::Cgroup => &options.cgroupns,
        Kind::Network => match &options.network {
            Network::Container(id) => return Some(id),
            _ => return None,
        },
        _ => return None,
    };
    match share {
        Share::Container(id) => Some(id),
        _ => None,
    }
}

/// The pipes between a client and a monitor: ours, and theirs.
pub(super) struct Ends {
    input: Option<(OwnedFd, OwnedFd)>,
    output: (OwnedFd, OwnedFd),
    error: Option<(OwnedFd, OwnedFd)>,
    // With a terminal nothing comes here, but the order of descriptors stays the same.
    spare: Option<OwnedFd>,
}

impl Ends {
    pub fn new(tty: bool, interactive: bool) -> Result<Ends> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).os(|| "pipe");
        let error = if tty { None } else { Some(pipe()?) };
        let spare = if tty { Some(super::monitor::null()?) } else { None };
        Ok(Ends { input: interactive.then(pipe).transpose()?, output: pipe()?, error, spare })
    }

    pub fn theirs(&self) -> Vec<BorrowedFd<'_>> {
        let error = self.error.iter().map(|(_, write)| write.as_fd()).chain(self.spare.iter().map(AsFd::as_fd));
        self.input.iter().map(|(read, _)| read.as_fd()).chain([self.output.1.as_fd()]).chain(error).collect()
    }

    pub fn streams(self, control: OwnedFd, attachment: Attachment, tty: bool) -> Result<Streams> {
        let Ends { input, output, error, .. } = self;
        let input = input.map(|(_, write)| write);
        if let Some(input) = &input {
            rustix::io::ioctl_fionbio(input, true).os(|| "prepare a pipe")?;
        }
        let ours = [input, Some(output.0), error.map(|(read, _)| read)];
        let mut streams = Streams::new(control, attachment.input.clone(), Some(ours));
        if matches!(attachment.input, Input::Nothing) {
            streams.close_input();
        }
        let manners = Manners {
            remote_terminal: tty,
            detach: attachment.detach,
            signals: attachment.signals,
            timeout: attachment.timeout,
            patience: None,
        };
        streams.with(manners)
    }
}
