//! The `container` module.

mod class;
mod events;
mod files;
pub mod options;
mod streams;

use std::path::PathBuf;

use mlua::{Lua, Table, Value};

use super::api::{Function, Type, option};
use super::build::StateHandle;
use super::call::{Call, Outcome};
use super::class::object;
use super::image::policy;
use super::list::list;
use super::{Options as LuaOptions, args};
use crate::engine::Engine;
use crate::engine::container::create::Target;
use crate::engine::container::find::Listed;
use crate::engine::container::foreground::Foreground;
use crate::engine::container::options::{Command, Options};
use crate::engine::container::record::Record;
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::image::{Image, Policy};
use crate::progress;
pub use class::{Handle, class};
pub use events::class as events_class;
pub use options::{network, ulimits};
pub use streams::lines_class;

/// What a container can be made from.
const SOURCE: Type = Type::AnyOf(&[Type::String, Type::Handle("Image"), Type::Handle("State")]);
const SOURCE_DOC: &str = "A name or id (a missing name is pulled), an Image or a State.";

/// The functions.
pub fn rows() -> Vec<Function> {
    let mut rows = making();
    rows.extend(finding());
    rows.extend(events::rows());
    rows
}

fn making() -> Vec<Function> {
    vec![
        Function::new("container.run", "Runs a program in a fresh container and waits for its end.", run)
            .details(
                "A string goes to the image's shell, a table is an argument vector; either is put behind the image's \
                 entry point. Without a command the image's own is run. Output goes to the terminal unless `capture` \
                 is set. Nothing of the container remains, unless `rm=false`. Ctrl-C kills it.",
            )
            .param("image", SOURCE, SOURCE_DOC)
            .optional("cmd", Type::Command, "The command.")
            .options(options::all())
            .options(options::foreground())
            .returns(Type::Handle("Result"), "How it ended; with code 0 when it was left running by the detach keys.")
            .errors(&[
                "not_found",
                "already_exists",
                "invalid_argument",
                "exit",
                "timeout",
                "permission",
                "interrupted",
            ])
            .example("container.run(\"debian:bookworm\", \"cat /etc/debian_version\")")
            .flushes(),
        Function::new("container.create", "Makes a container without starting it.", create)
            .param("image", SOURCE, SOURCE_DOC)
            .optional("cmd", Type::Command, "The command; the image's own by default.")
            .options(options::all())
            .returns(Type::Handle("Container"), "The container.")
            .errors(&["not_found", "already_exists", "invalid_argument", "permission", "interrupted"])
            .example("local c = container.create(\"debian:bookworm\", \"sleep 60\", {name=\"nap\"})"),
        Function::new("container.start", "Makes a container and starts it in the background.", start)
            .details("It goes on when this program ends. A `<close>` variable stops and removes it.")
            .param("image", SOURCE, SOURCE_DOC)
            .optional("cmd", Type::Command, "The command; the image's own by default.")
            .options(options::all())
            .returns(Type::Handle("Container"), "The container; its program runs.")
            .errors(&["not_found", "already_exists", "invalid_argument", "permission", "interrupted"])
            .example("local c <close> = container.start(\"debian:bookworm\", \"sleep 60\")"),
    ]
}

fn finding() -> Vec<Function> {
    vec![
        Function::new("container.get", "Finds a container by name, id or the first digits of its id.", |call| {
            let text = call.string(0)?;
            call.work(
                move |at| at.engine()?.container_find(&text),
                |lua, record| record.map(|record| object(lua, Handle::new(record))).transpose(),
            )
        })
        .param("name", Type::String, "Name or id.")
        .returns_optional(Type::Handle("Container"), "The container; nil when there is none.")
        .errors(&["invalid_argument"])
        .example("local c = container.get(\"web\")"),
        Function::new("container.list", "Lists containers, newest first.", list_body)
            .option("all", Type::Boolean, "Those that do not run, too. Default false.")
            .option("last", Type::Integer, "Only so many of the newest, running or not.")
            .option("filters", Type::Table, FILTERS)
            .returns(Type::List(&Type::Handle("Container")), "The containers, as they are now; prints as a table.")
            .errors(&["invalid_argument"])
            .example("print(container.list{all=true})"),
        Function::new("container.prune", "Removes the containers that do not run.", prune)
            .option("filters", Type::Table, FILTERS)
            .returns(Type::Table, "`ids` of those that are gone, and the `bytes` they took.")
            .errors(&["invalid_argument"])
            .example("print(container.prune().bytes)"),
        Function::new("container.boot", "Starts, after a boot of the host, what is to be started again.", |call| {
            call.work(|at| at.engine()?.container_boot(), |_, names| Ok(names))
        })
        .details("Those with restart policy `always`, and `unless-stopped` if nobody had stopped them.")
        .returns(Type::List(&Type::String), "The names of those that were started.")
        .example("container.boot()"),
    ]
}

const FILTERS: &str = "A value or a list each: `status`, `name`, `id`, `label` (`NAME` or `NAME=VALUE`), `ancestor`, \
                       `exited`, `health`, `network`, `volume`, `before`, `since`, `until`.";

/// A target and a command, as every maker of containers takes them.
fn target(call: &Call) -> Result<(Target, Option<Command>)> {
    let command = command(&call.arg(1)).map_err(|e| call.named(e))?;
    let value = call.arg(0);
    if let Value::UserData(handle) = &value {
        if let Ok(image) = handle.borrow::<Image>() {
            return Ok((Target::Image(Box::new(image.clone())), command));
        }
        return Ok((Target::State(handle.borrow::<StateHandle>()?.0.clone()), command));
    }
    Ok((Target::Name(args::text(&value)?), command))
}

fn run(call: &Call) -> Result<Outcome> {
    let (target, command) = target(call)?;
    let opts = call.options();
    let mut options = options::read(&opts)?;
    options.auto_remove = opts.boolean("rm").unwrap_or(true);
    options.input = options::input(&opts)?;
    let how = Foreground {
        capture: opts.boolean("capture").unwrap_or(false),
        check: opts.boolean("check").unwrap_or(true),
        pull: policy(&opts, "pull")?,
    };
    let manners = streams::Wishes::read(&opts, options.tty)?;
    call.work(
        move |at| {
            let engine = at.engine()?;
            let input = options.input.clone();
            manners.with(input, |attachment| {
                engine.container_run(&target, command.as_ref(), &options, how, attachment, &mut progress::pass)
            })
        },
        |lua, finished| object(lua, finished.result),
    )
}

/// What makes a container that is not in the foreground.
type Maker = fn(&Engine, &Target, Option<&Command>, &Options, Policy) -> Result<Record>;

fn create(call: &Call) -> Result<Outcome> {
    make(call, Engine::container_create)
}

fn start(call: &Call) -> Result<Outcome> {
    make(call, Engine::container_start_new)
}

fn make(call: &Call, maker: Maker) -> Result<Outcome> {
    let (target, command) = target(call)?;
    let opts = call.options();
    let mut options = options::read(&opts)?;
    options.auto_remove = opts.boolean("rm").unwrap_or(false);
    let pull = policy(&opts, "pull")?;
    call.work(
        move |at| maker(&at.engine()?, &target, command.as_ref(), &options, pull),
        |lua, record| object(lua, Handle::new(record)),
    )
}

/// A command argument: a line or a vector; `None` when left out.
pub fn command(value: &Value) -> Result<Option<Command>> {
    Ok(match value {
        Value::Nil => None,
        Value::Table(_) => Some(Command::Argv(args::command(value, &[])?)),
        other => Some(Command::Line(args::text(other)?)),
    })
}

fn list_body(call: &Call) -> Result<Outcome> {
    let opts = call.options();
    let filters = filters(&opts)?;
    let asked = filters.iter().any(|(name, _)| name == "status" || name == "exited");
    let last = opts.integer("last").filter(|last| *last > 0).map(|last| last as usize);
    let all = opts.boolean("all").unwrap_or(false) || asked || last.is_some();
    call.work(
        move |at| {
            let engine = at.engine()?;
            let mut found = engine.container_select(&filters)?;
            found.retain(|listed| all || is_shown(listed));
            found.truncate(last.unwrap_or(usize::MAX));
            Ok::<_, Error>(found)
        },
        containers,
    )
}

fn is_shown(listed: &Listed) -> bool {
    use crate::engine::container::record::Status;
    listed.state.status.is_live() || listed.state.status == Status::Restarting
}

/// A list that prints as a table.
fn containers(lua: &Lua, found: Vec<Listed>) -> mlua::Result<Table> {
    let items = found.into_iter().map(|listed| object(lua, Handle::listed(listed))).collect::<mlua::Result<_>>()?;
    list(
        lua,
        items,
        &[("ID", "short_id"), ("NAME", "name"), ("IMAGE", "image"), ("STATUS", "status"), ("COMMAND", "command")],
    )
}

fn prune(call: &Call) -> Result<Outcome> {
    let filters = filters(&call.options())?;
    call.work(
        move |at| {
            let engine: Engine = at.engine()?;
            let chosen: Vec<String> = engine.container_select(&filters)?.into_iter().map(|l| l.record.id).collect();
            engine.container_prune(&|listed| chosen.contains(&listed.record.id))
        },
        |lua, pruned| {
            let table = lua.create_table()?;
            table.raw_set("ids", pruned.ids)?;
            table.raw_set("bytes", pruned.bytes)?;
            Ok(table)
        },
    )
}

/// The `filters` option: names and their values.
fn filters(opts: &LuaOptions) -> Result<Vec<(String, String)>> {
    let Value::Table(table) = opts.value("filters") else { return Ok(Vec::new()) };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = args::text(&key)?;
        match value {
            Value::Table(_) => {
                list.extend(args::strings(&value, "filter")?.into_iter().map(|text| (key.clone(), text)))
            }
            Value::Boolean(yes) => list.push((key, yes.to_string())),
            other => list.push((key, args::text(&other)?)),
        }
    }
    Ok(list)
}

/// The folder relative paths of the host start at.
pub fn host_folder() -> Result<PathBuf> {
    std::env::current_dir().os(|| "current folder")
}

/// Rows of options that several methods share.
fn stream_options() -> Vec<super::Param> {
    vec![
        option("detach_keys", Type::String, "Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal."),
        option("sig_proxy", Type::Boolean, "Pass signals on to it. Default false."),
    ]
}
