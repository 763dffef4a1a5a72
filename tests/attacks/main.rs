//! Attacks of containers on their host, attempted against the real engine and the real binary: one file a subject.
//!
//! Every test has a canary tree beside the container's world; it must be the same afterwards in content, mode and time.
//! Hostile images are made by planting things in an unpacked layer, where no rule of tar readers is in the way.
//!
//! Needs root.

mod accounts;
mod binary;
mod copies;
mod descriptors;
#[path = "../support/engine.rs"]
mod engine_support;
#[path = "../support/hostile.rs"]
#[allow(dead_code)]
mod hostile;
mod links;
mod names;
mod races;
mod rights;
mod shared;
mod steps;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use engine_support::Host;
use moonshell::engine::Engine;
use moonshell::engine::build::State;
use moonshell::engine::container::create::Target;
use moonshell::engine::container::foreground::Foreground;
use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::{Command, Mount, Options};
use moonshell::engine::container::record::Record;
use moonshell::engine::container::start::Attachment;
use moonshell::engine::error::Result;
use moonshell::engine::image::Policy;

/// What a program printed, and how it ended.
#[derive(Debug)]
struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Output {
    fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// An engine, a hostile image, and a canary.
struct Arena {
    host: Host,
    image: State,
    before: Vec<String>,
}

impl Arena {
    /// With an image of busybox, changed by `plant`, which gets the image's root folder and the canary's path.
    fn new(plant: impl FnOnce(&Path, &Path)) -> Arena {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let host = engine_support::host();
        let image = engine_support::busybox(&host);
        Arena::with(host, image, plant)
    }

    fn with(host: Host, image: State, plant: impl FnOnce(&Path, &Path)) -> Arena {
        let canary = host.dir.path().join("canary");
        hostile::make_canary(&canary);
        // Where the image's only layer lies, a container of it knows.
        let probe = create(&host.engine, &image, "true", &Options::default()).unwrap();
        host.engine.container_remove(&probe.id, true, true).unwrap();
        let root = &probe.rootfs.lowers[0];
        for name in run_on_host("busybox", &["--list"]).lines() {
            // Those that the base has already stay.
            let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(name));
        }
        plant(root, &canary);
        let before = hostile::snapshot(&canary);
        Arena { host, image, before }
    }

    fn engine(&self) -> &Engine {
        &self.host.engine
    }

    fn canary(&self) -> PathBuf {
        self.host.dir.path().join("canary")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.host.dir.path().join(name)
    }

    /// The folder of a container.
    fn folder(&self, id: &str) -> PathBuf {
        self.path("state/containers").join(id)
    }

    /// Runs a line to its end in a container that is then gone.
    fn run(&self, line: &str, options: &Options) -> Result<Output> {
        let options = Options { auto_remove: true, ..options.clone() };
        let target = Target::State(self.image.clone());
        let how = Foreground { capture: true, check: false, pull: Policy::Never };
        let command = Command::Line(line.into());
        let finished = self.engine().container_run(
            &target,
            Some(&command),
            &options,
            how,
            Attachment::default(),
            &mut |_, _| Ok(()),
        )?;
        Ok(output(finished.result))
    }

    /// Starts a line in the background.
    fn start(&self, line: &str, options: &Options) -> Result<Running<'_>> {
        let target = Target::State(self.image.clone());
        let command = Command::Line(line.into());
        let record = self.engine().container_start_new(&target, Some(&command), options, Policy::Never)?;
        Ok(Running { arena: self, id: record.id })
    }

    fn create(&self, line: &str, options: &Options) -> Result<Record> {
        create(self.engine(), &self.image, line, options)
    }

    /// What is mounted on the host: below or from this arena, and on the system's own places. Others mount elsewhere
    /// meanwhile.
    fn mounts(&self) -> String {
        let own = self.path("").display().to_string();
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = |line: &&str| {
            let at = line.split(' ').nth(4).unwrap_or_default();
            line.contains(own.trim_end_matches('/'))
                || ["/proc", "/sys", "/dev", "/etc", "/bin", "/usr", "/home"].iter().any(|start| at.starts_with(start))
                || at == "/"
        };
        text.lines().filter(ours).map(|line| format!("{line}\n")).collect()
    }

    /// The canary is as it was.
    fn check(&self) {
        assert_eq!(hostile::snapshot(&self.canary()), self.before, "the canary changed");
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}

fn create(engine: &Engine, image: &State, line: &str, options: &Options) -> Result<Record> {
    let command = Command::Line(line.into());
    engine.container_create(&Target::State(image.clone()), Some(&command), options, Policy::Never)
}

fn output(result: moonshell::engine::host::RunResult) -> Output {
    Output {
        code: result.exit_code,
        out: String::from_utf8_lossy(&result.stdout).into_owned(),
        err: String::from_utf8_lossy(&result.stderr).into_owned(),
    }
}

/// A container in the background, which goes with this value.
struct Running<'a> {
    arena: &'a Arena,
    id: String,
}

impl Running<'_> {
    /// Runs a line inside.
    fn exec(&self, line: &str) -> Output {
        self.exec_with(line, &ExecOptions::default()).unwrap()
    }

    fn exec_with(&self, line: &str, options: &ExecOptions) -> Result<Output> {
        let command = Command::Argv(["/bin/sh", "-c", line].map(String::from).to_vec());
        let engine = self.arena.engine();
        engine.container_exec(&self.id, &command, options, false, true, &mut |_, _| Ok(())).map(output)
    }

    /// Runs a vector inside.
    fn exec_argv(&self, words: &[&str], options: &ExecOptions) -> Result<Output> {
        let command = Command::Argv(words.iter().map(|word| word.to_string()).collect());
        self.arena.engine().container_exec(&self.id, &command, options, false, true, &mut |_, _| Ok(())).map(output)
    }

    /// The same as [`Running::exec`] with a working folder; nothing when that was refused.
    fn exec_in(&self, dir: &str, line: &str) -> Option<Output> {
        let exec = ExecOptions { workdir: Some(dir.into()), ..ExecOptions::default() };
        self.exec_with(line, &exec).ok().filter(|output| !(output.code == 126 && output.err.contains("working folder")))
    }

    /// Its first process on the host.
    fn pid(&self) -> i32 {
        self.arena.engine().container_state(&self.id).unwrap().pid
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let removed = self.arena.engine().container_remove(&self.id, true, true);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// What a program of the host prints.
fn run_on_host(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A bind mount in the words of the command line.
fn bind(source: &Path, rest: &str) -> Mount {
    Mount::parse(&format!("{}:{rest}", source.display())).unwrap()
}

/// What stays in the background until it is killed.
const IDLE: &str = "exec sleep 100000";
