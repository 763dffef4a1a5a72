//! `exec`: a further process in a container.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxCapabilities, Process, Spec};
use rustix::process::Pid;

use super::super::super::error::{Error, Kind, Result};
use super::super::birth::Child;
use super::super::cgroups::Joining;
use super::super::exec::{self, Exec};
use super::super::wire::Note;
use super::super::{capabilities, user};
use super::console::{self, Stdio};
use super::{Record, Runtime, Status, bundle};

/// How to run a further process.
#[derive(Debug)]
pub struct ExecOptions<'a> {
    /// The socket to which a terminal is sent.
    pub console_socket: Option<&'a Path>,
    /// Nobody waits for it here.
    pub detached: bool,
    /// Also in a paused container, where it begins when that goes on.
    pub ignore_paused: bool,
    /// So many descriptors from 3 up stay open for the program.
    pub preserve_fds: u32,
}

/// What differs from the container's own process.
#[derive(Debug, Default)]
pub struct Override {
    /// The command.
    pub args: Vec<String>,
    /// The working folder.
    pub cwd: Option<PathBuf>,
    /// Variables in addition.
    pub env: Vec<String>,
    /// `UID[:GID]`.
    pub user: Option<String>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Capabilities in addition.
    pub capabilities: Vec<String>,
    /// With a terminal.
    pub terminal: bool,
    /// Never gain privileges; as the container's own process when not said.
    pub no_new_privileges: Option<bool>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// SELinux label.
    pub label: Option<String>,
}

impl Record {
    /// The process that a command line describes: the container's own, with the differences.
    ///
    /// # Errors
    /// `invalid_argument` for an unknown capability or malformed user.
    pub fn process(&self, change: Override) -> Result<Process> {
        let spec = self.spec()?;
        let mut process = spec.process().clone().ok_or_else(|| Error::invalid("the container has no process"))?;
        process.set_args(Some(change.args)).set_terminal(Some(change.terminal)).set_console_size(None);
        if let Some(cwd) = change.cwd {
            process.set_cwd(cwd);
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(change.env);
        process.set_env(Some(env));
        if let Some(text) = &change.user {
            let identity = user::look_up(text, "", "")
                .map_err(|_| Error::invalid(format!("invalid user '{text}': expected UID[:GID]")))?;
            let mut user = process.user().clone();
            user.set_uid(identity.uid).set_gid(identity.gid);
            process.set_user(user);
        }
        if !change.groups.is_empty() {
            let mut user = process.user().clone();
            user.set_additional_gids(Some(change.groups));
            process.set_user(user);
        }
        if !change.capabilities.is_empty() {
            let sets = process.capabilities().clone().unwrap_or_default();
            process.set_capabilities(Some(with(sets, &change.capabilities)?));
        }
        if let Some(value) = change.no_new_privileges {
            process.set_no_new_privileges(Some(value));
        }
        if change.apparmor.is_some() {
            process.set_apparmor_profile(change.apparmor);
        }
        if change.label.is_some() {
            process.set_selinux_label(change.label);
        }
        Ok(process)
    }
}

/// Adds capabilities to what the process has and may get; not to what its children inherit.
fn with(mut sets: LinuxCapabilities, names: &[String]) -> Result<LinuxCapabilities> {
    let more: HashSet<Capability> = capabilities::resolve(false, names, &["ALL".to_string()])?;
    let join = |old: &Option<HashSet<Capability>>| Some(old.iter().flatten().chain(&more).copied().collect());
    let (bounding, effective, permitted) = (join(sets.bounding()), join(sets.effective()), join(sets.permitted()));
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    Ok(sets)
}

impl Runtime {
    /// Reads a process from a file.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for what is none.
    pub fn load_process(&self, path: &Path) -> Result<Process> {
        bundle::load_process(path)
    }

    /// Runs a process in a container; returns it when its program is executed, with its terminal if that stays here.
    ///
    /// # Errors
    /// `invalid_argument` for a container that does not run; with exit code 126 or 127 when it cannot be executed;
    /// `not_found`, `os`.
    pub fn exec(&self, id: &str, process: &Process, options: &ExecOptions<'_>) -> Result<(Child, Option<OwnedFd>)> {
        let record = self.get(id)?;
        match record.status()? {
            Status::Running | Status::Created => {}
            Status::Paused if options.ignore_paused => {}
            Status::Paused => return Err(Error::invalid("cannot exec in a paused container")),
            status => return Err(Error::invalid(format!("cannot exec in a container that is {}", status.name()))),
        }
        bundle::check_process(process)?;
        let spec = record.spec()?;
        let stdio = Stdio::new(process.terminal().unwrap_or(false), options.console_socket, options.detached)?;
        let gone = || Error::invalid("container not running");
        let pidfd = record.pidfd()?.ok_or_else(gone)?;
        let pid = Pid::from_raw(record.pid).ok_or_else(gone)?;
        let filter = bundle::filter(&spec)?;
        let Joining { v1, v2 } = record.cgroup()?.map_or(Ok(Joining::default()), |cgroup| cgroup.join())?;
        let exec = Exec {
            process,
            spec: &spec,
            seccomp: filter.as_ref().map(|filter| filter.bytes.clone()).unwrap_or_default(),
            seccomp_flags: filter.as_ref().map_or(0, |filter| filter.flags),
            stdio: stdio.streams()?,
            cgroup: v1,
            cgroup_v2: v2,
            preserve_fds: options.preserve_fds,
        };
        let mut child = exec::spawn(pidfd.as_fd(), pid, exec)?;
        match self.accompany(&mut child, &record, &spec, &stdio) {
            Ok(master) => Ok((child, master)),
            Err(error) => {
                child.abort();
                Err(error)
            }
        }
    }

    fn accompany(&self, child: &mut Child, record: &Record, spec: &Spec, stdio: &Stdio) -> Result<Option<OwnedFd>> {
        let mut master = None;
        child.go()?;
        while let Some((note, fd)) = child.note()? {
            match note {
                Note::Warning(text) => (self.warn)(&text),
                Note::Terminal => master = stdio.terminal(fd)?,
                Note::Listener => {
                    console::send_listener(spec, &record.state(), child.pid.as_raw_nonzero().get(), fd)?;
                }
                Note::Failed(failure) => return Err(failure.into()),
                Note::Mounted | Note::Ready => {
                    return Err(Error::new(Kind::Internal, "a further process speaks of mounts"));
                }
            }
        }
        Ok(master)
    }
}
