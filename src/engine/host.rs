//! Programs of the host: runs one, waits for it, and takes it down when the operation is cancelled.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::cancel::Cancel;
use super::error::{Error, ExitDetail, Kind, OsContext, Result};

/// How to run a program.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables set besides the inherited ones.
    pub env: Vec<(String, String)>,
    /// Inherited variables that are not.
    pub unset: Vec<String>,
    /// Working folder.
    pub cwd: Option<PathBuf>,
    /// What the program reads; nothing is inherited then.
    pub input: Option<Vec<u8>>,
    /// Keep the output instead of passing it through.
    pub capture: bool,
    /// A status other than 0 is an error.
    pub check: bool,
    /// Stop it after this long.
    pub timeout: Option<Duration>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    /// As a shell reports it: 128+n for signal n.
    pub exit_code: i32,
    /// Captured output.
    pub stdout: Vec<u8>,
    /// Captured error output.
    pub stderr: Vec<u8>,
}

/// A program that is asked to end has this long until it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How much error output an error carries.
const TAIL: usize = 4096;

/// Runs a program and waits for it.
///
/// # Errors
/// `not_found` or `permission` when it cannot be started, `exit` when `check` is set and it fails, `timeout`,
/// `interrupted`. After an error the program and what it started in its process group are gone.
pub fn run(options: &RunOptions, cancel: &Cancel) -> Result<RunResult> {
    cancel.check()?;
    let program = options.argv.first().ok_or_else(|| Error::invalid("argument vector is empty"))?;
    let own_group = options.capture || options.input.is_some() || !std::io::stdin().is_terminal();
    let mut child = command(program, options, own_group).spawn().os(|| format!("cannot run '{program}'"))?;
    let input = options.input.clone().zip(child.stdin.take());
    // A program may end without reading its input: the broken pipe is its business.
    let writer = input.map(|(bytes, mut pipe)| std::thread::spawn(move || drop(pipe.write_all(&bytes))));
    let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let waited = wait(&mut child, options.timeout, cancel, own_group);
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    let status = match waited? {
        Some(status) => status,
        None => {
            let limit = options.timeout.unwrap_or_default();
            return Err(Error::new(Kind::Timeout, format!("'{program}' did not end within {limit:?}")));
        }
    };
    let result = RunResult { exit_code: exit_code(status), stdout, stderr };
    if options.check && result.exit_code != 0 { Err(failure(options, &result)) } else { Ok(result) }
}

fn command(program: &str, options: &RunOptions, own_group: bool) -> Command {
    let mut command = Command::new(program);
    command.args(&options.argv[1..]).envs(options.env.iter().map(|(name, value)| (name, value)));
    for name in &options.unset {
        command.env_remove(name);
    }
    if let Some(cwd) = &options.cwd {
        command.current_dir(cwd);
    }
    if options.input.is_some() {
        command.stdin(Stdio::piped());
    } else if options.capture {
        command.stdin(Stdio::null());
    }
    if options.capture {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    if own_group {
        // So that all it starts can be stopped with it. With the terminal as input it stays in the foreground
        // group: there the terminal sends Ctrl-C to all of them.
        command.process_group(0);
    }
    command
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What arrived before a read error is still worth having.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn joined(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

/// Waits for the end: `None` when the time limit passed.
fn wait(child: &mut Child, limit: Option<Duration>, cancel: &Cancel, group: bool) -> Result<Option<ExitStatus>> {
    let ended = ends(child, limit, Some(cancel))?;
    if ended {
        return child.wait().os(|| "wait for a program").map(Some);
    }
    stop(child, Signal::TERM, group);
    if !ends(child, Some(GRACE), None)? {
        stop(child, Signal::KILL, group);
    }
    child.wait().os(|| "wait for a program")?;
    // Whatever of its group ignored the request goes too: nothing may outlive a cancelled call.
    stop_group(child, Signal::KILL, group);
    cancel.check().map(|()| None)
}

/// True when the child ended; false when time passed or `cancel` was cancelled before.
fn ends(child: &Child, limit: Option<Duration>, cancel: Option<&Cancel>) -> Result<bool> {
    let pidfd = pidfd_open(pid(child), PidfdFlags::empty()).os(|| "pidfd_open")?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        fds.extend(cancel.map(|cancel| PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result.os(|| "poll")?,
        };
        if !fds[0].revents().is_empty() {
            return Ok(true);
        }
        if cancel.is_some_and(Cancel::is_cancelled) || left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn stop(child: &mut Child, signal: Signal, group: bool) {
    if group {
        stop_group(child, signal, group);
    } else {
        // It can only have ended already.
        let _ = rustix::process::kill_process(pid(child), signal);
    }
}

fn stop_group(child: &Child, signal: Signal, group: bool) {
    if group {
        // ESRCH: nobody of the group is left.
        let _ = kill_process_group(pid(child), signal);
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

fn failure(options: &RunOptions, result: &RunResult) -> Error {
    let from = result.stderr.len().saturating_sub(TAIL);
    let stderr = String::from_utf8_lossy(&result.stderr[from..]).into_owned();
    let shown = match options.argv.as_slice() {
        [_, flag, line] if flag == "-c" => line.clone(),
        argv => argv.join(" "),
    };
    let error = Error::new(Kind::Exit, format!("command failed with status {}: {shown}", result.exit_code));
    let error = match stderr.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => error.caused_by(anyhow::anyhow!("{}", line.trim())),
        None => error,
    };
    error.with_exit(ExitDetail { code: result.exit_code, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> RunOptions {
        let argv = ["/bin/sh", "-c", line].map(String::from).to_vec();
        RunOptions { argv, capture: true, check: true, ..RunOptions::default() }
    }

    #[test]
    fn output_and_status() {
        let result = run(&shell("echo out; echo err >&2"), &Cancel::new().unwrap()).unwrap();
        assert_eq!(result, RunResult { exit_code: 0, stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
        let error = run(&shell("echo why >&2; exit 3"), &Cancel::new().unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.exit().map(|e| e.code)), (Kind::Exit, Some(3)));
        assert_eq!(error.causes(), ["why"]);
        let error = run(&shell("kill -9 $$"), &Cancel::new().unwrap()).unwrap_err();
        assert_eq!(error.exit().map(|e| e.code), Some(137));
    }

    #[test]
    fn input_is_passed() {
        let options = RunOptions { input: Some(b"abc".to_vec()), ..shell("cat") };
        assert_eq!(run(&options, &Cancel::new().unwrap()).unwrap().stdout, b"abc");
    }

    #[test]
    fn a_time_limit_and_a_cancelled_token_take_everything_down() {
        let options = RunOptions { timeout: Some(Duration::from_millis(20)), ..shell("sleep 60; true") };
        assert_eq!(run(&options, &Cancel::new().unwrap()).unwrap_err().kind(), Kind::Timeout);
        let cancel = Cancel::new().unwrap();
        let copy = cancel.clone();
        let waiter = std::thread::spawn(move || run(&shell("sleep 60; true"), &copy));
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
    }
}
