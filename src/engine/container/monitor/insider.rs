//! Programs that were started inside the running container: by a client, or as health checks.

use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;

use super::super::super::error::Result;
use super::super::birth::Child;
use super::super::cgroups::Cgroup;
use super::super::exec::{self, Exec};
use super::super::wire::{Failure, Note};

/// One of them.
pub struct Insider {
    /// The process.
    pub child: Child,
    /// The connection that asked for it, while that is open.
    pub client: Option<u64>,
    /// Whether its notes are still read: until it has executed its program.
    pub notes_open: bool,
    /// Why it did not start.
    pub failure: Option<Failure>,
    /// Whether it is a health check.
    pub is_check: bool,
}

/// What the container gives to everything inside it.
pub struct Surroundings<'a> {
    /// The container's folder, which holds its specification.
    pub folder: &'a std::path::Path,
    /// Its init.
    pub init: &'a Child,
    /// Its control group.
    pub cgroup: Option<&'a Cgroup>,
    /// Its system call filter; empty for none.
    pub seccomp: &'a [u8],
    /// The filter's flags.
    pub seccomp_flags: u32,
}

impl Insider {
    /// Starts one.
    ///
    /// # Errors
    /// Those of the system; what keeps the program itself from starting comes as a note.
    pub fn start(
        at: &Surroundings<'_>,
        process: &Process,
        stdio: Vec<OwnedFd>,
        client: Option<u64>,
        is_check: bool,
    ) -> Result<Insider> {
        let spec = super::keeper::read_spec(at.folder)?;
        let joining = at.cgroup.map(Cgroup::join).transpose()?.unwrap_or_default();
        let exec = Exec {
            process,
            spec: &spec,
            seccomp: at.seccomp.to_vec(),
            seccomp_flags: at.seccomp_flags,
            stdio,
            cgroup: joining.v1,
            cgroup_v2: joining.v2,
            preserve_fds: 0,
        };
        let mut child = exec::spawn(std::os::fd::AsFd::as_fd(&at.init.pidfd), at.init.pid, exec)?;
        child.go()?;
        Ok(Insider { child, client, notes_open: true, failure: None, is_check })
    }

    /// The next note; at the end of them the program runs (or has died).
    ///
    /// # Errors
    /// `internal` for a note that cannot be read.
    pub fn note(&mut self) -> Result<Option<(Note, Option<OwnedFd>)>> {
        let note = self.child.note()?;
        match &note {
            None => self.notes_open = false,
            Some((Note::Failed(why), _)) => self.failure = Some(why.clone()),
            Some(_) => {}
        }
        Ok(note)
    }
}
