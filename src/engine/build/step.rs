//! Steps that run a program, and the cache in front of them.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::container::options::{Command, Network, Options, Ulimit};
use super::super::container::run::Base;
use super::super::container::spec;
use super::super::digest::Digest;
use super::super::error::{Error, ExitDetail, Kind, OsContext, Result};
use super::super::layer::LayerMeta;
use super::super::progress::Task;
use super::super::store::{Store, Workspace, random_id};
use super::State;

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
    /// Run it even if its result is known.
    pub no_cache: bool,
}

/// What the cache knows of a step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StepRecord {
    /// The layer it made; none if it changed nothing.
    pub layer: Option<String>,
    /// When it ran, RFC 3339.
    pub created: String,
    /// What it was.
    pub step: String,
}

/// A step's result, from the cache or fresh.
pub(super) struct Done {
    pub record: StepRecord,
    pub output: Option<Vec<u8>>,
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
        let key = self.key_after("run", &self.run_inputs(&argv, options))?;
        let step = format!("RUN {}", command.display());
        let record = self.cached(engine, &key, &step, false, options.no_cache, |task| {
            self.execute(engine, &argv, options, task, None)
        })?;
        let history = format!("RUN {}", argv.join(" "));
        Ok(self.after(key, record.record.layer, Some(record.record.created), step, history))
    }

    /// Runs a program for its standard output; what it changes is forgotten. The output is cached like any step.
    ///
    /// # Errors
    /// As [`State::run`]; `invalid_argument` for more than 64 MiB of output.
    pub fn out(&self, engine: &Engine, command: &Command, options: &StepOptions) -> Result<Vec<u8>> {
        let argv = self.argv(command);
        let key = self.key_after("out", &self.run_inputs(&argv, options))?;
        let step = format!("OUT {}", command.display());
        let done = self.cached(engine, &key, &step, true, options.no_cache, |task| {
            let mut output = Vec::new();
            self.execute(engine, &argv, options, task, Some(&mut output))?;
            Ok((None, Some(output)))
        })?;
        Ok(done.output.unwrap_or_default())
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

    /// A step's result: from the cache, or made by `make` while nobody else makes it.
    pub(super) fn cached(
        &self,
        engine: &Engine,
        key: &Digest,
        step: &str,
        with_output: bool,
        no_cache: bool,
        make: impl FnOnce(&Task) -> Result<(Option<Workspace>, Option<Vec<u8>>)>,
    ) -> Result<Done> {
        let store = engine.store();
        let use_cache = engine.config().use_cache && !no_cache;
        let task = Task::start(engine.progress(), "step", step, None);
        if use_cache && let Some(done) = look_up(store, key, with_output)? {
            task.end("CACHED");
            return Ok(done);
        }
        let _mine = store.lock_object(&format!("step-{}", key.hex()), engine.cancel())?;
        // Somebody may have made it while we waited.
        if use_cache && let Some(done) = look_up(store, key, with_output)? {
            task.end("CACHED");
            return Ok(done);
        }
        let _in_use = store.shared(engine.cancel())?;
        let (area, output) = make(&task)?;
        let layer = match area {
            Some(area) => Some(keep_layer(store, area)?),
            None => None,
        };
        let record = StepRecord { layer, created: now(engine), step: step.into() };
        write_record(store, key, &record, output.as_deref())?;
        task.end("done");
        Ok(Done { record, output })
    }

    /// Runs the program and returns the work area whose `fs/` is the new layer, if there is one.
    fn execute(
        &self,
        engine: &Engine,
        argv: &[String],
        options: &StepOptions,
        task: &Task,
        mut output: Option<&mut Vec<u8>>,
    ) -> Result<(Option<Workspace>, Option<Vec<u8>>)> {
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

fn record_path(store: &Store, key: &Digest) -> std::path::PathBuf {
    store.join("cache/steps").join(key.hex())
}

/// A finished step whose layer is still here. A record that cannot be read counts as none: the cache is expendable.
fn look_up(store: &Store, key: &Digest, with_output: bool) -> Result<Option<Done>> {
    let path = record_path(store, key);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).os(|| format!("read {}", path.display())),
    };
    let Ok(record) = serde_json::from_slice::<StepRecord>(&text) else { return Ok(None) };
    if record.layer.as_deref().is_some_and(|layer| !store.has_layer(layer)) {
        return Ok(None);
    }
    let output = if with_output {
        match fs::read(path.with_extension("out")) {
            Ok(output) => Some(output),
            Err(_) => return Ok(None),
        }
    } else {
        None
    };
    Ok(Some(Done { record, output }))
}

fn write_record(store: &Store, key: &Digest, record: &StepRecord, output: Option<&[u8]>) -> Result<()> {
    let path = record_path(store, key);
    if let Some(output) = output {
        store.write_file(&path.with_extension("out"), output)?;
    }
    let text = serde_json::to_vec(record).map_err(|e| Error::new(Kind::Internal, format!("a step's record: {e}")))?;
    store.write_file(&path, &text)
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

/// Installs a layer under a fresh id, durably.
pub(super) fn keep_layer(store: &Store, area: Workspace) -> Result<String> {
    let id = format!("step-{}", &random_id()?[..32]);
    let mut meta = LayerMeta { diff_id: None, bytes: 0, entries: 0 };
    measure(&area.join("fs"), &mut meta)?;
    store.install_layer(&id, area, &meta)?;
    Ok(id)
}

fn measure(dir: &Path, meta: &mut LayerMeta) -> Result<()> {
    for entry in fs::read_dir(dir).os(|| format!("list {}", dir.display()))? {
        let entry = entry.os(|| format!("list {}", dir.display()))?;
        meta.entries += 1;
        let kind = entry.file_type().os(|| format!("stat {}", entry.path().display()))?;
        if kind.is_dir() {
            measure(&entry.path(), meta)?;
        } else if kind.is_file() {
            meta.bytes += entry.metadata().os(|| format!("stat {}", entry.path().display()))?.len();
        }
    }
    Ok(())
}

/// The time for records and configurations: now, or the fixed one builds were asked to use.
pub(in super::super) fn now(engine: &Engine) -> String {
    let time = match engine.config().source_date_epoch {
        Some(epoch) => SystemTime::UNIX_EPOCH + Duration::from_secs(epoch.max(0) as u64),
        None => SystemTime::now(),
    };
    humantime::format_rfc3339_nanos(time).to_string()
}
