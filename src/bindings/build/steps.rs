//! Steps that run a program.

use std::io::IsTerminal;

use mlua::Value;

use super::super::Options;
use super::super::api::{Function, Param, Type, option};
use super::super::call::{Call, Outcome};
use super::super::container::options::{limits, own_input, read_limits};
use super::super::container::{command, network, ulimits};
use super::mounts;
use super::{STATE, manner, manner_options, state, this, with_state};
use crate::engine::build::StepOptions;
use crate::engine::container::options::{Command, Input};
use crate::engine::error::{Error, Kind, Result};
use crate::progress;
use crate::runtime::Context;

/// The limits of containers that steps have, too.
const LIMITS: [&str; 9] = [
    "memory",
    "memory_swap",
    "cpus",
    "cpu_shares",
    "cpu_quota",
    "cpu_period",
    "cpuset_cpus",
    "cpuset_mems",
    "pids_limit",
];

/// The rows of these limits.
pub fn limit_options() -> Vec<Param> {
    limits().into_iter().filter(|row| LIMITS.contains(&row.name)).collect()
}

fn step_options() -> Vec<Param> {
    let mut rows = vec![
        option("env", Type::Map, "Variables for this step alone; false removes one."),
        option("hidden_env", Type::Map, "The same, counting neither for the cache nor the history: for proxies."),
        option("workdir", Type::String, "Working folder for this step alone."),
        option("user", Type::String, "`USER[:GROUP]` for this step alone."),
        option("network", Type::OneOf(&["default", "none", "host"]), "`host` (default) or `none`."),
    ];
    rows.extend(mounts::rows());
    rows.extend(limit_options());
    rows.extend([
        option("ulimits", Type::List(&Type::String), "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
        option("shm_size", Type::Size, "Size of /dev/shm. Default 64m."),
        option("add_hosts", Type::Map, "Names for its /etc/hosts and their addresses; or a list of `NAME:ADDRESS`."),
        option("privileged", Type::Boolean, "Every capability, no system call filter, nothing hidden. Default false."),
        option("security", Type::OneOf(&["sandbox", "insecure"]), "`insecure` is `privileged`."),
        option("timeout", Type::Duration, "Kill it after this long."),
    ]);
    rows
}

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![run_row(), out_row(), shell_row()]
}

const RUN_ERRORS: &[&str] = &["exit", "not_found", "timeout", "interrupted", "invalid_argument", "integrity"];

fn run_row() -> Function {
    Function::new("run", "Runs a program; what it changes is in the new state.", |call| {
        let (state_, command, options) = (this(call)?, step_command(call)?, read_step(call)?);
        call.work(move |at: &Context| state_.run(&at.engine()?, &command, &options).map_err(with_state), state)
    })
    .details(
        "Cached by parent, command, options and the files of bind mounts; not by what caches hold, what secrets say, \
         nor by limits. An error carries `exit_code`, `stderr` (the last output) and `state` (with what the program had \
         written: read, list, run, `shell` work there; it is kept only as long as it is used).",
    )
    .param("cmd", Type::Command, "A line for the image's shell, or an argument vector.")
    .options(step_options())
    .options(manner_options())
    .returns(STATE, "The new state.")
    .errors(RUN_ERRORS)
    .example("s = s:run(\"apt-get install -y gcc\", {mounts={\"type=cache,target=/var/cache/apt\"}})")
}

fn out_row() -> Function {
    Function::new("out", "Runs a program for its output; what it changes is forgotten.", |call| {
        let (state_, command, options) = (this(call)?, step_command(call)?, read_step(call)?);
        let run = move |at: &Context| state_.out(&at.engine()?, &command, &options).map_err(with_state);
        call.work(run, |lua, output| lua.create_string(output.strip_suffix(b"\n").unwrap_or(&output)))
    })
    .details("The output is cached like any step.")
    .param("cmd", Type::Command, "A line for the image's shell, or an argument vector.")
    .options(step_options())
    .options(manner_options())
    .returns(Type::String, "Its standard output without the last line end.")
    .errors(RUN_ERRORS)
    .example("if s:out \"gcc -dumpversion\" >= \"12\" then s = s:run \"make fast\" end")
}

fn shell_row() -> Function {
    Function::new("shell", "Opens a shell in the state; what is changed there is forgotten.", shell)
        .details("With a terminal where there is one; without one it needs a `command`.")
        .option("command", Type::Command, "Run this instead of a shell.")
        .option("input", Type::String, "What it reads on standard input, instead of the terminal.")
        .options(step_options())
        .returns(Type::Integer, "Its exit code.")
        .errors(&["not_found", "unsupported", "timeout", "interrupted"])
        .example("local ok, err = pcall(s.run, s, \"make\") if err.state then err.state:shell() end")
        .flushes()
}

fn shell(call: &Call) -> Result<Outcome> {
    let (state_, options, opts) = (this(call)?, read_step(call)?, call.options());
    let wanted = command(&opts.value("command")).map_err(|e| call.named(e))?;
    let bytes = opts.bytes("input")?;
    let tty = bytes.is_none() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if wanted.is_none() && bytes.is_none() && !tty {
        let error = Error::new(Kind::Unsupported, "State:shell needs a terminal");
        return Err(error.with_hint("without one, say what to run: s:shell{command=\"...\"}"));
    }
    let input = match bytes {
        Some(bytes) => Input::Bytes(bytes),
        None if tty => own_input()?,
        None => Input::Nothing,
    };
    let run = move |at: &Context| -> Result<i32> {
        let engine = at.engine()?;
        let command = wanted.map_or_else(|| state_.usual_shell(&engine), Ok)?;
        state_.shell(&engine, &command, &options, (input, tty), &mut progress::pass)
    };
    call.work(run, |_, code| Ok(code))
}

fn step_command(call: &Call) -> Result<Command> {
    command(&call.arg(0))
        .map_err(|e| call.named(e))?
        .ok_or_else(|| Error::invalid(format!("{}: argument 1 is missing", call.name())))
}

fn read_step(call: &Call) -> Result<StepOptions> {
    let opts = &call.options();
    let network = if opts.string("network")?.as_deref() == Some("default") { None } else { network(opts)? };
    Ok(StepOptions {
        env: opts.changes("env")?,
        hidden_env: opts.changes("hidden_env")?,
        workdir: opts.string("workdir")?,
        user: opts.string("user")?,
        network,
        ulimits: ulimits(opts)?,
        limits: read_limits(opts)?,
        shm_bytes: opts.size("shm_size")?,
        hosts: hosts(opts)?,
        privileged: opts.boolean("privileged") == Some(true) || opts.string("security")?.as_deref() == Some("insecure"),
        mounts: mounts::mounts(opts).map_err(|e| call.named(e))?,
        secrets: mounts::secrets(opts).map_err(|e| call.named(e))?,
        ssh: mounts::agents(opts).map_err(|e| call.named(e))?,
        timeout: opts.duration("timeout")?,
        manner: manner(opts)?,
    })
}

/// Names and addresses: a table, or a list in a Dockerfile builder's form `NAME:ADDRESS` or `NAME=ADDRESS`.
fn hosts(opts: &Options) -> Result<Vec<(String, String)>> {
    let Value::Table(table) = opts.value("add_hosts") else { return Ok(Vec::new()) };
    if table.raw_len() == 0 {
        return opts.map("add_hosts");
    }
    let mut list = Vec::new();
    for line in opts.strings("add_hosts")? {
        let bad = || Error::invalid(format!("invalid host '{line}': expected NAME:ADDRESS"));
        let (name, address) = line.split_once(['=', ':']).ok_or_else(bad)?;
        list.push((name.to_string(), address.trim_start_matches('[').trim_end_matches(']').to_string()));
    }
    Ok(list)
}
