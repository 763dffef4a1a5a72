//! Runs of the program, each with every process that comes of it, however it hides.
//!
//! Each run is the child of a shell that adopts orphans (`PR_SET_CHILD_SUBREAPER`), so all processes of the run are
//! below that shell in the process tree until they end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program at work.
pub struct Run {
    reaper: Child,
    lines: Lines<BufReader<ChildStdout>>,
    main: OwnedFd,
    started: Instant,
    dir: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// As a shell reports it.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Starts the program.
    pub fn start(arguments: &[&str]) -> Run {
        const SCRIPT: &str = r#"(echo $BASHPID; read -r _; exec "$@" </dev/null >out 2>err); echo $?; read -r _"#;
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", SCRIPT, "bash", env!("CARGO_BIN_EXE_moonshell"), "--progress", "none"]).args(arguments);
        // The same content gives the same digest.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("SOURCE_DATE_EPOCH", "1000000000");
        command.current_dir(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let adopt = || Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?);
        // SAFETY: between fork and exec the closure makes system calls only.
        #[allow(unsafe_code)]
        let mut reaper = unsafe { command.pre_exec(adopt) }.spawn().expect("bash is missing: run `make test`");
        let mut lines = BufReader::new(reaper.stdout.take().unwrap()).lines();
        let main = lines.next().unwrap().unwrap().parse().unwrap();
        let main = pidfd_open(Pid::from_raw(main).unwrap(), PidfdFlags::empty()).unwrap();
        reaper.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        Run { reaper, lines, main, started: Instant::now(), dir }
    }

    /// Waits until so long after the start, or for the end of the main process; true if it has ended.
    pub fn until(&self, moment: Duration) -> bool {
        wait(&self.main, moment.saturating_sub(self.started.elapsed()))
    }

    /// Waits until it has printed `text`.
    pub fn until_printed(&self, text: &str) {
        let path = self.dir.path().join("out");
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Asked before the text is read: what has ended by now has printed all it ever will.
            let ended = self.until(Duration::ZERO);
            if fs::read_to_string(&path).unwrap_or_default().contains(text) {
                return;
            }
            assert!(!ended, "ended without printing '{text}': {}", self.said());
            assert!(Instant::now() < deadline, "'{text}' was never printed: {}", self.said());
            std::thread::yield_now();
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("err")).unwrap_or_default()
    }

    /// Sends a signal to the main process alone.
    pub fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = pidfd_send_signal(&self.main, signal);
    }

    /// Every living process of this run.
    pub fn processes(&self) -> Vec<Process> {
        below(self.reaper.id() as i32)
    }

    /// The processes whose name (as the kernel shows it) is `name`.
    pub fn named(&self, name: &str) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.name == name).collect()
    }

    /// Kills the one process that was started as `program`, and waits for its end.
    pub fn kill_program(&self, program: &str) {
        let argument = |one: &Process| fs::read(format!("/proc/{}/cmdline", one.pid)).unwrap_or_default();
        let mut found = self.processes();
        // A monitor is a copy of the spawner, with a name of its own.
        found.retain(|one| argument(one).starts_with(program.as_bytes()) && one.name != "moonshell-mon");
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].signal(Signal::KILL);
        self.wait_for(&found);
    }

    /// Kills all, the oldest first, until none is left.
    pub fn kill_all(&self) {
        let mut left = self.processes();
        while !left.is_empty() {
            left.iter().for_each(|process| process.signal(Signal::KILL));
            self.wait_for(&left);
            left = self.processes();
        }
    }

    fn wait_for(&self, processes: &[Process]) {
        let deadline = Instant::now() + PATIENCE;
        for process in processes {
            let Ok(fd) = pidfd_open(Pid::from_raw(process.pid).unwrap(), PidfdFlags::empty()) else { continue };
            let ended = wait(&fd, deadline.saturating_duration_since(Instant::now()));
            assert!(ended, "left over: {processes:?}, {}", self.said());
        }
    }

    /// Stops all, and waits until every thread has stopped.
    pub fn stop_all(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let running: Vec<Process> = self.processes().into_iter().filter(|process| !process.stopped()).collect();
            if running.is_empty() {
                return;
            }
            running.iter().for_each(|process| process.signal(Signal::STOP));
            assert!(Instant::now() < deadline, "not stopped: {running:?}");
            std::thread::yield_now();
        }
    }

    /// Waits for the end of the main process and of everything that came of it.
    pub fn end(mut self) -> Ended {
        assert!(wait(&self.main, PATIENCE), "still running: {:?}, {}", self.processes(), self.said());
        let status = self.lines.next().unwrap().unwrap().parse().unwrap();
        loop {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            self.wait_for(&left);
        }
        let text = |name| String::from_utf8_lossy(&fs::read(self.dir.path().join(name)).unwrap_or_default()).into();
        Ended { status, out: text("out"), err: text("err") }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // After `end` only the shell is left; a test that failed before leaves more.
        for process in self.processes() {
            process.signal(Signal::CONT);
            process.signal(Signal::KILL);
        }
        let _ = self.reaper.kill();
        let _ = self.reaper.wait();
    }
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: i32,
    pub name: String,
    parent: i32,
    // Neither a zombie nor dead.
    living: bool,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (start, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let name = start.split_once('(').map_or("", |(_, name)| name).into();
        Some(Process { pid, name, parent, living: !matches!(state, "Z" | "X") })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    fn stopped(&self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return true };
        threads.flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
            match state {
                Some("D") => awaits_a_child(&thread.path()),
                state => state.is_none_or(|state| matches!(state, "T" | "t" | "Z" | "X")),
            }
        })
    }
}

/// True for a thread within vfork(2), or posix_spawn(3) by way of clone: it stops when the child has executed a program,
/// which a stopped child does not.
fn awaits_a_child(thread: &Path) -> bool {
    let call = fs::read_to_string(thread.join("syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|word| word.parse().ok());
    #[cfg(target_arch = "x86_64")]
    let spawns = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_vfork];
    #[cfg(not(target_arch = "x86_64"))]
    let spawns = [libc::SYS_clone, libc::SYS_clone3];
    number.is_some_and(|number| spawns.contains(&number))
}

/// The living descendants of a process.
fn below(ancestor: i32) -> Vec<Process> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all: Vec<Process> = ids.filter_map(Process::read).collect();
        // Where a parent ended while we looked, its children have another one now.
        let whole = |one: &Process| one.parent == 0 || all.iter().any(|other| other.pid == one.parent);
        if all.iter().all(whole) {
            return descendants(ancestor, &all);
        }
        assert!(Instant::now() < deadline, "the process tree does not come to rest");
    }
}

fn descendants(ancestor: i32, all: &[Process]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        parents.extend(children.clone().map(|process| process.pid));
        found.extend(children.filter(|process| process.living).cloned());
    }
    found
}

/// Waits for a process to end; false when it has not in that time.
fn wait(process: &OwnedFd, most: Duration) -> bool {
    let deadline = Instant::now() + most;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("poll: {e}"),
        }
    }
}

/// The lines of this process's mount table that name `path`.
pub fn mounts_below(path: &std::path::Path) -> Vec<String> {
    let table = BufReader::new(File::open("/proc/self/mountinfo").unwrap());
    let inside = format!("{}/", path.display());
    table.lines().map(Result::unwrap).filter(|line| line.contains(&inside)).collect()
}
