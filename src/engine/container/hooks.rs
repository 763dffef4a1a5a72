//! Hooks: programs of the host's (or, right before the start, the container's) that run at turns of its life.
//!
//! Each gets the container's state as JSON on standard input. What it prints is kept for the error it may become.
//!
//! Source: OCI runtime specification 1.2, config.md ("POSIX-platform Hooks") and runtime.md ("Lifecycle").

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{ContainerState, Hook, Hooks, Spec, State};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;

/// The most of a hook's output that an error carries, in bytes.
const TAIL_BYTES: u64 = 2 << 10;

/// A turn in a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Namespaces and mounts are there; in the host's namespaces. Older name of the next.
    Prestart,
    /// The same.
    CreateRuntime,
    /// The same, in the container's namespaces, while the host's files are still in sight.
    CreateContainer,
    /// In the container, right before its program.
    StartContainer,
    /// The program runs; in the host's namespaces.
    Poststart,
    /// The container is gone; in the host's namespaces.
    Poststop,
}

impl Turn {
    /// All, with their names in a specification.
    pub const ALL: [(Turn, &'static str); 6] = [
        (Turn::Prestart, "prestart"),
        (Turn::CreateRuntime, "createRuntime"),
        (Turn::CreateContainer, "createContainer"),
        (Turn::StartContainer, "startContainer"),
        (Turn::Poststart, "poststart"),
        (Turn::Poststop, "poststop"),
    ];

    fn name(self) -> &'static str {
        Turn::ALL.iter().find(|(turn, _)| *turn == self).map_or("", |(_, name)| name)
    }

    fn status(self) -> ContainerState {
        match self {
            Turn::Prestart | Turn::CreateRuntime | Turn::CreateContainer => ContainerState::Creating,
            Turn::StartContainer => ContainerState::Created,
            Turn::Poststart => ContainerState::Running,
            Turn::Poststop => ContainerState::Stopped,
        }
    }
}

/// The hooks of one turn.
pub fn of(spec: &Spec, turn: Turn) -> &[Hook] {
    let pick: fn(&Hooks) -> &Option<Vec<Hook>> = match turn {
        #[allow(deprecated)]
        Turn::Prestart => Hooks::prestart,
        Turn::CreateRuntime => Hooks::create_runtime,
        Turn::CreateContainer => Hooks::create_container,
        Turn::StartContainer => Hooks::start_container,
        Turn::Poststart => Hooks::poststart,
        Turn::Poststop => Hooks::poststop,
    };
    spec.hooks().as_ref().and_then(|hooks| pick(hooks).as_deref()).unwrap_or_default()
}

/// Runs the hooks of one turn in their order, up to the first that fails.
///
/// # Errors
/// `exit` for a hook that failed, `timeout`; `not_found`, `os`.
pub fn run(spec: &Spec, turn: Turn, state: &State, pid: Option<i32>) -> Result<()> {
    let hooks = of(spec, turn);
    if hooks.is_empty() {
        return Ok(());
    }
    let mut state = state.clone();
    state.set_status(turn.status()).set_pid(pid);
    let text = serde_json::to_vec(&state).map_err(|e| Error::new(Kind::Internal, format!("container state: {e}")))?;
    for hook in hooks {
        let what = format!("{} hook {}", turn.name(), hook.path().display());
        run_one(hook, &text).map_err(|e| e.context(what))?;
    }
    Ok(())
}

/// Runs all hooks of one turn, also after one that fails; the first failure is returned.
///
/// # Errors
/// As [`run`].
pub fn run_all(spec: &Spec, turn: Turn, state: &State, pid: Option<i32>) -> Result<()> {
    let mut state = state.clone();
    state.set_status(turn.status()).set_pid(pid);
    let text = serde_json::to_vec(&state).map_err(|e| Error::new(Kind::Internal, format!("container state: {e}")))?;
    let mut result = Ok(());
    for hook in of(spec, turn) {
        let what = format!("{} hook {}", turn.name(), hook.path().display());
        result = result.and(run_one(hook, &text).map_err(|e| e.context(what)));
    }
    result
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<()> {
    if !hook.path().is_absolute() {
        return Err(Error::invalid("its path is not absolute"));
    }
    let memory =
        |name: &str, content: &[u8]| sys::fd::memory_file(name, content).map_err(|e| from_io(e, "memory file"));
    let input = memory("state", state)?;
    let mut output = File::from(memory("output", b"")?);
    let copy = || output.try_clone().map(Stdio::from).os(|| "copy a descriptor");
    let mut command = Command::new(hook.path());
    command.env_clear().stdin(Stdio::from(input)).stdout(copy()?).stderr(copy()?);
    if let Some((name, rest)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(rest);
    }
    for variable in hook.env().iter().flatten() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    let mut child = command.spawn().os(|| "start")?;
    let pid = Pid::from_child(&child);
    let ended = wait(pid, hook.timeout());
    if !matches!(ended, Ok(true)) {
        // It is ours and not reaped yet, so the id is still its own.
        let _ = child.kill();
    }
    let status = child.wait().os(|| "wait")?;
    if !ended? {
        let seconds = hook.timeout().unwrap_or(0);
        return Err(Error::new(Kind::Timeout, format!("still running after {seconds} seconds")));
    }
    if status.success() {
        return Ok(());
    }
    let length = output.seek(SeekFrom::End(0)).os(|| "read its output")?;
    output.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).os(|| "read its output")?;
    let mut tail = Vec::new();
    output.read_to_end(&mut tail).os(|| "read its output")?;
    let tail = String::from_utf8_lossy(&tail);
    let tail = tail.trim();
    let tail = if tail.is_empty() { String::new() } else { format!(": {tail}") };
    Err(Error::new(Kind::Exit, format!("{status}{tail}")))
}

/// Waits for the end of a hook; false when its time has run out.
fn wait(pid: Pid, timeout: Option<i64>) -> Result<bool> {
    let limit = match timeout {
        None => None,
        Some(seconds) => {
            let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
            Some(Duration::from_secs(seconds.ok_or_else(|| Error::invalid("its timeout is not positive"))?))
        }
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).os(|| "pidfd_open")?;
    let begin = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(|count| count > 0).os(|| "poll"),
        }
    }
}
