//! The `Container` handle.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

use mlua::{IntoLua, Lua, Value};

use super::super::Options as LuaOptions;
use super::super::api::{Function, Type, option};
use super::super::call::{Call, Outcome};
use super::super::class::Class;
use super::super::json::to_lua;
use super::{files, options, streams};
use crate::engine::container::find::Listed;
use crate::engine::container::foreground::Foreground;
use crate::engine::container::lifecycle::Update;
use crate::engine::container::options::{Input, Network, Restart};
use crate::engine::container::record::{Record, State, Summary, Time};
use crate::engine::container::signal;
use crate::engine::error::Result;
use crate::engine::image::Policy;
use crate::{progress, runtime};

/// A container as Lua holds it. Fields show what is true when they are read; those of a list's containers what was true
/// then, until a method is called.
pub struct Handle {
    known: Listed,
    live: Cell<bool>,
}

impl Handle {
    /// A live one.
    pub fn new(record: Record) -> Handle {
        Handle { known: Listed { record: record.into(), state: State::default() }, live: Cell::new(true) }
    }

    /// One of a list.
    pub fn listed(known: Listed) -> Handle {
        Handle { known, live: Cell::new(false) }
    }

    /// What was asked for when the handle was made.
    pub fn record(&self) -> &Summary {
        &self.known.record
    }

    /// The id, for a method that may change what is true.
    pub fn touch(&self) -> String {
        self.live.set(true);
        self.known.record.id.clone()
    }

    /// What is true now; `None` when the container is gone.
    fn now(&self, lua: &Lua) -> mlua::Result<Option<Cow<'_, Listed>>> {
        if !self.live.get() {
            return Ok(Some(Cow::Borrowed(&self.known)));
        }
        let look = || -> Result<Option<Cow<'_, Listed>>> {
            let engine = runtime::context(lua).engine()?;
            match engine.container_find(&self.known.record.id)? {
                Some(record) => {
                    let state = engine.container_state(&record.id)?;
                    Ok(Some(Cow::Owned(Listed { record: record.into(), state })))
                }
                None => Ok(None),
            }
        };
        look().map_err(mlua::Error::external)
    }
}

/// A field of what is true now; for a container that is gone, of what was known.
fn field<V: IntoLua>(get: impl Fn(&Listed) -> V + 'static) -> impl Fn(&Lua, &Handle) -> mlua::Result<V> {
    move |lua, handle| Ok(get(&handle.now(lua)?.unwrap_or(Cow::Borrowed(&handle.known))))
}

fn seconds(time: Option<Time>) -> Option<f64> {
    time.map(Time::seconds)
}

/// The class.
pub fn class() -> Class {
    let class = fields(Class::new::<Handle>("Container", "A container."));
    let methods = life().into_iter().chain(changes()).chain(streams::methods()).chain(looks()).chain(files::methods());
    methods
        .fold(class, Class::method)
        .show(|c: &Handle| format!("Container({}, {})", c.record().name, &c.record().id[..12]))
        .key(|c: &Handle| c.record().id.clone())
        .closes_with("close")
}

fn fields(class: Class) -> Class {
    class
        .field("id", Type::String, "64 hexadecimal digits.", |_, c: &Handle| Ok(c.record().id.clone()))
        .field("short_id", Type::String, "The first 12 of them.", |_, c: &Handle| Ok(c.record().id[..12].to_string()))
        .field("name", Type::String, "Its name.", field(|l| l.record.name.clone()))
        .field("image", Type::String, "The image as it was asked for.", |_, c: &Handle| Ok(c.record().image.clone()))
        .optional_field("image_id", Type::String, "The image's id.", |_, c: &Handle| {
            Ok(c.record().image_id.as_ref().map(ToString::to_string))
        })
        .field("command", Type::String, "What it executes.", |_, c: &Handle| Ok(c.record().argv.join(" ")))
        .field("created", Type::Number, "When it was made, in seconds since 1970.", |_, c: &Handle| {
            Ok(c.record().created.seconds())
        })
        .field(
            "status",
            Type::String,
            "`created`, `running`, `paused`, `restarting`, `exited`; `removed`.",
            |lua, c: &Handle| Ok(c.now(lua)?.map_or("removed", |listed| listed.state.status.name())),
        )
        .optional_field("started", Type::Number, "When its program started last.", field(|l| seconds(l.state.started)))
        .optional_field("finished", Type::Number, "When its program ended last.", field(|l| seconds(l.state.finished)))
        .field(
            "exit_code",
            Type::Integer,
            "How its program ended last; 128+n for signal n.",
            field(|l| l.state.exit_code),
        )
        .field("pid", Type::Integer, "Its first process on the host; 0 when it does not run.", field(|l| l.state.pid))
        .field("labels", Type::Map, "Its labels, the image's included.", field(|l| l.record.labels.clone()))
        .field("network_mode", Type::String, "`none`, `host` or `container:ID`.", |_, c: &Handle| {
            Ok(match &c.record().options.network {
                Network::None => "none".to_string(),
                Network::Host => "host".to_string(),
                Network::Container(id) => format!("container:{id}"),
            })
        })
        .optional_field(
            "health",
            Type::String,
            "`starting`, `healthy` or `unhealthy`; nil without checks.",
            field(|l| l.state.health.as_ref().map(|health| health.status.clone())),
        )
        .field(
            "restart_count",
            Type::Integer,
            "How often its policy has started it again.",
            field(|l| l.state.restarts),
        )
        .field("oom_killed", Type::Boolean, "Whether memory was too short for it.", field(|l| l.state.oom_killed))
        .optional_field(
            "error",
            Type::String,
            "Why it did not start, or what became of it.",
            field(|l| l.state.error.clone()),
        )
        .field("mounts", Type::List(&Type::String), "Where something is mounted.", |_, c: &Handle| {
            let mounts = &c.record().options.mounts;
            Ok(mounts.iter().map(|mount| mount.target.display().to_string()).collect::<Vec<_>>())
        })
}

/// A method that does one thing and returns nothing.
fn simple(name: &'static str, summary: &'static str, act: fn(&crate::engine::Engine, &str) -> Result<()>) -> Function {
    Function::new(name, summary, move |call| {
        let id = call.this::<Handle>()?.touch();
        call.work(move |at| act(&at.engine()?, &id), |_, ()| Ok(Value::Nil))
    })
}

fn timeout_option() -> super::super::Param {
    option("timeout", Type::Duration, "From the signal to its end; then it is killed. Default: its own, 10 seconds.")
}

fn signal_option() -> super::super::Param {
    option("signal", Type::String, "The signal. Default: its own, TERM.")
}

fn stop_wishes(opts: &LuaOptions) -> Result<(Option<i32>, Option<Duration>)> {
    let signal = opts.string("signal")?.map(|name| signal::parse(&name)).transpose()?;
    // A negative time-out waits for ever.
    let timeout = match opts.integer("timeout") {
        Some(seconds) if seconds < 0 => Some(Duration::MAX),
        _ => opts.duration("timeout")?,
    };
    Ok((signal, timeout))
}

fn life() -> Vec<Function> {
    vec![
        Function::new("start", "Starts it; one that runs stays as it is.", start)
            .option("attach", Type::Boolean, "Wait for its end, with this program's streams. Default false.")
            .option("interactive", Type::Boolean, "With `attach`: let it read standard input. Default false.")
            .options(super::stream_options())
            .returns_optional(Type::Integer, "With `attach` its exit code; nil when it was left running.")
            .errors(&["not_found", "permission", "in_use", "interrupted"])
            .example("container.get(\"web\"):start()")
            .flushes(),
        Function::new("stop", "Asks it to end, and kills it when that takes too long.", |call| {
            let id = call.this::<Handle>()?.touch();
            let (signal, timeout) = stop_wishes(&call.options())?;
            call.work(move |at| at.engine()?.container_stop(&id, signal, timeout), |_, ()| Ok(Value::Nil))
        })
        .options(vec![timeout_option(), signal_option()])
        .errors(&["not_found", "invalid_argument", "interrupted"])
        .example("container.get(\"web\"):stop{timeout=\"3s\"}"),
        Function::new("kill", "Sends it a signal.", |call| {
            let id = call.this::<Handle>()?.touch();
            let signal = call.optional_string(0)?.map_or(Ok(libc::SIGKILL), |name| signal::parse(&name))?;
            call.work(move |at| at.engine()?.container_kill(&id, signal), |_, ()| Ok(Value::Nil))
        })
        .optional("signal", Type::AnyOf(&[Type::String, Type::Integer]), "Name or number. Default KILL.")
        .errors(&["not_found", "invalid_argument"])
        .example("container.get(\"web\"):kill(\"HUP\")"),
        Function::new("restart", "Stops it, if it runs, and starts it.", |call| {
            let id = call.this::<Handle>()?.touch();
            let (signal, timeout) = stop_wishes(&call.options())?;
            call.work(move |at| at.engine()?.container_restart(&id, signal, timeout), |_, ()| Ok(Value::Nil))
        })
        .options(vec![timeout_option(), signal_option()])
        .errors(&["not_found", "invalid_argument", "interrupted"])
        .example("container.get(\"web\"):restart()"),
        simple("pause", "Freezes its processes.", |engine, id| engine.container_pause(id))
            .errors(&["not_found", "invalid_argument", "in_use"])
            .example("container.get(\"web\"):pause()"),
        simple("unpause", "Thaws its processes.", |engine, id| engine.container_unpause(id))
            .errors(&["not_found", "invalid_argument"])
            .example("container.get(\"web\"):unpause()"),
        Function::new("wait", "Waits for its end.", |call| {
            let id = call.this::<Handle>()?.touch();
            call.work(move |at| at.engine()?.container_wait(&id), |_, code| Ok(code))
        })
        .returns(Type::Integer, "Its exit code; at once if it does not run.")
        .errors(&["not_found", "interrupted"])
        .example("print(container.get(\"job\"):wait())"),
    ]
}

fn start(call: &Call) -> Result<Outcome> {
    let handle = call.this::<Handle>()?;
    let (id, tty) = (handle.touch(), handle.record().tty);
    let opts = call.options();
    if !opts.boolean("attach").unwrap_or(false) {
        return call.work(move |at| at.engine()?.container_start(&id), |_, ()| Ok(Value::Nil));
    }
    let wishes = streams::Wishes::read(&opts, tty)?;
    let input = if opts.boolean("interactive").unwrap_or(false) { options::own_input()? } else { Input::Nothing };
    let how = Foreground { capture: false, check: false, pull: Policy::Never };
    call.work(
        move |at| {
            let engine = at.engine()?;
            wishes.with(input, |attachment| engine.container_start_attached(&id, how, attachment, &mut progress::pass))
        },
        |lua, finished| (!finished.detached).then_some(finished.result.exit_code).into_lua(lua),
    )
}

fn changes() -> Vec<Function> {
    vec![
        Function::new("remove", "Removes it.", |call| {
            let id = call.this::<Handle>()?.touch();
            let opts = call.options();
            let (force, data) = (opts.boolean("force").unwrap_or(false), opts.boolean("volumes").unwrap_or(false));
            call.work(move |at| at.engine()?.container_remove(&id, force, data), |_, ()| Ok(Value::Nil))
        })
        .option("force", Type::Boolean, "Kill it first if it runs. Default false.")
        .option("volumes", Type::Boolean, "Remove the data folders made for it, too. Default false.")
        .errors(&["not_found", "in_use"])
        .example("container.get(\"web\"):remove{force=true}"),
        Function::new("close", "Kills and removes it, if it still is there: what `<close>` does.", |call| {
            let id = call.this::<Handle>()?.touch();
            let run = move |at: &runtime::Context| match at.engine()?.container_remove(&id, true, true) {
                Err(error) if error.kind() == crate::engine::error::Kind::NotFound => Ok(()),
                other => other,
            };
            call.work(run, |_, ()| Ok(Value::Nil))
        })
        .example("local c <close> = container.start(\"debian:bookworm\", \"sleep 60\")"),
        Function::new("rename", "Gives it another name.", |call| {
            let (id, name) = (call.this::<Handle>()?.touch(), call.string(0)?);
            call.work(move |at| at.engine()?.container_rename(&id, &name), |_, ()| Ok(Value::Nil))
        })
        .param("name", Type::String, "The new name.")
        .errors(&["not_found", "already_exists", "invalid_argument"])
        .example("container.get(\"web\"):rename(\"old-web\")"),
        Function::new("update", "Changes limits and restart policy, while it runs, too.", |call| {
            let id = call.this::<Handle>()?.touch();
            let opts = call.options();
            let limits = options::read_limits(&opts)?;
            let restart = opts.string("restart")?.map(|text| Restart::parse(&text)).transpose()?;
            let update = Update { limits, restart };
            call.work(move |at| at.engine()?.container_update(&id, &update), |_, ()| Ok(Value::Nil))
        })
        .options(options::limits())
        .option("restart", Type::String, "`no`, `on-failure[:N]`, `always`, `unless-stopped`.")
        .errors(&["not_found", "invalid_argument", "unsupported", "permission"])
        .example("container.get(\"web\"):update{memory=\"512m\", cpus=1.5}"),
    ]
}

fn looks() -> Vec<Function> {
    vec![
        Function::new("inspect", "Everything about it, in the field's shape.", |call| {
            let id = call.this::<Handle>()?.touch();
            call.work(move |at| at.engine()?.container_inspect(&id), |lua, value| to_lua(lua, &value))
        })
        .returns(Type::Table, "`Id`, `Name`, `State`, `Config`, `HostConfig`, `Mounts`, ...")
        .errors(&["not_found"])
        .example("print(container.get(\"web\"):inspect().State.Pid)"),
        Function::new("stats", "What it uses now.", |call| {
            let id = call.this::<Handle>()?.touch();
            call.work(
                move |at| at.engine()?.container_stats(&id),
                |lua, figures| {
                    let value = serde_json::to_value(&figures).map_err(mlua::Error::external)?;
                    to_lua(lua, &value)
                },
            )
        })
        .returns(
            Type::Table,
            "`cpu`, `memory`, `pids`, `blkio`, `net_rx_bytes`, `net_tx_bytes`; `time` in nanoseconds.",
        )
        .errors(&["not_found", "invalid_argument", "unsupported"])
        .example("print(container.get(\"web\"):stats().memory.usage_bytes)"),
        Function::new("top", "Its processes, as the host sees them.", |call| {
            let id = call.this::<Handle>()?.touch();
            call.work(
                move |at| at.engine()?.container_top(&id),
                |lua, rows| {
                    let value = serde_json::to_value(&rows).map_err(mlua::Error::external)?;
                    to_lua(lua, &value)
                },
            )
        })
        .returns(
            Type::List(&Type::Table),
            "`uid`, `pid`, `ppid`, `state`, `tty`, `cpu_seconds`, `started`, `rss_bytes`, `command` each.",
        )
        .errors(&["not_found", "invalid_argument"])
        .example("for _, p in ipairs(container.get(\"web\"):top()) do print(p.pid, p.command) end"),
        Function::new("port", "Its published ports: none, as there are no bridges yet.", |call| {
            call.value(call.lua().create_table()?)
        })
        .returns(Type::Table, "From `80/tcp` to `{{ip=, port=}}`.")
        .example("print(#container.get(\"web\"):port())"),
        Function::new("size", "Bytes it has written to its root file system.", |call| {
            let id = call.this::<Handle>()?.touch();
            let run = move |at: &runtime::Context| -> Result<(u64, u64)> {
                let engine = at.engine()?;
                let record = engine.container(&id)?;
                Ok((engine.container_size(&record)?, engine.container_base_size(&record)?))
            };
            call.work(run, |_, (written, below)| Ok((written, written + below)))
        })
        .returns(Type::Integer, "Bytes; then the same with those of the layers below.")
        .errors(&["not_found"])
        .example("print(container.get(\"web\"):size())"),
    ]
}
