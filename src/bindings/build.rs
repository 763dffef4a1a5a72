//! The `build` module and the `State` handle.

use std::path::PathBuf;

use mlua::{Lua, Value};

use super::api::{Function, Param, Type, option};
use super::call::{Call, Outcome};
use super::class::{Class, object};
use super::container::{command, host_folder, network, ulimits};
use super::image::{Source, policy};
use super::{Failed, Options, args};
use crate::engine::build::settings::Setting;
use crate::engine::build::{CommitOptions, CopyOptions, CopySource, FileEntry, State, StepOptions};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::image::{Image, Policy};
use crate::engine::reference::Reference;
use crate::runtime::Context;

/// A state as a handle.
pub struct StateHandle(pub State);

const STATE: Type = Type::Handle("State");
const STRINGS: Type = Type::AnyOf(&[Type::String, Type::List(&Type::String)]);

fn state(lua: &Lua, state: State) -> mlua::Result<mlua::AnyUserData> {
    object(lua, StateHandle(state))
}

fn this(call: &Call) -> Result<State> {
    Ok(call.this::<StateHandle>()?.0.clone())
}

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("build.from", "Starts a build from an image or continues one from a state.", from)
            .param(
                "base",
                Type::AnyOf(&[Type::String, Type::Handle("Image"), STATE]),
                "A name or id (a missing name is pulled), an Image or a State.",
            )
            .option("pull", Type::OneOf(&["missing", "always", "never"]), "When to ask the registry.")
            .returns(STATE, "The state.")
            .errors(&["not_found", "network", "permission", "integrity"])
            .example("local s = build.from \"debian:bookworm\""),
        Function::new("build.scratch", "Starts a build from nothing.", |call| {
            let made = state(call.lua(), State::scratch())?;
            call.value(made)
        })
        .returns(STATE, "An empty state.")
        .example("local s = build.scratch():copy(\"app\", \"/app\")"),
        Function::new("build.from_host", "Starts a build from programs of this host.", |call| {
            let programs: Vec<PathBuf> = call.strings(0)?.into_iter().map(PathBuf::from).collect();
            call.work(move |at| State::from_host(&at.engine()?, &programs), state)
        })
        .details(
            "The programs, their interpreters and the libraries they need are found by reading them; nothing is \
             executed and nothing downloaded.",
        )
        .param("programs", Type::List(&Type::String), "Absolute paths.")
        .returns(STATE, "A state with just these.")
        .errors(&["not_found", "invalid_argument"])
        .example("local s = build.from_host{\"/bin/sh\", \"/bin/ls\"}"),
    ]
}

/// The `State` class.
pub fn class() -> Class {
    let class =
        Class::new::<StateHandle>("State", "An immutable file system and configuration; steps return new ones.")
            .field("key", Type::String, "Equal keys mean equal states.", |_, s: &StateHandle| Ok(s.0.key().to_string()))
            .field("step", Type::String, "The step that made it.", |_, s: &StateHandle| Ok(s.0.step().to_string()))
            .field("config", Type::Table, "Its configuration so far.", |lua, s: &StateHandle| {
                super::json::to_lua(lua, &s.0.config().config)
            })
            .show(|s: &StateHandle| {
                format!("State({}, {}, {} layers)", s.0.key().short(), s.0.step(), s.0.layer_count())
            })
            .key(|s: &StateHandle| s.0.key().to_string());
    let methods = steps().into_iter().chain(settings()).chain(looking());
    methods.fold(class, Class::method)
}

fn step_options() -> Vec<Param> {
    vec![
        option("env", Type::Map, "Variables for this step alone; false removes one."),
        option("workdir", Type::String, "Working folder for this step alone."),
        option("user", Type::String, "`USER[:GROUP]` for this step alone."),
        option("network", Type::OneOf(&["none", "host"]), "`host` (default) or `none`."),
        option("ulimits", Type::List(&Type::String), "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
        option("timeout", Type::Duration, "Kill it after this long."),
        option("cache", Type::Boolean, "False: run it even if its result is known. Default true."),
    ]
}

fn steps() -> Vec<Function> {
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
        .returns(Type::String, "Its standard output without the last line end.")
        .errors(RUN_ERRORS)
        .example("if s:out \"gcc -dumpversion\" >= \"12\" then s = s:run \"make fast\" end"),
        Function::new("copy", "Copies files of the host, or of another state, by content.", copy)
            .details(
                "Of a folder its contents are copied. A target that ends in `/` or is a folder takes things into it. \
                 Relative sources start at the current folder, relative targets at the working folder.",
            )
            .param("src", STRINGS, "One source or a list.")
            .param("dst", Type::String, "Where to.")
            .option("from", Type::AnyOf(&[STATE, Type::Handle("Image"), Type::String]), "Copy from there instead.")
            .option("exclude", Type::List(&Type::String), "Globs to leave out; one without `/` fits names anywhere.")
            .option("chown", Type::String, "`USER[:GROUP]` of the image. Default root.")
            .option("chmod", Type::String, "Octal mode, such as `\"0755\"`.")
            .returns(STATE, "The new state.")
            .errors(&["not_found", "invalid_argument", "integrity", "interrupted"])
            .example("s = s:copy(\"src\", \"/src\", {exclude={\"*.o\"}})"),
        Function::new("write", "Writes a file.", |call| {
            let (state_, path, content, opts) = (this(call)?, call.string(0)?, call.bytes(1)?, call.options());
            let (mode, owner) = (mode(&opts.value("mode"))?.unwrap_or(0o644), opts.string("chown")?);
            call.work(move |at| state_.write(&at.engine()?, &path, &content, mode, owner.as_deref()), state)
        })
        .param("path", Type::String, "Where to; missing folders are made.")
        .param("text", Type::String, "The content.")
        .option("mode", Type::String, "Octal mode. Default `\"0644\"`.")
        .option("chown", Type::String, "`USER[:GROUP]` of the image. Default root.")
        .returns(STATE, "The new state.")
        .errors(&["invalid_argument", "not_found"])
        .example("s = s:write(\"/etc/motd\", \"hello\\n\")"),
        Function::new("remove", "Removes a file or folder.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            call.work(move |at| state_.remove(&at.engine()?, &path), state)
        })
        .param("path", Type::String, "What; a link is removed itself.")
        .returns(STATE, "The new state.")
        .errors(&["not_found"])
        .example("s = s:remove \"/var/cache\""),
        Function::new("commit", "Makes an image of the state.", commit)
            .optional("ref", STRINGS, "Its name, or a list of names. Without one it is kept untagged.")
            .option("message", Type::String, "A remark for the history.")
            .option("author", Type::String, "Who made it.")
            .returns(Type::Handle("Image"), "The image.")
            .errors(&["invalid_argument", "not_found", "interrupted"])
            .example("local img = s:commit \"app:1.0\""),
    ]
}

fn settings() -> Vec<Function> {
    let setting = |name, summary, read: fn(&Call) -> Result<Setting>| {
        Function::new(name, summary, move |call| {
            let next = state(call.lua(), this(call)?.set(&read(call)?)?)?;
            call.value(next)
        })
        .returns(STATE, "The new state.")
        .errors(&["invalid_argument"])
    };
    vec![
        setting("env", "Sets variables; false removes one.", |call| {
            Ok(Setting::Env(args::changes(&call.arg(0)).map_err(|e| call.named(e))?))
        })
        .param("vars", Type::Table, "Names and values.")
        .example("s = s:env{LANG=\"C.UTF-8\"}"),
        setting("label", "Sets labels; false removes one.", |call| {
            Ok(Setting::Label(args::changes(&call.arg(0)).map_err(|e| call.named(e))?))
        })
        .param("labels", Type::Table, "Names and values.")
        .example("s = s:label{version=\"1.0\"}"),
        setting("workdir", "Changes the working folder.", |call| Ok(Setting::Workdir(call.string(0)?)))
            .param("path", Type::String, "A relative one continues the one before.")
            .example("s = s:workdir \"/src\""),
        setting("user", "Sets the user.", |call| Ok(Setting::User(call.string(0)?)))
            .param("user", Type::String, "`USER[:GROUP]`.")
            .example("s = s:user \"nobody\""),
        setting("cmd", "Sets the command; false removes it.", |call| Ok(Setting::Cmd(vector(call, 0)?)))
            .param("cmd", Type::AnyOf(&[Type::Command, Type::Boolean]), "A line for the shell, or a vector.")
            .example("s = s:cmd{\"--help\"}"),
        setting("entrypoint", "Sets the entry point, and with it drops the command; false removes it.", |call| {
            Ok(Setting::Entrypoint(vector(call, 0)?))
        })
        .param("cmd", Type::AnyOf(&[Type::Command, Type::Boolean]), "A line for the shell, or a vector.")
        .example("s = s:entrypoint{\"/app\"}"),
        setting("expose", "Names ports.", |call| {
            Ok(Setting::Expose(one_or_more(&call.arg(0)).map_err(|e| call.named(e))?))
        })
        .param("ports", Type::AnyOf(&[Type::String, Type::Integer, Type::List(&Type::String)]), "`80`, `53/udp`.")
        .example("s = s:expose \"80\""),
        setting("volume", "Names paths that hold data.", |call| {
            Ok(Setting::Volume(one_or_more(&call.arg(0)).map_err(|e| call.named(e))?))
        })
        .param("paths", STRINGS, "Absolute paths.")
        .example("s = s:volume \"/data\""),
        setting("stop_signal", "Sets the signal that asks a container to stop.", |call| {
            Ok(Setting::StopSignal(call.string(0)?))
        })
        .param("signal", Type::String, "`SIGINT`.")
        .example("s = s:stop_signal \"SIGINT\""),
        setting("shell_form", "Sets the shell for commands that are one line.", |call| {
            Ok(Setting::Shell(call.command(0, &[])?))
        })
        .param("argv", Type::List(&Type::String), "Such as `{\"/bin/bash\", \"-c\"}`.")
        .example("s = s:shell_form{\"/bin/bash\", \"-ec\"}"),
    ]
}

fn looking() -> Vec<Function> {
    vec![
        Function::new("read", "Reads a file.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            call.work(move |at| state_.read(&at.engine()?, &path), |lua, bytes| lua.create_string(bytes))
        })
        .param("path", Type::String, "Which.")
        .returns(Type::String, "Its content.")
        .errors(&["not_found", "invalid_argument"])
        .example("print(s:read \"/etc/os-release\")"),
        Function::new("exists", "Tells whether something is there.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            call.work(move |at| state_.exists(&at.engine()?, &path), |_, found| Ok(found))
        })
        .param("path", Type::String, "What; links are followed.")
        .returns(Type::Boolean, "Whether it is.")
        .example("if s:exists \"/usr/bin/gcc\" then print(\"has gcc\") end"),
        Function::new("list", "Lists a folder.", |call| {
            let state_ = this(call)?;
            let path = call.optional_string(0)?.unwrap_or_else(|| "/".into());
            call.work(move |at| state_.list(&at.engine()?, &path), entries)
        })
        .optional("path", Type::String, "Which. Default `/`.")
        .returns(Type::List(&Type::Handle("Entry")), "Its entries by name; prints as a table.")
        .errors(&["not_found", "invalid_argument"])
        .example("for _, e in ipairs(s:list \"/etc\") do print(e.name) end"),
    ]
}

/// The `Entry` class: what a folder of a state holds.
pub fn entry_class() -> Class {
    Class::new::<FileEntry>("Entry", "Something in a folder of a state.")
        .field("name", Type::String, "Its name.", |_, e: &FileEntry| Ok(e.name.clone()))
        .field("kind", Type::String, "`file`, `dir`, `link`, `device`, `fifo` or `socket`.", |_, e: &FileEntry| {
            Ok(e.kind)
        })
        .field("size", Type::Integer, "Bytes.", |_, e: &FileEntry| Ok(e.size))
        .field("mode", Type::Integer, "Permission bits.", |_, e: &FileEntry| Ok(e.mode))
        .field("octal", Type::String, "Permission bits in octal digits.", |_, e: &FileEntry| {
            Ok(format!("{:04o}", e.mode))
        })
        .field("uid", Type::Integer, "Owner.", |_, e: &FileEntry| Ok(e.uid))
        .field("gid", Type::Integer, "Group.", |_, e: &FileEntry| Ok(e.gid))
        .field("mtime", Type::Integer, "Modification time, seconds since 1970.", |_, e: &FileEntry| Ok(e.mtime))
        .show(|e: &FileEntry| format!("Entry({}, {})", e.name, e.kind))
        .key(|e: &FileEntry| format!("{e:?}"))
}

fn entries(lua: &Lua, list: Vec<FileEntry>) -> mlua::Result<mlua::Table> {
    const COLUMNS: &[(&str, &str)] =
        &[("KIND", "kind"), ("MODE", "octal"), ("UID", "uid"), ("GID", "gid"), ("SIZE", "size"), ("NAME", "name")];
    let items = list.into_iter().map(|entry| object(lua, entry)).collect::<mlua::Result<Vec<_>>>()?;
    super::list::list(lua, items, COLUMNS)
}

/// A failed step's error leads back to the state it failed in.
fn with_state(error: Error, before: &State) -> Failed {
    // It ran, could not be executed, or took too long; anything else is no failure of the step.
    if error.exit().is_none() && error.kind() != Kind::Timeout {
        return error.into();
    }
    let before = before.clone();
    Failed::with(error, move |lua, table| table.raw_set("state", state(lua, before)?))
}

fn step_command(call: &Call) -> Result<crate::engine::container::options::Command> {
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
        no_cache: opts.boolean("cache") == Some(false),
    })
}

fn from(call: &Call) -> Result<Outcome> {
    if let Some(handle) = call.handle::<StateHandle>(0) {
        let same = state(call.lua(), handle.0.clone())?;
        return call.value(same);
    }
    let policy = policy(&call.options(), "pull")?;
    let source = Source::read(&call.arg(0))?;
    let run = move |at: &Context| -> Result<State> {
        let engine = at.engine()?;
        let image = match source {
            Source::Image(image) => *image,
            Source::Name(name) => engine.image_resolve(&name, policy)?,
        };
        State::from_image(&engine, &image)
    };
    call.work(run, state)
}

fn copy(call: &Call) -> Result<Outcome> {
    let (state_, sources, target, opts) =
        (this(call)?, one_or_more(&call.arg(0)).map_err(|e| call.named(e))?, call.string(1)?, call.options());
    let options = CopyOptions {
        exclude: opts.strings("exclude")?,
        owner: opts.string("chown")?,
        mode: mode(&opts.value("chmod"))?,
    };
    let other = match opts.value("from") {
        Value::Nil => None,
        Value::UserData(handle) if handle.is::<StateHandle>() => {
            Some(From::State(handle.borrow::<StateHandle>()?.0.clone()))
        }
        value => Some(From::Image(Source::read(&value)?)),
    };
    let folder = host_folder()?;
    let run = move |at: &Context| -> Result<State> {
        let engine = at.engine()?;
        let from = match other {
            None => CopySource::Host(folder),
            Some(From::State(other)) => CopySource::State(other),
            Some(From::Image(Source::Image(image))) => CopySource::State(State::from_image(&engine, &image)?),
            Some(From::Image(Source::Name(name))) => {
                let image = engine.image_resolve(&name, Policy::Missing)?;
                CopySource::State(State::from_image(&engine, &image)?)
            }
        };
        state_.copy(&engine, &from, &sources, &target, &options)
    };
    call.work(run, state)
}

enum From {
    State(State),
    Image(Source),
}

fn commit(call: &Call) -> Result<Outcome> {
    let state_ = this(call)?;
    let names = match call.arg(0) {
        Value::Nil => Vec::new(),
        value => one_or_more(&value).map_err(|e| call.named(e))?,
    };
    let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>>>()?;
    let opts = call.options();
    let options = CommitOptions { message: opts.string("message")?, author: opts.string("author")? };
    call.work(move |at| state_.commit(&at.engine()?, &names, &options), |lua, image: Image| object(lua, image))
}

/// A string or integer counts as a list of one.
fn one_or_more(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Table(_) => args::strings(value, "list"),
        other => Ok(vec![args::text(other)?]),
    }
}

/// A command setting: a line for the shell, a vector, or `false` for none.
fn vector(call: &Call, index: usize) -> Result<Option<Vec<String>>> {
    match call.arg(index) {
        Value::Boolean(false) => Ok(None),
        Value::Boolean(true) => Err(Error::invalid(format!("{}: true is no command", call.name()))),
        // As `CMD []` of a Dockerfile.
        Value::Table(table) if table.is_empty() => Ok(None),
        value => {
            let config = &call.this::<StateHandle>()?.0.config().config.clone();
            let shell = crate::engine::container::spec::shell(config);
            let shell: Vec<&str> = shell.iter().map(String::as_str).collect();
            args::command(&value, &shell).map(Some).map_err(|e| call.named(e))
        }
    }
}

/// An octal mode as text. Lua has no octal numbers, so a number could only be misread.
fn mode(value: &Value) -> Result<Option<u32>> {
    let bad = || {
        let shown = args::text(value).unwrap_or_default();
        Error::invalid(format!("invalid mode '{shown}'")).with_hint("write octal digits in a string, such as \"0755\"")
    };
    match value {
        Value::Nil => Ok(None),
        Value::Integer(_) | Value::Number(_) => Err(bad()),
        other => {
            let text = args::text(other)?;
            u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777).map(Some).ok_or_else(bad)
        }
    }
}
