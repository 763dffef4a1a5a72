//! Running a further program in a running container, seen from whoever asks for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use oci_spec::runtime::{Process, User};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::host::RunResult;
use super::super::image::Policy;
use super::client::{Answer, Client};
use super::detach::DetachKeys;
use super::foreground::Foreground;
use super::monitor::read_spec;
use super::options::{Command, Input};
use super::record::{self, Record, Status};
use super::run::memory_file;
use super::streams::{Manners, OutputSink, Streams};
use super::wire::Order;
use super::{capabilities, user};

/// How long after its end a program's children that hold its output are listened to. Docker's daemon takes as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// What can be asked of a program that is run inside a container.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Give it a terminal.
    pub tty: bool,
    /// Standard input.
    pub input: Input,
    /// Variables over the container's; `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Working folder; the container's own when not given.
    pub workdir: Option<String>,
    /// `USER[:GROUP]` of the container; its own when not given.
    pub user: Option<String>,
    /// Every capability, no system call filter.
    pub privileged: bool,
    /// Keys that leave it running.
    pub detach: Option<DetachKeys>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
}

impl Engine {
    /// Runs a program in a running container to its end. `pass` receives output that is not captured.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when the container does not run; `in_use` when it is paused; `exit` with code and
    /// last output when it fails and `check` is set; `not_found` with exit code 127 or another with 126 when it cannot be
    /// executed; `interrupted`, `timeout`: it is killed then.
    pub fn container_exec(
        &self,
        name: &str,
        command: &Command,
        options: &ExecOptions,
        check: bool,
        capture: bool,
        pass: &mut OutputSink<'_>,
    ) -> Result<RunResult> {
        let (record, client) = self.running(name, "run a program in")?;
        let process = self.process_for(&record, command, options)?;
        let streams = self.order_exec(client, &process, options)?;
        let how = Foreground { capture, check, pull: Policy::Never };
        self.follow(&record, streams, Some(&command.display()), how, pass).map(|(result, _)| result)
    }

    /// Starts a program in a running container and leaves it there, without streams. Returns its process id on the host.
    ///
    /// # Errors
    /// As [`Engine::container_exec`].
    pub fn container_exec_detached(&self, name: &str, command: &Command, options: &ExecOptions) -> Result<i32> {
        let (record, client) = self.running(name, "run a program in")?;
        let process = self.process_for(&record, command, options)?;
        let memory = memory_file(&process)?;
        let null = super::monitor::null()?;
        let mut fds = vec![memory.as_fd()];
        if !options.tty {
            fds.extend([null.as_fd(), null.as_fd(), null.as_fd()]);
        }
        client.order(&Order::Exec { privileged: options.privileged }, &fds)?;
        match client.answer(self.cancel(), &|message| self.warn_once(message))? {
            Answer::Started(pid) => Ok(pid),
            // It ended before anybody could look.
            Answer::Ended(_) | Answer::Done => Ok(0),
            Answer::Gone => Err(self.why_gone(&record, false)),
        }
    }

    /// A running container and a connection to its monitor.
    pub(super) fn running(&self, name: &str, what: &str) -> Result<(Record, Client)> {
        let record = self.container(name)?;
        let state = self.container_state(&record.id)?;
        let refuse =
            |status: &str| Error::invalid(format!("cannot {what} container '{}': it is {status}", record.name));
        if state.status == Status::Paused {
            return Err(Error::new(Kind::InUse, refuse("paused").message()).with_hint("unpause it first"));
        }
        match self.connect(&record)? {
            Some(client) if state.status.is_live() => Ok((record, client)),
            _ => Err(refuse(state.status.name())),
        }
    }

    /// The specification's process for the program: the container's own with what was asked.
    fn process_for(&self, record: &Record, command: &Command, options: &ExecOptions) -> Result<Process> {
        let spec = read_spec(&record::folder(self.store().root(), &record.id))?;
        let mut process = spec.process().clone().ok_or_else(|| Error::invalid("the specification has no process"))?;
        let argv = match command {
            // The image's shell stands before a line there, too.
            Command::Line(line) => self.shell_of(record).into_iter().chain([line.clone()]).collect(),
            Command::Argv(argv) => argv.clone(),
        };
        if argv.is_empty() {
            return Err(Error::invalid("no command given"));
        }
        process.set_args(Some(argv)).set_terminal(Some(options.tty)).set_oom_score_adj(None);
        let mut env = process.env().clone().unwrap_or_default();
        if let Some(name) = &options.user {
            let pid = self.container_state(&record.id)?.pid;
            let identity = user::look_up_at(&root_of(pid)?, name)?;
            let mut user = User::default();
            user.set_uid(identity.uid);
            user.set_gid(identity.gid);
            user.set_additional_gids(Some(identity.groups.clone()));
            process.set_user(user);
            change(&mut env, "HOME", Some(&identity.home));
        }
        if options.tty && !env.iter().any(|variable| variable.starts_with("TERM=")) {
            change(&mut env, "TERM", Some("xterm"));
        }
        for (name, value) in &options.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::invalid(format!("invalid name of an environment variable: '{name}'")));
            }
            change(&mut env, name, value.as_deref());
        }
        process.set_env(Some(env));
        if let Some(dir) = options.workdir.as_deref().filter(|dir| !dir.is_empty()) {
            process.set_cwd(std::path::Path::new("/").join(dir));
        }
        if options.privileged {
            process.set_capabilities(Some(super::spec::capability_sets(capabilities::resolve(true, &[], &[])?)?));
            process.set_no_new_privileges(Some(false));
        }
        Ok(process)
    }

    /// What stands before a line: the shell of the container's image.
    fn shell_of(&self, record: &Record) -> Vec<String> {
        let image = record.image_id.as_ref().and_then(|id| self.image_get(&id.to_string()).ok().flatten());
        super::spec::shell(&image.map(|image| image.config.config).unwrap_or_default())
    }

    fn order_exec(&self, client: Client, process: &Process, options: &ExecOptions) -> Result<Streams> {
        let memory = memory_file(process)?;
        let order = Order::Exec { privileged: options.privileged };
        let patience = Some(PATIENCE);
        let manners =
            Manners { detach: options.detach.clone(), timeout: options.timeout, patience, ..Manners::default() };
        if options.tty {
            client.order(&order, &[memory.as_fd()])?;
            return Streams::new(client.into_fd(), options.input.clone(), None).with(manners);
        }
        let pipe = || pipe_with(PipeFlags::CLOEXEC).os(|| "pipe");
        let ((in_read, in_write), (out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?, pipe()?);
        let fds: [BorrowedFd<'_>; 4] = [memory.as_fd(), in_read.as_fd(), out_write.as_fd(), err_write.as_fd()];
        client.order(&order, &fds)?;
        rustix::io::ioctl_fionbio(&in_write, true).os(|| "prepare a pipe")?;
        let ends = [Some(in_write), Some(out_read), Some(err_read)];
        let mut streams = Streams::new(client.into_fd(), options.input.clone(), Some(ends));
        if matches!(options.input, Input::Nothing) {
            streams.close_input();
        }
        streams.with(manners)
    }
}

/// Sets or removes one variable.
fn change(env: &mut Vec<String>, name: &str, value: Option<&str>) {
    let at = env.iter().position(|variable| variable.split('=').next() == Some(name));
    match (at, value) {
        (Some(at), Some(value)) => env[at] = format!("{name}={value}"),
        (Some(at), None) => drop(env.remove(at)),
        (None, Some(value)) => env.push(format!("{name}={value}")),
        (None, None) => {}
    }
}

/// The root folder a process sees, with everything that is mounted there.
///
/// # Errors
/// `not_found` when there is no such process.
pub fn root_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).os(|| format!("open {path}"))
}
