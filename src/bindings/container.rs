//! The `container` module.

use std::os::fd::AsFd;
use std::sync::Arc;

use mlua::Value;

use super::api::{Function, Param, Type, option};
use super::build::StateHandle;
use super::call::{Call, Outcome};
use super::class::object;
use super::image::policy;
use super::{Options as LuaOptions, args};
use crate::engine::container::foreground::{Foreground, Target};
use crate::engine::container::options::{Command, Input, Mount, Network, Options, Ulimit};
use crate::engine::error::{OsContext, Result};
use crate::engine::image::Image;
use crate::progress;

/// What a container can be made from.
const SOURCE: Type = Type::AnyOf(&[Type::String, Type::Handle("Image"), Type::Handle("State")]);

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("container.run", "Runs a program in a fresh container and waits for its end.", run)
            .details(
                "A string goes to the image's shell, a table is an argument vector; either is put behind the image's \
                 entry point. Without a command the image's own is run. Output goes to the terminal unless `capture` \
                 is set. Nothing of the container remains. Ctrl-C kills it.",
            )
            .param("image", SOURCE, "A name or id (a missing name is pulled), an Image or a State.")
            .optional("cmd", Type::Command, "The command.")
            .options(process_options())
            .options(stream_options())
            .options(isolation_options())
            .returns(Type::Handle("Result"), "How it ended.")
            .errors(&["not_found", "invalid_argument", "exit", "timeout", "permission", "interrupted"])
            .example("container.run(\"debian:bookworm\", \"cat /etc/debian_version\")")
            .flushes(),
    ]
}

fn process_options() -> Vec<Param> {
    vec![
        option("entrypoint", Type::Command, "Replaces the image's entry point; `{}` takes it away."),
        option("env", Type::Map, "Variables; they win over the image's; false removes one."),
        option("workdir", Type::String, "Working folder; made if it is missing."),
        option("user", Type::String, "`USER[:GROUP]`, names of the image or numbers."),
        option("hostname", Type::String, "Host name. Default: the short id."),
        option("timeout", Type::Duration, "Kill it after this long."),
        option("ulimits", Type::List(&Type::String), "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
    ]
}

fn stream_options() -> Vec<Param> {
    vec![
        option("tty", Type::Boolean, "Give it a terminal. Default false."),
        option("interactive", Type::Boolean, "Let it read this program's standard input. Default false."),
        option("input", Type::String, "What it reads on standard input."),
        option("capture", Type::Boolean, "Keep the output in the result. Default false."),
        option("check", Type::Boolean, "False: a status other than 0 is no error. Default true."),
        option("pull", Type::OneOf(&["missing", "always", "never"]), "When to ask the registry. Default `missing`."),
    ]
}

fn isolation_options() -> Vec<Param> {
    vec![
        option("network", Type::OneOf(&["none", "host"]), "`none` (default): loopback only; `host`: the host's."),
        option("volumes", Type::List(&Type::String), "`SOURCE:TARGET[:ro]`: folders or files of the host."),
        option("tmpfs", Type::List(&Type::String), "`TARGET[:OPTION,...]`: memory, such as `/tmp:size=64m`."),
        option("read_only", Type::Boolean, "Refuse writes to the root file system. Default false."),
        option("privileged", Type::Boolean, "Every capability, no system call filter, nothing hidden. Default false."),
        option("cap_add", Type::List(&Type::String), "Capabilities to add; `ALL` for every one."),
        option("cap_drop", Type::List(&Type::String), "Capabilities to take away; `ALL` for every one."),
        option("no_new_privileges", Type::Boolean, "Refuse gaining privileges by setuid programs. Default false."),
        option("seccomp", Type::OneOf(&["default", "unconfined"]), "The system call filter."),
        option("memory", Type::Size, "Memory it may use."),
        option("cpus", Type::Number, "Processors it may use, such as 1.5."),
        option("cpu_shares", Type::Integer, "Its weight when processors are scarce; 1024 is usual."),
        option("pids_limit", Type::Integer, "Processes and threads it may have."),
        option("shm_size", Type::Size, "Size of /dev/shm. Default 64m."),
        option("extra_hosts", Type::Map, "Names for its /etc/hosts and their addresses."),
        option("dns", Type::List(&Type::String), "Name servers instead of the host's."),
    ]
}

fn run(call: &Call) -> Result<Outcome> {
    let target = target(&call.arg(0))?;
    let command = command(&call.arg(1)).map_err(|e| call.named(e))?;
    let opts = call.options();
    let options = read(&opts)?;
    let pull = policy(&opts, "pull")?;
    let how = Foreground {
        capture: opts.boolean("capture").unwrap_or(false),
        check: opts.boolean("check").unwrap_or(true),
        pull,
    };
    call.work(
        move |at| at.engine()?.container_run(&target, command.as_ref(), &options, how, &mut progress::pass),
        object,
    )
}

fn target(value: &Value) -> Result<Target> {
    if let Value::UserData(handle) = value {
        if let Ok(image) = handle.borrow::<Image>() {
            return Ok(Target::Image(Box::new(image.clone())));
        }
        return Ok(Target::State(handle.borrow::<StateHandle>()?.0.clone()));
    }
    args::text(value).map(Target::Name)
}

/// A command argument: a line or a vector; `None` when left out.
pub fn command(value: &Value) -> Result<Option<Command>> {
    Ok(match value {
        Value::Nil => None,
        Value::Table(_) => Some(Command::Argv(args::command(value, &[])?)),
        other => Some(Command::Line(args::text(other)?)),
    })
}

fn read(opts: &LuaOptions) -> Result<Options> {
    let mut options = Options {
        entrypoint: entrypoint(opts)?,
        env: opts.changes("env")?,
        workdir: opts.string("workdir")?,
        user: opts.string("user")?,
        hostname: opts.string("hostname")?,
        tty: opts.boolean("tty").unwrap_or(false),
        read_only: opts.boolean("read_only").unwrap_or(false),
        privileged: opts.boolean("privileged").unwrap_or(false),
        cap_add: opts.strings("cap_add")?,
        cap_drop: opts.strings("cap_drop")?,
        no_new_privileges: opts.boolean("no_new_privileges").unwrap_or(false),
        seccomp_unconfined: opts.string("seccomp")?.as_deref() == Some("unconfined"),
        shm_bytes: opts.size("shm_size")?,
        hosts: opts.map("extra_hosts")?,
        dns: opts.strings("dns")?,
        timeout: opts.duration("timeout")?,
        network: network(opts)?.unwrap_or_default(),
        input: input(opts)?,
        ulimits: ulimits(opts)?,
        ..Options::default()
    };
    for text in opts.strings("volumes")? {
        options.mounts.push(Mount::parse(&text)?);
    }
    for text in opts.strings("tmpfs")? {
        options.mounts.push(Mount::tmpfs(&text)?);
    }
    options.limits.memory_bytes = opts.size("memory")?;
    options.limits.cpus = opts.number("cpus");
    options.limits.cpu_shares = opts.integer("cpu_shares").map(|number| number.max(0) as u64);
    options.limits.pids = opts.integer("pids_limit").filter(|number| *number > 0).map(|number| number as u64);
    Ok(options)
}

/// The entry point; an empty vector takes the image's away.
fn entrypoint(opts: &LuaOptions) -> Result<Option<Vec<String>>> {
    match opts.value("entrypoint") {
        Value::Table(table) if table.is_empty() => Ok(Some(Vec::new())),
        _ => opts.command("entrypoint", &[]),
    }
}

fn input(opts: &LuaOptions) -> Result<Input> {
    if let Some(bytes) = opts.bytes("input")? {
        return Ok(Input::Bytes(bytes));
    }
    if !opts.boolean("interactive").unwrap_or(false) {
        return Ok(Input::Nothing);
    }
    let fd = std::io::stdin().as_fd().try_clone_to_owned().os(|| "standard input")?;
    Ok(Input::From(Arc::new(fd)))
}

/// The `network` option.
pub fn network(opts: &LuaOptions) -> Result<Option<Network>> {
    Ok(match opts.string("network")?.as_deref() {
        Some("host") => Some(Network::Host),
        Some(_) => Some(Network::None),
        None => None,
    })
}

/// The `ulimits` option.
pub fn ulimits(opts: &LuaOptions) -> Result<Vec<Ulimit>> {
    opts.strings("ulimits")?.iter().map(|text| Ulimit::parse(text)).collect()
}

/// The folder relative paths of the host start at.
pub fn host_folder() -> Result<std::path::PathBuf> {
    std::env::current_dir().os(|| "current folder")
}
