//! Steps that run a program.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use super::super::Engine;
use super::super::container::options::{Command, Network, Options, Ulimit};
use super::super::container::run::Base;
use super::super::container::spec;
use super::super::error::{Error, ExitDetail, Kind, OsContext, Result};
use super::super::progress::Task;
use super::super::store::{Store, Workspace};
use super::State;
use super::cache::{Made, Manner, Operation};

/// How much of a failed step's output its error carries, in bytes.
const TAIL_BYTES: usize = 16 << 10;
/// The most output [`State::out`] keeps, in bytes.
const OUTPUT_BYTES: usize = 64 << 20;
/// The host name of build steps: the same everywhere, so that it cannot make two builds differ.
const HOST_NAME: &str = "moonshell";

/// What can be asked of a step.
#[derive(Debug, Clone, Default)]
pub struct StepOptions {
    /// Variables for this step alone.
    pub env: Vec<(String, Option<String>)>,
    /// Working folder for this step alone.
    pub workdir: Option<String>,
    /// `USER[:GROUP]` for this step alone.
    pub user: Option<String>,
    /// The network; the host's unless said otherwise, as packages must come from somewhere.
    pub network: Option<Network>,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
    /// How it is shown and kept.
    pub manner: Manner,
}

/// What makes a run step the one it is, besides its parent.
#[derive(Serialize)]
struct RunInputs<'a> {
    argv: &'a [String],
    env: &'a [(String, Option<String>)],
    workdir: Option<&'a str>,
    user: Option<&'a str>,
    host_network: bool,
    ulimits: Vec<(&'a str, u64, u64)>,
}

impl State {
    /// Runs a program; the state with what it changed. A result in the cache is taken from there.
    ///
    /// # Errors
    /// `exit` with the code and the last output when it fails; as `Engine::run_once` when it cannot be run. The cache
    /// is then as it was.
    pub fn run(&self, engine: &Engine, command: &Command, options: &StepOptions) -> Result<State> {
        let argv = self.argv(command);
        let operation = self.operation("run", "RUN", command, &argv, options)?;
        self.take(engine, operation, |task| Ok(self.execute(engine, &argv, options, task, None)?.0))
    }

    /// Runs a program for its standard output; what it changes is forgotten. The output is cached like any step.
    ///
    /// # Errors
    /// As [`State::run`]; `invalid_argument` for more than 64 MiB of output.
    pub fn out(&self, engine: &Engine, command: &Command, options: &StepOptions) -> Result<Vec<u8>> {
        let argv = self.argv(command);
        let operation = self.operation("out", "OUT", command, &argv, options)?;
        let key = self.key_after(&operation);
        let done = self.cached(engine, &key, &operation, true, |task| {
            let mut output = Vec::new();
            self.execute(engine, &argv, options, task, Some(&mut output))?;
            Ok((None, Some(output)))
        })?;
        Ok(done.output.unwrap_or_default())
    }

    fn operation<'a>(
        &self,
        kind: &'static str,
        word: &str,
        command: &Command,
        argv: &[String],
        options: &'a StepOptions,
    ) -> Result<Operation<'a>> {
        let step = format!("{word} {}", command.display());
        let operation = Operation::new(kind, &self.run_inputs(argv, options), step, &options.manner)?;
        Ok(Operation { history: format!("{word} {}", argv.join(" ")), ..operation })
    }

    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Line(line) => spec::shell(&self.0.config.config).into_iter().chain([line.clone()]).collect(),
            Command::Argv(argv) => argv.clone(),
        }
    }

    fn run_inputs<'a>(&self, argv: &'a [String], options: &'a StepOptions) -> RunInputs<'a> {
        RunInputs {
            argv,
            env: &options.env,
            workdir: options.workdir.as_deref(),
            user: options.user.as_deref(),
            host_network: options.network.as_ref().is_none_or(|network| *network == Network::Host),
            ulimits: options.ulimits.iter().map(|limit| (limit.name.as_str(), limit.soft, limit.hard)).collect(),
        }
    }

    /// Runs the program and returns the work area whose `fs/` is the new layer, if there is one.
    fn execute(
        &self,
        engine: &Engine,
        argv: &[String],
        options: &StepOptions,
        task: &Task,
        mut output: Option<&mut Vec<u8>>,
    ) -> Result<Made> {
        let lowers = self.ready_lowers(engine)?;
        let area = engine.store().workspace()?;
        let mut defaults = self.0.config.config.clone();
        // A step's vector is complete: neither entry point nor command belong to it.
        (defaults.entrypoint, defaults.cmd) = (None, None);
        let all = Options {
            env: options.env.clone(),
            workdir: options.workdir.clone(),
            user: options.user.clone(),
            network: options.network.clone().unwrap_or(Network::Host),
            ulimits: options.ulimits.clone(),
            timeout: options.timeout,
            hostname: Some(HOST_NAME.into()),
            ..Options::default()
        };
        let mut tail = Vec::new();
        let base = Base { lowers: &lowers, config: &defaults };
        let command = Command::Argv(argv.to_vec());
        let ending = engine.run_in(&area, base, Some(&command), &all, &mut |stream, bytes| {
            task.output(bytes);
            keep_tail(&mut tail, bytes);
            if let Some(output) = &mut output
                && stream == super::super::container::streams::Stream::Out
            {
                output.extend_from_slice(bytes);
                if output.len() > OUTPUT_BYTES {
                    return Err(Error::invalid(format!("the step printed more than {OUTPUT_BYTES} bytes")));
                }
            }
            Ok(())
        })?;
        if ending.code != 0 {
            let line = if let [_, _, line] = argv { line.clone() } else { argv.join(" ") };
            let stderr = String::from_utf8_lossy(&tail).into_owned();
            return Err(Error::new(Kind::Exit, format!("command {ending}: {line}"))
                .with_exit(ExitDetail { code: ending.code, stderr }));
        }
        if output.is_some() { Ok((None, None)) } else { Ok((take_upper(engine.store(), &area)?, None)) }
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
    let empty = fs::read_dir(&upper).os(|| format!("list {}", upper.display()))?.next().is_none();
    if empty {
        return Ok(None);
    }
    let layer = store.workspace()?;
    fs::rename(&upper, layer.join("fs")).os(|| "keep a step's layer")?;
    Ok(Some(layer))
}
