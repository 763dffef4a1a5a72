//! `create`: from a bundle to a first process that waits to be started; and `start`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{LinuxNamespaceType, Spec, State};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, mknodat, open, openat, unlinkat};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::birth::{self, Birth, Child, Oci};
use super::super::cgroups::{self, Cgroup, Joining};
use super::super::hooks::{self, Turn};
use super::super::seccomp::Program;
use super::super::wire::{Failure, Note};
use super::super::{mounts, namespaces, rdt};
use super::console::{self, Stdio};
use super::record::{REPORT_PIPE, START_PIPE, started};
use super::{Record, Runtime, Status, bundle};

/// What to make a container from.
#[derive(Debug)]
pub struct Create<'a> {
    /// Its id.
    pub id: &'a str,
    /// The bundle's folder; becomes the current folder of this process.
    pub bundle: &'a Path,
    /// The specification, if it is not the bundle's `config.json`.
    pub config: Option<&'a Path>,
    /// Where the first process's id is written.
    pub pid_file: Option<&'a Path>,
    /// The socket to which a terminal is sent.
    pub console_socket: Option<&'a Path>,
    /// Nobody waits for the container here.
    pub detached: bool,
    /// `linux.cgroupsPath` is in systemd's form.
    pub systemd: bool,
    /// Without a cgroup of its own: no limits, no freezing, no figures.
    pub no_cgroup: bool,
    /// Use chroot(2) instead of pivot_root(2).
    pub no_pivot: bool,
    /// Keep this process's session keyring.
    pub no_new_keyring: bool,
    /// So many descriptors from 3 up stay open for the program.
    pub preserve_fds: u32,
    /// How many of these are sockets that the program is told of (`LISTEN_FDS`).
    pub listen_fds: u32,
}

/// A container that waits to be started.
#[derive(Debug)]
pub struct Created {
    /// What is known of it.
    pub record: Record,
    /// Its first process, a child of this one.
    pub child: Child,
    /// Its terminal, if this process keeps it.
    pub master: Option<OwnedFd>,
}

/// All that was read and checked before anything is made.
struct Plan {
    spec: Spec,
    filter: Option<Program>,
    stdio: Stdio,
    cgroup: Option<String>,
}

impl Runtime {
    /// Makes a container. Nothing of it remains after a failure.
    ///
    /// # Errors
    /// `already_exists` for a taken id; `invalid_argument` for a specification that cannot be meant; `not_found`;
    /// with exit code 126 or 127 for a program that cannot be executed; `exit` for a hook that failed; `os`.
    pub fn create(&self, create: &Create<'_>) -> Result<Created> {
        super::check_id(create.id)?;
        let pid_file = create.pid_file.map(absolute).transpose()?;
        let console = create.console_socket.map(absolute).transpose()?;
        let config = create.config.map(absolute).transpose()?;
        let home = std::fs::canonicalize(create.bundle).os(|| format!("bundle {}", create.bundle.display()))?;
        // Relative paths in the specification are relative to it.
        rustix::process::chdir(&home).os(|| format!("bundle {}", home.display()))?;
        let config = config.unwrap_or_else(|| home.join("config.json"));
        let mut spec = bundle::load_spec(&config)?;
        bundle::check(&spec)?;
        announce_sockets(&mut spec, create.listen_fds);
        let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
        let plan = Plan {
            filter: bundle::filter(&spec)?,
            stdio: Stdio::new(terminal, console.as_deref(), create.detached)?,
            cgroup: match create.no_cgroup {
                true => None,
                false => Some(bundle::cgroup_path(&spec, create.id, create.systemd)?),
            },
            spec,
        };
        let rootfs = bundle::rootfs(&plan.spec)?;
        let folder = self.make_folder(create.id)?;
        let mut record = Record::new(&folder, create.id);
        record.bundle = home;
        record.rootfs = rootfs;
        record.created = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        record.owner = rustix::process::getuid().as_raw();
        record.annotations = plan.spec.annotations().clone().unwrap_or_default();
        match self.build(create, &plan, &mut record, pid_file.as_deref()) {
            Ok((child, master)) => Ok(Created { record, child, master }),
            Err(error) => {
                // The failure counts; what cannot be undone besides is said.
                if let Err(left) = self.destroy(&record) {
                    (self.warn)(&format!("after a failed create: {}", super::line(&left)));
                }
                Err(error)
            }
        }
    }

    fn build(
        &self,
        create: &Create<'_>,
        plan: &Plan,
        record: &mut Record,
        pid_file: Option<&Path>,
    ) -> Result<(Child, Option<OwnedFd>)> {
        let text = serde_json::to_vec(&plan.spec).map_err(|e| Error::new(Kind::Internal, format!("config: {e}")))?;
        super::write_whole(&record.folder().join("config.json"), &text)?;
        // Written down before anything is made that would be left behind if this process were killed.
        record.cgroup = plan.cgroup.clone();
        record.save()?;
        let cgroup = plan.cgroup.as_deref().map(|path| Cgroup::create(path, &bundle::resources(&plan.spec)));
        let cgroup = cgroup.transpose().inspect_err(|_| {
            // Then it is not this container's.
            record.cgroup = None;
        })?;
        let joining = cgroup.map_or(Ok(Joining::default()), |cgroup| cgroup.join())?;
        let state = record.state();
        let (rootfs, clones_root) = match mounts::folder(&record.rootfs) {
            Err(error) if error.kind() == Kind::Permission && has_user_namespace(&plan.spec) => {
                (open_folder(&record.rootfs)?, true)
            }
            other => (other?, false),
        };
        let mut child = birth::spawn(Birth {
            spec: &plan.spec,
            rootfs,
            mount_point: &record.rootfs,
            seccomp: plan.filter.as_ref().map(|filter| filter.bytes.clone()).unwrap_or_default(),
            seccomp_flags: plan.filter.as_ref().map_or(0, |filter| filter.flags),
            stdio: plan.stdio.streams()?,
            cgroup: joining.v1,
            cgroup_v2: joining.v2,
            bound: false,
            preserve_fds: create.preserve_fds + create.listen_fds,
            given: Vec::new(),
            gate: Some(make_pipe(record.folder(), START_PIPE)?),
            oci: Oci {
                no_pivot: create.no_pivot,
                no_new_keyring: create.no_new_keyring,
                report: Some(make_pipe(record.folder(), REPORT_PIPE)?),
                clones_root,
                state: Some(&state),
            },
        })?;
        record.pid = child.pid.as_raw_nonzero().get();
        let brought = self.bring_up(plan, record, &state, &mut child).and_then(|master| {
            if let Some(path) = pid_file {
                super::super::super::files::write(path, record.pid.to_string().as_bytes(), Some(0o644))?;
            }
            Ok(master)
        });
        match brought {
            Ok(master) => Ok((child, master)),
            Err(error) => {
                child.abort();
                Err(error)
            }
        }
    }

    /// Accompanies the first process until it waits at its gate.
    fn bring_up(&self, plan: &Plan, record: &mut Record, state: &State, child: &mut Child) -> Result<Option<OwnedFd>> {
        record.started = started(record.pid).map_or(0, |(ticks, _)| ticks);
        record.rdt = rdt::apply(&plan.spec, &record.id, record.pid)?;
        record.save()?;
        let mut master = None;
        child.go()?;
        loop {
            match child.note()? {
                Some((Note::Warning(text), _)) => (self.warn)(&text),
                Some((Note::Terminal, fd)) => master = plan.stdio.terminal(fd)?,
                Some((Note::Listener, fd)) => console::send_listener(&plan.spec, state, record.pid, fd)?,
                Some((Note::Mounted, _)) => {
                    hooks::run(&plan.spec, Turn::Prestart, state, Some(record.pid))?;
                    hooks::run(&plan.spec, Turn::CreateRuntime, state, Some(record.pid))?;
                    child.go()?;
                }
                Some((Note::Ready, _)) => return Ok(master),
                Some((Note::Failed(failure), _)) => return Err(failure.into()),
                None => return Err(Error::new(Kind::Internal, "the container's first process was killed")),
            }
        }
    }

    /// Lets a created container's program run.
    ///
    /// # Errors
    /// `invalid_argument` for one that is not created; `not_found`; with exit code 126 or 127 when its program cannot
    /// be executed; `exit` for a hook that failed, after which the container is killed.
    pub fn start(&self, id: &str) -> Result<()> {
        let record = self.get(id)?;
        let lock = open_folder_to_lock(record.folder())?;
        let status = record.status()?;
        if status != Status::Created {
            return Err(Error::invalid(format!("cannot start a container that is {}", status.name())));
        }
        open_gate(&lock)?;
        drop(lock);
        let spec = record.spec()?;
        hooks::run(&spec, Turn::Poststart, &record.state(), Some(record.pid)).inspect_err(|_| {
            if let Err(error) = self.kill_hard(&record) {
                (self.warn)(&format!("cannot kill container '{id}': {}", super::line(&error)));
            }
        })
    }

    /// Takes apart what is left of a container whose processes are to end, and runs its last hooks.
    pub(super) fn destroy(&self, record: &Record) -> Result<()> {
        let folder = record.folder();
        let lock = match open_folder_to_lock(folder) {
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            other => other?,
        };
        if rustix::fs::fstat(&lock).os(|| format!("stat {}", folder.display()))?.st_nlink == 0 {
            // Somebody else has done it meanwhile: who runs it in the foreground, or another delete.
            return Ok(());
        }
        let mut result = record.cgroup.as_deref().map_or(Ok(()), cgroups::sweep);
        if let Some(group) = &record.rdt {
            result = result.and(rdt::remove(group));
        }
        if record.pid != 0
            && let Ok(spec) = record.spec()
            && let Err(error) = hooks::run_all(&spec, Turn::Poststop, &record.state(), None)
        {
            // As the specification has it: said, and the removal goes on.
            (self.warn)(&super::line(&error));
        }
        result.and(std::fs::remove_dir_all(folder).os(|| format!("remove {}", folder.display())))
    }
}

fn has_user_namespace(spec: &Spec) -> bool {
    namespaces::has(spec, LinuxNamespaceType::User)
}

/// Paths are meant from where the caller is, not from the bundle.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).os(|| format!("path {}", path.display()))
}

/// systemd's protocol: the program looks for its own id, which is 1 in a pid namespace of its own.
fn announce_sockets(spec: &mut Spec, count: u32) {
    if count == 0 {
        return;
    }
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        env.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_string()]);
        process.set_env(Some(env));
    }
}

/// The folder, locked against others who start or remove the container.
fn open_folder_to_lock(folder: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open(folder, flags, Mode::empty()).os(|| format!("open {}", folder.display()))?;
    rustix::fs::flock(&fd, FlockOperation::LockExclusive).os(|| format!("lock {}", folder.display()))?;
    Ok(fd)
}

fn open_folder(folder: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(folder, flags, Mode::empty()).os(|| format!("open {}", folder.display()))
}

/// Makes a named pipe, open for both directions so that it lives as long as who holds it.
fn make_pipe(folder: &Path, name: &str) -> Result<OwnedFd> {
    let what = || format!("make {}", folder.join(name).display());
    let fd = open_folder(folder)?;
    mknodat(&fd, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).os(what)?;
    openat(&fd, name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).os(what)
}

/// Opens the gate and waits until the program is executed.
fn open_gate(folder: &OwnedFd) -> Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let report = openat(folder, REPORT_PIPE, OFlags::RDONLY | flags, Mode::empty()).os(|| "open the report")?;
    let gate = openat(folder, START_PIPE, OFlags::WRONLY | flags, Mode::empty()).map_err(|errno| match errno {
        // Nobody reads.
        rustix::io::Errno::NXIO => Error::invalid("the container has ended"),
        other => Error::os(other.raw_os_error(), "open the gate"),
    })?;
    rustix::io::write(&gate, b"s").os(|| "open the gate")?;
    for name in [START_PIPE, REPORT_PIPE] {
        unlinkat(folder, name, AtFlags::empty()).os(|| format!("remove {name}"))?;
    }
    drop(gate);
    let mut text = Vec::new();
    loop {
        let mut fds = [PollFd::new(&report, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.os(|| "wait for the program")?,
        };
        let mut buffer = [0; 4096];
        match rustix::io::read(&report, &mut buffer) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(e).os(|| "wait for the program"),
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    let failure: Failure = serde_json::from_slice(&text)
        .map_err(|e| Error::new(Kind::Internal, format!("malformed report of the container: {e}")))?;
    Err(failure.into())
}

/// True where nobody but this process's own descriptors would be given to a program.
///
/// # Errors
/// `invalid_argument` naming the first of `count` descriptors from 3 up that is not open.
pub fn check_preserved(count: u32) -> Result<()> {
    for number in 3..3 + count {
        let path = format!("/proc/self/fd/{number}");
        if let Err(errno) = rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            return match errno {
                rustix::io::Errno::NOENT => {
                    Err(Error::invalid(format!("cannot preserve {count} descriptors: {number} is not open")))
                }
                other => Err(other).os(|| "look at the open descriptors"),
            };
        }
    }
    Ok(())
}
