//! Streams of containers in Lua: attaching, running programs inside, logs.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{IntoLuaMulti, Lua, MultiValue, Value};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::super::api::{Function, Type, option};
use super::super::call::{Call, Outcome};
use super::super::class::{Class, object};
use super::super::{Options as LuaOptions, args};
use super::class::Handle;
use super::options;
use crate::engine::container::detach::DetachKeys;
use crate::engine::container::filter::when;
use crate::engine::container::foreground::Foreground;
use crate::engine::container::inside::ExecOptions;
use crate::engine::container::logs::{LogOptions, Reader};
use crate::engine::container::options::Input;
use crate::engine::container::record::Time;
use crate::engine::container::start::Attachment;
use crate::engine::container::streams::Stream;
use crate::engine::error::Result;
use crate::engine::image::Policy;
use crate::progress;
use crate::runtime::proxy;

/// Signals that are passed on to a container.
const PASSED: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// What a caller wants of a container's streams.
pub struct Wishes {
    detach: Option<DetachKeys>,
    proxy: bool,
    timeout: Option<std::time::Duration>,
}

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn read(opts: &LuaOptions, tty: bool) -> Result<Wishes> {
        let proxy = opts.boolean("sig_proxy").unwrap_or(false);
        Ok(Wishes { detach: options::detach_keys(opts, tty)?, proxy, timeout: opts.duration("timeout")? })
    }

    /// Calls `work` with the attachment they mean; signals are passed on while it runs.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn with<T>(self, input: Input, work: impl FnOnce(Attachment) -> Result<T>) -> Result<T> {
        let proxy = if self.proxy { Some(proxy::Proxy::start(&PASSED)?) } else { None };
        let signals: Option<OwnedFd> = proxy.as_ref().map(proxy::Proxy::signals).transpose()?;
        work(Attachment { input, detach: self.detach, signals, timeout: self.timeout })
    }
}

/// The methods of a container that have to do with streams.
pub fn methods() -> Vec<Function> {
    vec![attach_row(), exec_row(), out_row(), shell_row(), logs_row()]
}

fn attach_row() -> Function {
    Function::new("attach", "Joins in: its output from now on, and its input.", attach)
        .details("Ctrl-C leaves it running, as do the detach keys on a terminal.")
        .option("no_stdin", Type::Boolean, "Give it no input. Default false.")
        .options(super::stream_options())
        .returns_optional(Type::Integer, "Its exit code; nil when it was left running.")
        .errors(&["not_found", "invalid_argument", "interrupted"])
        .example("container.get(\"web\"):attach()")
        .flushes()
}

fn exec_options() -> Vec<super::super::Param> {
    vec![
        option("env", Type::Map, "Variables over the container's; false removes one."),
        option("workdir", Type::String, "Working folder; it must exist. Default: the container's."),
        option("user", Type::String, "`USER[:GROUP]` of the container. Default: the container's."),
        option("privileged", Type::Boolean, "Every capability, no system call filter. Default false."),
        option("tty", Type::Boolean, "Give it a terminal. Default false."),
        option("interactive", Type::Boolean, "Let it read this program's standard input. Default false."),
        option("input", Type::String, "What it reads on standard input."),
        option("check", Type::Boolean, "False: a status other than 0 is no error. Default true."),
        option("timeout", Type::Duration, "Kill it after this long."),
        option("detach_keys", Type::String, "Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal."),
    ]
}

fn exec_row() -> Function {
    Function::new("exec", "Runs a further program inside, and waits for its end.", exec)
        .param("cmd", Type::Command, "The command: a line for the image's shell, or a vector.")
        .options(exec_options())
        .option("capture", Type::Boolean, "Keep the output in the result. Default false.")
        .option("detach", Type::Boolean, "Leave it there without streams. Default false.")
        .returns_optional(Type::Handle("Result"), "How it ended; nil with `detach`.")
        .errors(&["not_found", "invalid_argument", "in_use", "exit", "permission", "timeout", "interrupted"])
        .example("c:exec({\"ls\", \"-l\"}, {workdir=\"/tmp\"})")
        .flushes()
}

fn out_row() -> Function {
    Function::new("out", "Runs a program inside and returns its output without the last line end.", |call| {
        let (id, command) = (call.this::<Handle>()?.touch(), options::required_command(call, 0)?);
        let opts = call.options();
        let (exec, check) = (exec_wishes(&opts)?, opts.boolean("check").unwrap_or(true));
        call.work(
            move |at| at.engine()?.container_exec(&id, &command, &exec, check, true, &mut progress::pass),
            |lua, result| lua.create_string(result.stdout.strip_suffix(b"\n").unwrap_or(&result.stdout)),
        )
    })
    .param("cmd", Type::Command, "The command.")
    .options(exec_options())
    .returns(Type::String, "Its standard output.")
    .errors(&["not_found", "invalid_argument", "in_use", "exit", "permission", "timeout", "interrupted"])
    .example("print(c:out(\"hostname\"))")
}

fn shell_row() -> Function {
    Function::new("shell", "Opens the image's shell inside, on this terminal.", |call| {
        let id = call.this::<Handle>()?.touch();
        let opts = call.options();
        let user = opts.string("user")?;
        let exec = ExecOptions {
            tty: rustix::termios::isatty(std::io::stdin()),
            input: options::own_input()?,
            detach: options::detach_keys(&opts, true)?,
            user,
            ..ExecOptions::default()
        };
        let shell = crate::engine::container::options::Command::Argv(vec!["/bin/sh".into()]);
        call.work(
            move |at| at.engine()?.container_exec(&id, &shell, &exec, false, false, &mut progress::pass),
            |_, result| Ok(result.exit_code),
        )
    })
    .option("user", Type::String, "`USER[:GROUP]` of the container. Default: the container's.")
    .option("detach_keys", Type::String, "Keys that leave it running. Default `ctrl-p,ctrl-q`.")
    .returns(Type::Integer, "The shell's exit code.")
    .errors(&["not_found", "invalid_argument", "in_use"])
    .example("container.get(\"web\"):shell()")
    .flushes()
}

fn logs_row() -> Function {
    Function::new("logs", "Reads its log: an iterator of lines, each with its stream and time.", logs)
        .details(
            "Lines come without their line end; the stream is `stdout` or `stderr`, the time in seconds since 1970. \
             Fourth comes a table of the labels and variables that `log_opts` asked for, if it did.",
        )
        .option("follow", Type::Boolean, "Go on with what comes, until it ends. Default false.")
        .option("tail", Type::Integer, "Only so many of the last lines.")
        .option("since", TIME, "Only what was written since then.")
        .option("until", TIME, "Only what was written before.")
        .option("before", TIME, "The same, as `until` is a word of Lua's.")
        .option("ends", Type::Boolean, "Keep line ends: a last line may have none, nor has a part of a very long one.")
        .returns(Type::Function, "`for line, stream, time in c:logs() do`.")
        .errors(&["not_found", "unsupported", "invalid_argument", "interrupted"])
        .example("for line in c:logs{tail=10} do print(line) end")
}

/// A point in time.
pub const TIME: Type = Type::AnyOf(&[Type::String, Type::Number]);

/// Reads a point in time.
pub fn time(opts: &LuaOptions, key: &str) -> Result<Option<Time>> {
    match opts.value(key) {
        Value::Nil => Ok(None),
        value => when(&args::text(&value)?).map(Some).map_err(|e| e.context(format!("option '{key}'"))),
    }
}

fn attach(call: &Call) -> Result<Outcome> {
    let handle = call.this::<Handle>()?;
    let (id, tty) = (handle.touch(), handle.record().tty);
    let opts = call.options();
    let wishes = Wishes::read(&opts, tty)?;
    let input = if opts.boolean("no_stdin").unwrap_or(false) { Input::Nothing } else { options::own_input()? };
    let how = Foreground { capture: false, check: false, pull: Policy::Never };
    call.work(
        move |at| {
            let engine = at.engine()?;
            wishes.with(input, |attachment| engine.container_attach(&id, how, attachment, &mut progress::pass))
        },
        |_, finished| Ok((!finished.detached).then_some(finished.result.exit_code)),
    )
}

fn exec_wishes(opts: &LuaOptions) -> Result<ExecOptions> {
    let tty = opts.boolean("tty").unwrap_or(false);
    Ok(ExecOptions {
        tty,
        input: options::input(opts)?,
        env: opts.changes("env")?,
        workdir: opts.string("workdir")?,
        user: opts.string("user")?,
        privileged: opts.boolean("privileged").unwrap_or(false),
        detach: options::detach_keys(opts, tty)?,
        timeout: opts.duration("timeout")?,
    })
}

fn exec(call: &Call) -> Result<Outcome> {
    let (id, command) = (call.this::<Handle>()?.touch(), options::required_command(call, 0)?);
    let opts = call.options();
    let exec = exec_wishes(&opts)?;
    if opts.boolean("detach").unwrap_or(false) {
        let run = move |at: &crate::runtime::Context| at.engine()?.container_exec_detached(&id, &command, &exec);
        return call.work(run, |_, _: i32| Ok(Value::Nil));
    }
    let check = opts.boolean("check").unwrap_or(true);
    let capture = opts.boolean("capture").unwrap_or(false);
    call.work(move |at| at.engine()?.container_exec(&id, &command, &exec, check, capture, &mut progress::pass), object)
}

/// An open log, read from whichever thread a call runs in.
pub struct Lines {
    reader: Arc<Mutex<Reader>>,
    ends: bool,
}

fn logs(call: &Call) -> Result<Outcome> {
    let id = call.this::<Handle>()?.touch();
    let opts = call.options();
    let options = LogOptions {
        follow: opts.boolean("follow").unwrap_or(false),
        tail: opts.integer("tail").filter(|lines| *lines >= 0).map(|lines| lines as u64),
        since: time(&opts, "since")?,
        until: time(&opts, "until")?.or(time(&opts, "before")?),
    };
    let ends = opts.boolean("ends").unwrap_or(false);
    call.work(
        move |at| at.engine()?.container_logs(&id, options),
        move |lua, reader| iterator(lua, Lines { reader: Arc::new(Mutex::new(reader)), ends }),
    )
}

/// A Lua function that calls a handle's `next` method.
///
/// # Errors
/// When memory is short.
pub fn iterator<T: 'static>(lua: &Lua, handle: T) -> mlua::Result<mlua::Function> {
    let make = "local handle = ... return function() return handle:next() end";
    lua.load(make).set_name("=iterator").call(object(lua, handle)?)
}

/// The `Lines` class: what `c:logs()` iterates with.
pub fn lines_class() -> Class {
    Class::new::<Lines>("Lines", "A container's log, open for reading.").method(
        Function::new("next", "Returns the next line.", |call| {
            let lines = call.this::<Lines>()?;
            let (reader, ends) = (lines.reader.clone(), lines.ends);
            call.work(
                move |at| {
                    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                    at.engine()?.container_log_line(&mut reader)
                },
                move |lua, line| match line {
                    None => Ok::<_, mlua::Error>(MultiValue::new()),
                    Some(line) => {
                        let stream = if line.stream == Stream::Out { "stdout" } else { "stderr" };
                        let text =
                            lua.create_string(line.text.strip_suffix('\n').filter(|_| !ends).unwrap_or(&line.text))?;
                        let mut values = (text, stream, line.time.seconds()).into_lua_multi(lua)?;
                        if !line.attributes.is_empty() {
                            values.push_back(Value::Table(lua.create_table_from(line.attributes)?));
                        }
                        Ok(values)
                    }
                },
            )
        })
        .returns_optional(Type::String, "The line without its end, its stream and time; nil at the end.")
        .errors(&["interrupted"])
        .example("local next = c:logs() print(next())"),
    )
}
