//! Steps that run a program.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::super::Engine;
use super::super::container::options::{Command, Input, Limits, Network, Options, Ulimit};
use super::super::container::run::Base;
use super::super::container::spec;
use super::super::container::streams::{OutputSink, Stream};
use super::super::error::{Error, ExitDetail, Kind, OsContext, Result};
use super::super::progress::Task;
use super::super::store::{Store, Workspace};
use super::State;
use super::cache::{Made, Manner, Operation};
use super::mounts::{self, MountKey, Secret, Seen, StepMount};

/// How much of a failed step's output its error carries, in bytes.
const TAIL_BYTES: usize = 16 << 10;
/// The most output [`State::out`] keeps, in bytes.
pub(super) const OUTPUT_BYTES: usize = 64 << 20;
/// The host name of build steps: the same everywhere, so that it cannot make two builds differ.
const HOST_NAME: &str = "moonshell";

/// What can be asked of a step.
#[derive(Debug, Clone, Default)]
pub struct StepOptions {
    /// Variables for this step alone.
    pub env: Vec<(String, Option<String>)>,
    /// Further variables for this step alone, which count for nothing that is kept: not the key, not the history.
    pub hidden_env: Vec<(String, Option<String>)>,
    /// Working folder for this step alone.
    pub workdir: Option<String>,
    /// `USER[:GROUP]` for this step alone.
    pub user: Option<String>,
    /// The network; the host's unless said otherwise, as packages must come from somewhere.
    pub network: Option<Network>,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Limits of the step as a whole; they are no part of its key.
    pub limits: Limits,
    /// Size of `/dev/shm` in bytes; no part of the key.
    pub shm_bytes: Option<u64>,
    /// Lines for `/etc/hosts`: name and address.
    pub hosts: Vec<(String, String)>,
    /// Every capability, no filter, nothing masked.
    pub privileged: bool,
    /// Mounts.
    pub mounts: Vec<StepMount>,
    /// Secrets by id, for the mounts that ask for them; what they say is no part of the key.
    pub secrets: Vec<(String, Secret)>,
    /// Sockets of SSH agents by id, for the mounts that ask for them; no part of the key.
    pub ssh: Vec<(String, std::path::PathBuf)>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
    /// How it is shown and kept.
    pub manner: Manner,
}

/// Why a step has no result, and the state that it left.
pub struct StepFailure {
    error: Error,
    state: Option<State>,
}

impl StepFailure {
    /// The state with what the program had written when it failed; none when it was not the program that failed.
    /// Nothing that stands on it is kept in the cache.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }
}

impl Deref for StepFailure {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.error
    }
}

impl fmt::Debug for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl From<Error> for StepFailure {
    fn from(error: Error) -> StepFailure {
        StepFailure { error, state: None }
    }
}

impl From<StepFailure> for Error {
    fn from(failure: StepFailure) -> Error {
        failure.error
    }
}

/// What makes a run step the one it is, besides its parent.
#[derive(Serialize)]
struct RunInputs<'a> {
    argv: &'a [String],
    env: &'a [(String, Option<String>)],
    workdir: Option<&'a str>,
    user: Option<&'a str>,
    network: &'static str,
    ulimits: Vec<(&'a str, u64, u64)>,
    hosts: &'a [(String, String)],
    privileged: bool,
    mounts: Vec<MountKey<'a>>,
}

/// One run of a program.
struct Run<'a> {
    engine: &'a Engine,
    argv: &'a [String],
    options: &'a StepOptions,
    mounts: &'a [Seen<'a>],
    // Standard input, and whether it has a terminal.
    input: Input,
    tty: bool,
}

impl State {
    /// Runs a program; the state with what it changed. A result in the cache is taken from there.
    ///
    /// # Errors
    /// `exit` with the code and the last output when it fails; as `Engine::run_once` when it cannot be run; `not_found`
    /// for what its mounts lack; `integrity` when files of the host that it mounts change meanwhile. The cache is then
    /// as it was.
    pub fn run(&self, engine: &Engine, command: &Command, options: &StepOptions) -> Result<State, StepFailure> {
        let argv = self.argv(command);
        let mounts = mounts::look(engine, self, options)?;
        let operation = self.operation("run", "RUN", command, &argv, options, &mounts)?;
        let run = Run::new(engine, &argv, options, &mounts);
        let mut left = None;
        let made = self.take(engine, operation, |task| Ok(self.execute(&run, task, None, &mut left)?.0));
        made.map_err(|error| StepFailure { error, state: left })
    }

    /// Runs a program for its standard output; what it changes is forgotten. The output is cached like any step.
    ///
    /// # Errors
    /// As [`State::run`]; `invalid_argument` for more than 64 MiB of output.
    pub fn out(&self, engine: &Engine, command: &Command, options: &StepOptions) -> Result<Vec<u8>, StepFailure> {
        let argv = self.argv(command);
        let mounts = mounts::look(engine, self, options)?;
        let operation = self.operation("out", "OUT", command, &argv, options, &mounts)?;
        let run = Run::new(engine, &argv, options, &mounts);
        let key = self.key_after(&operation);
        let mut left = None;
        let done = self.cached(engine, &key, &operation, true, |task| {
            let mut output = Vec::new();
            self.execute(&run, task, Some(&mut output), &mut left)?;
            Ok((None, Some(output)))
        });
        match done {
            Ok(done) => Ok(done.output.unwrap_or_default()),
            Err(error) => Err(StepFailure { error, state: left }),
        }
    }

    /// Runs a program with the caller's own streams; what it changes is forgotten, and nothing is cached. Returns its
    /// exit code.
    ///
    /// # Errors
    /// As `Engine::run_once`.
    pub fn shell(
        &self,
        engine: &Engine,
        command: &Command,
        options: &StepOptions,
        (input, tty): (Input, bool),
        pass: &mut OutputSink<'_>,
    ) -> Result<i32> {
        let argv = self.argv(command);
        let mounts = mounts::look(engine, self, options)?;
        let run = Run { input, tty, ..Run::new(engine, &argv, options, &mounts) };
        let _in_use = engine.store().shared(engine.cancel())?;
        let area = engine.store().workspace()?;
        Ok(self.launch(&run, &area, pass)?.code)
    }

    /// The program that people work with: that of the state's shell form, else bash where there is one.
    ///
    /// # Errors
    /// `os`.
    pub fn usual_shell(&self, engine: &Engine) -> Result<Command> {
        let own = self.0.config.config.shell.as_ref().and_then(|shell| shell.first());
        let path = match own {
            Some(own) => own.as_str(),
            None if self.exists(engine, "/bin/bash")? => "/bin/bash",
            None => "/bin/sh",
        };
        Ok(Command::Argv(vec![path.into()]))
    }

    fn operation<'a>(
        &self,
        kind: &'static str,
        word: &str,
        command: &Command,
        argv: &[String],
        options: &'a StepOptions,
        mounts: &[Seen<'_>],
    ) -> Result<Operation<'a>> {
        let step = format!("{word} {}", command.display().trim());
        let operation = Operation::new(kind, &run_inputs(argv, options, mounts), step, &options.manner)?;
        let layers = Some(mounts.iter().flat_map(Seen::layers).collect());
        Ok(Operation { history: format!("{word} {}", argv.join(" ")), layers, ..operation })
    }

    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Line(line) => spec::shell(&self.0.config.config).into_iter().chain([line.clone()]).collect(),
            Command::Argv(argv) => argv.clone(),
        }
    }

    /// Runs the program and returns the work area whose `fs/` is the new layer, if there is one. `left` is the state
    /// it failed in.
    fn execute(
        &self,
        run: &Run<'_>,
        task: &Task,
        mut output: Option<&mut Vec<u8>>,
        left: &mut Option<State>,
    ) -> Result<Made> {
        let store = run.engine.store();
        let area = store.workspace()?;
        let mut tail = Vec::new();
        let wants_output = output.is_some();
        let outcome = self.launch(run, &area, &mut |stream, bytes| {
            task.output(stream, bytes);
            keep_tail(&mut tail, bytes);
            if let Some(output) = &mut output
                && stream == Stream::Out
            {
                output.extend_from_slice(bytes);
                if output.len() > OUTPUT_BYTES {
                    return Err(Error::invalid(format!("the step printed more than {OUTPUT_BYTES} bytes")));
                }
            }
            Ok(())
        });
        let outcome = outcome.and_then(|ending| {
            if ending.code == 0 {
                return run.mounts.iter().try_for_each(|mount| mount.check(run.engine));
            }
            let line = if let [_, _, line] = run.argv { first_line(line) } else { first_line(&run.argv.join(" ")) };
            let stderr = String::from_utf8_lossy(&tail).into_owned();
            let error = Error::new(Kind::Exit, format!("command {ending}: {line}"));
            Err(error.with_exit(ExitDetail { code: ending.code, stderr }))
        });
        match outcome {
            Ok(()) if wants_output => Ok((None, None)),
            Ok(()) => {
                super::flatten::unmark(&area.join("upper"), &self.ready_lowers(run.engine)?)?;
                Ok((take_upper(store, &area)?, None))
            }
            Err(error) => {
                // It ran, could not be executed, or took too long; anything else is no failure of the program.
                if error.exit().is_some() || error.kind() == Kind::Timeout {
                    *left = Some(self.left(take_upper(store, &area)?, run.argv)?);
                }
                Err(error)
            }
        }
    }

    /// Runs the program in a work area, whose `upper` folder then holds what it changed.
    fn launch(
        &self,
        run: &Run<'_>,
        area: &Workspace,
        sink: &mut OutputSink<'_>,
    ) -> Result<super::super::container::streams::Ending> {
        let (engine, options) = (run.engine, run.options);
        let mut lowers = self.ready_lowers(engine)?;
        let mut ready = mounts::ready(engine, area, &lowers, options, run.mounts)?;
        lowers.extend(ready.stubs.as_ref().map(|stubs| stubs.join("fs")));
        let mut defaults = self.0.config.config.clone();
        // A step's vector is complete: neither entry point nor command belong to it.
        (defaults.entrypoint, defaults.cmd) = (None, None);
        let all = Options {
            env: options
                .hidden_env
                .iter()
                .cloned()
                .chain(ready.env.drain(..))
                .chain(options.env.iter().cloned())
                .collect(),
            workdir: options.workdir.clone(),
            user: options.user.clone(),
            network: options.network.clone().unwrap_or(Network::Host),
            ulimits: options.ulimits.clone(),
            limits: options.limits.clone(),
            shm_bytes: options.shm_bytes,
            hosts: options.hosts.clone(),
            privileged: options.privileged,
            mounts: std::mem::take(&mut ready.mounts),
            timeout: options.timeout,
            hostname: Some(HOST_NAME.into()),
            tty: run.tty,
            interactive: run.tty,
            input: run.input.clone(),
            ..Options::default()
        };
        let base = Base { lowers: &lowers, config: &defaults };
        let command = Command::Argv(run.argv.to_vec());
        engine.run_with(area, base, Some(&command), &all, std::mem::take(&mut ready.extra), sink)
    }

    /// The state that a failed program left: this one where it had written nothing.
    fn left(&self, layer: Option<Workspace>, argv: &[String]) -> Result<State> {
        match layer {
            None => Ok(self.clone()),
            Some(layer) => self.holding(Arc::new(layer), format!("FAILED {}", argv.join(" "))),
        }
    }
}

impl<'a> Run<'a> {
    fn new(engine: &'a Engine, argv: &'a [String], options: &'a StepOptions, mounts: &'a [Seen<'a>]) -> Run<'a> {
        Run { engine, argv, options, mounts, input: Input::Nothing, tty: false }
    }
}

fn run_inputs<'a>(argv: &'a [String], options: &'a StepOptions, mounts: &'a [Seen<'_>]) -> RunInputs<'a> {
    RunInputs {
        argv,
        env: &options.env,
        workdir: options.workdir.as_deref(),
        user: options.user.as_deref(),
        network: match options.network {
            None | Some(Network::Host) => "host",
            Some(_) => "none",
        },
        ulimits: options.ulimits.iter().map(|limit| (limit.name.as_str(), limit.soft, limit.hard)).collect(),
        hosts: &options.hosts,
        privileged: options.privileged,
        mounts: mounts.iter().map(Seen::key).collect(),
    }
}

/// What a message shows of a script.
fn first_line(text: &str) -> String {
    match text.trim().split_once('\n') {
        None => text.trim().to_string(),
        Some((first, _)) => format!("{} ...", first.trim_end()),
    }
}

/// The last bytes of the output, cut at a line's start.
fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    tail.extend_from_slice(bytes);
    if tail.len() > 2 * TAIL_BYTES {
        let cut = tail.len() - TAIL_BYTES;
        let line = tail[cut..].iter().position(|byte| *byte == b'\n').map_or(cut, |at| cut + at + 1);
        tail.drain(..line);
    }
}

/// Turns the upper folder of a finished container into a layer's work area; `None` when nothing was changed.
fn take_upper(store: &Store, area: &Workspace) -> Result<Option<Workspace>> {
    let upper = area.join("upper");
    let entries = match fs::read_dir(&upper) {
        // It was not started at all.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.os(|| format!("list {}", upper.display()))?,
    };
    if entries.take(1).count() == 0 {
        return Ok(None);
    }
    let layer = store.workspace()?;
    fs::rename(&upper, layer.join("fs")).os(|| "keep a step's layer")?;
    Ok(Some(layer))
}
