//! A state folder with an image, and the program at work on it.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::census::Census;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the image `bb:1`: busybox, root and ann.
const IMAGE: &str = r#"
    local s = build.from_host{"/bin/busybox"}
    s = s:run{"/bin/busybox", "sh", "-c", "cd /bin && busybox --install -s . && mkdir -p /etc /tmp && echo root:x:0:0::/root:/bin/sh > /etc/passwd"}
    s:commit("bb:1")
"#;

/// A state folder; at its end all its containers are removed, and nothing of them may be left on the host.
pub struct Stand {
    /// A folder of its own.
    pub dir: tempfile::TempDir,
    root: PathBuf,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// A run of the program.
pub struct Run {
    child: Child,
    pidfd: OwnedFd,
    dir: tempfile::TempDir,
}

impl Stand {
    /// A fresh one.
    pub fn new() -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        Stand::at(dir, root)
    }

    /// One on a file system of its own.
    pub fn at(dir: tempfile::TempDir, root: PathBuf) -> Stand {
        let stand = Stand { dir, root };
        stand.ok(IMAGE);
        stand
    }

    /// The state folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The program with a piece of Lua to run.
    pub fn command(&self, code: &str) -> Command {
        self.program(&["-e", code])
    }

    /// The program with these words.
    pub fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.dir.path());
        command.args(["--progress", "none", "--root"]).arg(&self.root).args(words);
        command
    }

    /// Starts a piece of Lua.
    pub fn start(&self, code: &str) -> Run {
        Run::start(self.command(code).stdin(Stdio::null()))
    }

    /// Runs a piece of Lua to its end.
    pub fn run(&self, code: &str) -> Ended {
        self.start(code).end()
    }

    /// Runs a piece of Lua that must succeed, and returns what it printed.
    pub fn ok(&self, code: &str) -> String {
        let ended = self.run(code);
        assert!(ended.status == 0, "status {}: {}", ended.status, ended.err);
        ended.out
    }

    /// What is on the host because of it.
    pub fn census(&self) -> Census {
        Census::take(&self.root)
    }

    /// Fails unless what is on the host is what was there `before`; what is about to end may do so first.
    pub fn check_same(&self, before: &Census) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.census();
            if now == *before {
                return;
            }
            // The census is the only witness of the last steps of processes that nobody waits for.
            assert!(Instant::now() < deadline, "before: {before:#?}\nnow: {now:#?}");
            std::thread::yield_now();
        }
    }

    /// The monitors that are at work on it.
    pub fn monitors(&self) -> Vec<i32> {
        crate::census::users(&self.root)
            .into_iter()
            .filter(|(_, name)| name == "moonshell-mon")
            .map(|(pid, _)| pid)
            .collect()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let swept = self.run("for _, c in ipairs(container.list{all=true}) do c:remove{force=true, volumes=true} end");
        if !std::thread::panicking() {
            assert_eq!(swept.status, 0, "{}", swept.err);
            self.check_same(&Census::default());
        }
    }
}

impl Run {
    /// Starts a command with its output in files.
    pub fn start(command: &mut Command) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let file = |name| File::create(dir.path().join(name)).unwrap();
        let (out, err) = (file("out").into(), file("err").into());
        Run::spawn(command, dir, out, err)
    }

    /// Starts a command with its output elsewhere.
    pub fn start_with(command: &mut Command, out: OwnedFd, err: OwnedFd) -> Run {
        Run::spawn(command, tempfile::tempdir().unwrap(), out, err)
    }

    fn spawn(command: &mut Command, dir: tempfile::TempDir, out: OwnedFd, err: OwnedFd) -> Run {
        let child = command.stdout(out).stderr(err).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        Run { child, pidfd, dir }
    }

    /// What it has printed so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("out")).unwrap_or_default()).into_owned()
    }

    fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("err")).unwrap_or_default()).into_owned()
    }

    /// Waits until it has printed `text`.
    pub fn until_printed(&self, text: &str) {
        until(&format!("'{text}' printed, {}", self.err()), || self.out().contains(text));
    }

    /// Waits so long, or for its end.
    pub fn wait(&self, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&left)) {
                Ok(count) => return count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => panic!("poll: {e}"),
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        assert!(self.wait(PATIENCE), "still running: {}", self.err());
        let status = self.child.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let status = status.code().unwrap_or_else(|| 128 + signal.unwrap());
        Ended { status, out: self.out(), err: self.err() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::CONT);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for something that no descriptor tells.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Lets time pass.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Numbers from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Seeded by the environment or the clock; says by what.
    pub fn new() -> Random {
        let given = std::env::var("MOONSHELL_FAULTS_SEED").ok().map(|text| text.parse().expect("a number"));
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = given.unwrap_or_else(clock);
        println!("MOONSHELL_FAULTS_SEED={seed}");
        Random(seed)
    }

    /// A moment from the start to the end of something that takes so long.
    pub fn moment(&mut self, whole: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        whole.mul_f64((z ^ (z >> 31)) as f64 / u64::MAX as f64)
    }
}
