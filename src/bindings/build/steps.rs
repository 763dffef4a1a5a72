//! Steps that run a program.

use super::super::Options;
use super::super::api::{Function, Param, Type, option};
use super::super::call::Call;
use super::super::container::{command, network, ulimits};
use super::{STATE, manner, manner_options, state, this, with_state};
use crate::engine::build::StepOptions;
use crate::engine::container::options::Command;
use crate::engine::error::{Error, Result};
use crate::runtime::Context;

fn step_options() -> Vec<Param> {
    vec![
        option("env", Type::Map, "Variables for this step alone; false removes one."),
        option("workdir", Type::String, "Working folder for this step alone."),
        option("user", Type::String, "`USER[:GROUP]` for this step alone."),
        option("network", Type::OneOf(&["none", "host"]), "`host` (default) or `none`."),
        option("ulimits", Type::List(&Type::String), "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
        option("timeout", Type::Duration, "Kill it after this long."),
    ]
}

/// The methods.
pub fn rows() -> Vec<Function> {
    const RUN_ERRORS: &[&str] = &["exit", "not_found", "timeout", "interrupted"];
    vec![
        Function::new("run", "Runs a program; what it changes is in the new state.", |call| {
            let (state_, command, options) = (this(call)?, step_command(call)?, read_step(&call.options())?);
            let run = move |at: &Context| {
                let next = state_.run(&at.engine()?, &command, &options);
                next.map_err(|error| with_state(error, &state_))
            };
            call.work(run, state)
        })
        .details("Cached by parent, command and options. An error carries `exit_code`, `stderr` (the last output) and `state` (the one before the step).")
        .param("cmd", Type::Command, "A line for the image's shell, or an argument vector.")
        .options(step_options())
        .options(manner_options())
        .returns(STATE, "The new state.")
        .errors(RUN_ERRORS)
        .example("s = s:run \"apt-get update && apt-get install -y gcc\""),
        Function::new("out", "Runs a program for its output; what it changes is forgotten.", |call| {
            let (state_, command, options) = (this(call)?, step_command(call)?, read_step(&call.options())?);
            let run = move |at: &Context| {
                let output = state_.out(&at.engine()?, &command, &options);
                output.map_err(|error| with_state(error, &state_))
            };
            call.work(run, |lua, output| lua.create_string(output.strip_suffix(b"\n").unwrap_or(&output)))
        })
        .details("The output is cached like any step.")
        .param("cmd", Type::Command, "A line for the image's shell, or an argument vector.")
        .options(step_options())
        .options(manner_options())
        .returns(Type::String, "Its standard output without the last line end.")
        .errors(RUN_ERRORS)
        .example("if s:out \"gcc -dumpversion\" >= \"12\" then s = s:run \"make fast\" end"),
    ]
}

fn step_command(call: &Call) -> Result<Command> {
    command(&call.arg(0))
        .map_err(|e| call.named(e))?
        .ok_or_else(|| Error::invalid(format!("{}: argument 1 is missing", call.name())))
}

fn read_step(opts: &Options) -> Result<StepOptions> {
    Ok(StepOptions {
        env: opts.changes("env")?,
        workdir: opts.string("workdir")?,
        user: opts.string("user")?,
        network: network(opts)?,
        ulimits: ulimits(opts)?,
        timeout: opts.duration("timeout")?,
        manner: manner(opts)?,
    })
}
