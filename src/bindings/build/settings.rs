//! Steps that change the configuration and nothing else.

use mlua::{Table, Value};

use super::super::api::{Function, Param, Type};
use super::super::args;
use super::super::call::{Call, Outcome};
use super::{STATE, STRINGS, StateHandle, manner, manner_options, one_or_more, state, this};
use crate::engine::build::settings::{Setting, Unset};
use crate::engine::error::{Error, Result};
use crate::engine::image::config::Healthcheck;
use crate::engine::suggest::suggest;

/// The methods.
pub fn rows() -> Vec<Function> {
    let setting = |name, summary, read: fn(&Call) -> Result<Setting>| {
        Function::new(name, summary, move |call| {
            let next = state(call.lua(), this(call)?.set(&read(call)?, &manner(&call.options())?)?)?;
            call.value(next)
        })
        .options(shown_options())
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
        Function::new("workdir", "Changes the working folder.", workdir)
            .param("path", Type::String, "A relative one continues the one before.")
            .option("create", Type::Boolean, "Make the folder, for the state's user, where it is missing.")
            .options(shown_options())
            .returns(STATE, "The new state.")
            .errors(&["invalid_argument", "not_found"])
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
        setting("healthcheck", "Says how to tell whether a container is well; false turns checks off.", |call| {
            Ok(Setting::Healthcheck(healthcheck(call)?))
        })
        .param("check", Type::AnyOf(&[Type::Table, Type::Boolean]), "`test` (a line for the shell, or a vector), `interval`, `timeout`, `start_period`, `start_interval`, `retries`.")
        .example("s = s:healthcheck{test=\"curl -f http://localhost/\", interval=\"30s\", retries=3}"),
        setting("on_build", "Adds an instruction for builds that start from the image.", |call| {
            Ok(Setting::OnBuild(call.string(0)?))
        })
        .param("instruction", Type::String, "In a Dockerfile's words.")
        .example("s = s:on_build \"RUN make\""),
        setting("unset", "Takes settings away, inherited ones too.", |call| Ok(Setting::Unset(unset(call)?)))
            .param(
                "what",
                Type::Table,
                "Lists of names under `env`, `labels`, `ports`, `volumes`; true under `cmd`, `entrypoint`, `user`, `workdir`, `healthcheck`, `stop_signal`, `shell`, `on_build`.",
            )
            .example("s = s:unset{volumes={\"/data\"}, entrypoint=true}"),
    ]
}

/// Settings are never run: no cache to speak of.
fn shown_options() -> Vec<Param> {
    manner_options().into_iter().filter(|option| option.name != "cache").collect()
}

fn workdir(call: &Call) -> Result<Outcome> {
    let (state_, path, opts) = (this(call)?, call.string(0)?, call.options());
    let manner = manner(&opts)?;
    let setting = Setting::Workdir(path);
    if opts.boolean("create") != Some(true) {
        let next = state(call.lua(), state_.set(&setting, &manner)?)?;
        return call.value(next);
    }
    call.work(move |at| state_.enter(&at.engine()?, &setting, &manner), state)
}

fn healthcheck(call: &Call) -> Result<Healthcheck> {
    const KEYS: &[&str] = &["test", "interval", "timeout", "start_period", "start_interval", "retries"];
    let Value::Table(table) = call.arg(0) else {
        return Ok(Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() });
    };
    known_keys(call, &table, KEYS)?;
    let span = |key: &str| match table.raw_get::<Value>(key)? {
        Value::Nil => Ok(None),
        value => {
            let wrong = |e: Error| {
                let outer = Error::invalid(format!("{key}: {}", e.message()));
                call.named(match e.hint() {
                    Some(hint) => outer.with_hint(hint),
                    None => outer,
                })
            };
            let time = args::duration(&value).map_err(wrong)?;
            i64::try_from(time.as_nanos()).map(Some).map_err(|_| Error::invalid(format!("{key} is too long")))
        }
    };
    let test = match table.raw_get::<Value>("test")? {
        Value::Nil => return Err(call.named(Error::invalid("a health check needs a 'test'"))),
        Value::Table(argv) if argv.raw_get::<Value>(1)? == Value::Nil => {
            return Err(call.named(Error::invalid("the test is empty")));
        }
        value @ Value::Table(_) => {
            let argv = args::strings(&value, "test").map_err(|e| call.named(e))?;
            match argv[0].as_str() {
                "CMD" | "CMD-SHELL" | "NONE" => argv,
                _ => std::iter::once("CMD".to_string()).chain(argv).collect(),
            }
        }
        value => vec!["CMD-SHELL".into(), args::text(&value)?],
    };
    let retries = match table.raw_get::<Value>("retries")? {
        Value::Nil => None,
        value => match args::integer(&value) {
            Some(count) if count >= 0 => Some(count),
            _ => return Err(call.named(Error::invalid("retries is not a number of times"))),
        },
    };
    Ok(Healthcheck {
        test,
        interval: span("interval")?,
        timeout: span("timeout")?,
        start_period: span("start_period")?,
        start_interval: span("start_interval")?,
        retries,
        ..Healthcheck::default()
    })
}

fn unset(call: &Call) -> Result<Unset> {
    const LISTS: &[&str] = &["env", "labels", "ports", "volumes"];
    let Value::Table(table) = call.arg(0) else { return Ok(Unset::default()) };
    let keys: Vec<&str> = LISTS.iter().chain(Unset::WHOLE).copied().collect();
    known_keys(call, &table, &keys)?;
    let list = |key: &str| match table.raw_get::<Value>(key)? {
        Value::Nil => Ok(Vec::new()),
        value => one_or_more(&value).map_err(|e| call.named(e.context(key))),
    };
    let mut whole = Vec::new();
    for key in Unset::WHOLE {
        match table.raw_get::<Value>(*key)? {
            Value::Nil | Value::Boolean(false) => {}
            Value::Boolean(true) => whole.push(*key),
            _ => return Err(call.named(Error::invalid(format!("{key}: expected true")))),
        }
    }
    Ok(Unset { env: list("env")?, labels: list("labels")?, ports: list("ports")?, volumes: list("volumes")?, whole })
}

fn known_keys(call: &Call, table: &Table, known: &[&str]) -> Result<()> {
    for pair in table.pairs::<Value, Value>() {
        let key = args::text(&pair?.0).map_err(|e| call.named(e))?;
        if !known.contains(&key.as_str()) {
            let error = Error::invalid(format!("unknown key '{key}'"));
            return Err(call.named(suggest(error, &key, known.iter().copied())));
        }
    }
    Ok(())
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
