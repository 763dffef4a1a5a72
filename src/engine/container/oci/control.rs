//! What is done to a container that is there: signals, the freezer, limits, its removal.

use std::os::fd::AsFd;

use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys;
use super::{Record, Runtime, Status};

impl Runtime {
    /// Sends a signal to the first process, with `all` to every process of the container.
    ///
    /// # Errors
    /// `invalid_argument` when it does not run; `not_found`, `permission`, `os`.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let record = self.get(id)?;
        let Some(pidfd) = record.pidfd()? else {
            if all && signal == libc::SIGKILL {
                return record.cgroup()?.map_or(Ok(()), |cgroup| cgroup.kill_all());
            }
            return Err(Error::invalid("container not running"));
        };
        // Without a pid namespace of its own the others would live on.
        if signal == libc::SIGKILL && (all || !has_pid_namespace(&record)?) {
            return self.kill_hard(&record);
        }
        if all {
            let cgroup = record.need_cgroup()?;
            for pid in cgroup.processes()? {
                send(pid, signal)?;
            }
            return Ok(());
        }
        match sys::signal::send(&pidfd, signal) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Err(Error::invalid("container not running")),
            other => other.os(|| format!("signal container '{id}'"))?,
        }
        // What is frozen on v1 does not even die.
        if signal == libc::SIGKILL
            && let Some(cgroup) = record.cgroup()?
            && cgroup.is_frozen()?
        {
            cgroup.thaw()?;
        }
        Ok(())
    }

    /// Kills every process and waits for the end of the first.
    pub(super) fn kill_hard(&self, record: &Record) -> Result<()> {
        let pidfd = record.pidfd()?;
        if let Some(pidfd) = &pidfd {
            match pidfd_send_signal(pidfd, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(e) => return Err(e).os(|| format!("kill container '{}'", record.id)),
            }
        }
        if let Some(cgroup) = record.cgroup()? {
            cgroup.kill_all()?;
        }
        let Some(pidfd) = pidfd else { return Ok(()) };
        loop {
            let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(drop).os(|| "wait for the container's end"),
            }
        }
    }

    /// Removes a container that has ended or was never started; with `force` any, and a missing one is no failure.
    ///
    /// # Errors
    /// `in_use` for one that runs; `not_found`, `os`.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let record = match self.get(id) {
            Err(e) if e.kind() == Kind::NotFound && force => return self.forget(id),
            other => other?,
        };
        match record.status()? {
            Status::Stopped => {}
            Status::Created => self.kill_hard(&record)?,
            _ if force => self.kill_hard(&record)?,
            status => {
                let message = format!("cannot delete container '{id}' that is not stopped: {}", status.name());
                return Err(Error::new(Kind::InUse, message));
            }
        }
        self.destroy(&record)
    }

    /// Removes a folder whose creator was killed before it wrote a state.
    fn forget(&self, id: &str) -> Result<()> {
        let folder = self.folder(id)?;
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.os(|| format!("remove {}", folder.display())),
        }
    }

    /// Freezes all processes.
    ///
    /// # Errors
    /// `invalid_argument` when it does not run; `not_found`, `os`.
    pub fn pause(&self, id: &str) -> Result<()> {
        let record = self.get(id)?;
        match record.status()? {
            Status::Running | Status::Created => record.need_cgroup()?.freeze(),
            status => Err(Error::invalid(format!("container not running: it is {}", status.name()))),
        }
    }

    /// Lets frozen processes run on.
    ///
    /// # Errors
    /// `invalid_argument` when it is not paused; `not_found`, `os`.
    pub fn resume(&self, id: &str) -> Result<()> {
        let record = self.get(id)?;
        let cgroup = record.need_cgroup()?;
        match record.status()? {
            Status::Stopped => Err(Error::invalid("container not running")),
            _ if !cgroup.is_frozen()? => Err(Error::invalid("container not paused")),
            _ => cgroup.thaw(),
        }
    }

    /// Changes limits of a container that lives.
    ///
    /// # Errors
    /// `invalid_argument`, `unsupported`; `not_found`, `os`. Then the limits are as they were.
    pub fn update(&self, id: &str, resources: &LinuxResources) -> Result<()> {
        let record = self.get(id)?;
        match record.status()? {
            Status::Stopped => Err(Error::invalid("container not running")),
            _ => record.need_cgroup()?.apply(resources),
        }
    }

    /// Removes what is left of a container whose first process was a child of this one and has ended.
    ///
    /// # Errors
    /// `os`.
    pub fn remove_ended(&self, record: &Record) -> Result<()> {
        self.destroy(record)
    }
}

fn has_pid_namespace(record: &Record) -> Result<bool> {
    let kind = oci_spec::runtime::LinuxNamespaceType::Pid;
    Ok(super::super::namespaces::has(&record.spec()?, kind))
}

/// A process that ends between the list and the signal needs none.
fn send(pid: Pid, signal: i32) -> Result<()> {
    let what = || format!("signal process {}", pid.as_raw_nonzero());
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        other => other.os(what)?,
    };
    match sys::signal::send(&pidfd, signal) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other.os(what),
    }
}
