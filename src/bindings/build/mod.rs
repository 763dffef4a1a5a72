//! The `build` module and the `State` handle: states, and what steps share. The methods are in files by subject.

mod commit;
pub mod context;
mod files;
mod looking;
mod mounts;
mod settings;
mod steps;

use std::path::PathBuf;

use mlua::{Lua, Value};

use super::api::{Function, Param, Type, option};
use super::call::{Call, Outcome};
use super::class::{Class, object};
use super::image::{Source, policy};
use super::{Failed, Options, args};
use crate::engine::build::{Manner, State, StepFailure, in_a_short_line};
use crate::engine::error::{Error, Result};
use crate::runtime::Context;

pub use commit::check_commit;
pub use looking::entry_class;
pub use steps::limit_options;

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
        context::row(),
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

/// The characters a State shows of its step.
const SHOWN: usize = 60;

/// The `State` class.
pub fn class() -> Class {
    let class =
        Class::new::<StateHandle>("State", "An immutable file system and configuration; steps return new ones.")
            .field("key", Type::String, "Equal keys mean equal states.", |_, s: &StateHandle| Ok(s.0.key().to_string()))
            .field("step", Type::String, "The step that made it.", |_, s: &StateHandle| Ok(s.0.step().words.clone()))
            .field("config", Type::Table, "Its configuration so far.", |lua, s: &StateHandle| {
                super::json::to_lua(lua, &s.0.config().config)
            })
            .show(|s: &StateHandle| {
                let (count, words) = (s.0.layer_count(), in_a_short_line(&s.0.step().words, SHOWN));
                format!(
                    "State({}, {words}, {count} {})",
                    s.0.key().short(),
                    if count == 1 { "layer" } else { "layers" }
                )
            })
            .key(|s: &StateHandle| s.0.key().to_string());
    let rows = [steps::rows(), files::rows(), settings::rows(), looking::rows(), commit::rows()];
    rows.into_iter().flatten().fold(class, Class::method)
}

/// Options that every step has.
fn manner_options() -> Vec<Param> {
    vec![
        option("cache", Type::Boolean, "False: take the step even if its result is known. Default true."),
        option("label", Type::String, "What progress shows instead of the step's own words."),
        option("history", Type::AnyOf(&[Type::String, Type::Boolean]), "The history entry instead; false for none."),
    ]
}

fn manner(opts: &Options) -> Result<Manner> {
    let history = match opts.value("history") {
        Value::Boolean(false) => Some(String::new()),
        Value::Boolean(true) | Value::Nil => None,
        value => Some(args::text(&value)?),
    };
    Ok(Manner { label: opts.string("label")?, history, no_cache: opts.boolean("cache") == Some(false) })
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

/// A failed step's error leads to the state it failed in.
fn with_state(failure: StepFailure) -> Failed {
    let left = failure.state().cloned();
    match left {
        None => Error::from(failure).into(),
        Some(left) => Failed::with(failure.into(), move |lua, table| table.raw_set("state", state(lua, left)?)),
    }
}

/// A string or integer counts as a list of one.
fn one_or_more(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Table(_) => args::strings(value, "list"),
        other => Ok(vec![args::text(other)?]),
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
