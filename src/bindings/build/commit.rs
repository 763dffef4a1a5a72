//! From states to an image: layers made of several steps, states on top of each other, the commit and where it goes.

use std::io::IsTerminal;

use mlua::{Table, Value};

use super::super::Options;
use super::super::api::{Function, Param, Type, option};
use super::super::args;
use super::super::call::{Call, Outcome};
use super::super::class::object;
use super::{STATE, STRINGS, StateHandle, manner, manner_options, one_or_more, state, this};
use crate::engine::build::{self, CommitOptions, Output, Squash, State};
use crate::engine::error::{Error, Result};
use crate::engine::image::Image;
use crate::engine::reference::Reference;
use crate::runtime::Context;

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("layer", "Makes one layer of several steps.", layer)
            .details(
                "The steps are taken and cached one by one. What they change together is one layer over this state, \
                 with one line of history.",
            )
            .param(
                "steps",
                Type::AnyOf(&[Type::Function, STATE]),
                "Called with this state; returns the last state. Or that state.",
            )
            .options(manner_options())
            .returns(STATE, "The new state.")
            .errors(&["invalid_argument", "not_found", "interrupted"])
            .example("s = s:layer(function(s) return s:run(\"make\"):remove(\"/src\") end)"),
        Function::new("merge", "Puts another state's files on top of this one's.", |call| {
            let (state_, other, manner) = (this(call)?, other(call)?, manner(&call.options())?);
            call.work(move |at| state_.merge(&at.engine()?, &other, &manner), state)
        })
        .details(
            "Of two states with a common base only the layers above it are added, with what they remove. The layers \
             are used as they are: nothing is copied. The configuration stays.",
        )
        .param("other", STATE, "The other state.")
        .options(manner_options())
        .returns(STATE, "The new state.")
        .errors(&["invalid_argument", "interrupted"])
        .example("local a, b = parallel(function() return s:run \"make a\" end, function() return s:run \"make b\" end)\ns = a:merge(b)"),
        Function::new("commit", "Makes an image of the state.", commit)
            .details(
                "The same steps with SOURCE_DATE_EPOCH give the same image, to the byte. The manifest's annotations \
                 say when it was made and from which image. The image is in the store wherever `output` brings it. \
                 Outputs: `type=local,dest=FOLDER` and `type=tar,dest=FILE` are the files; `type=oci,dest=FILE` (or \
                 a folder) and `type=docker,dest=FILE` are archives of the image; `type=registry` pushes it, with \
                 `name=` under another name; `type=image,name=` gives a further name. A file `-` is standard output.",
            )
            .optional("ref", STRINGS, "Its name, or a list of names. Without one it is kept untagged.")
            .options(commit_options())
            .returns(Type::Handle("Image"), "The image.")
            .errors(&["invalid_argument", "not_found", "permission", "network", "interrupted"])
            .example("local img = s:commit(\"app:1.0\", {squash=true, output=\"type=oci,dest=app.tar\"})")
            .flushes(),
    ]
}

fn commit_options() -> Vec<Param> {
    vec![
        option("message", Type::String, "A remark for the history."),
        option("author", Type::String, "Who made it."),
        option(
            "created",
            Type::AnyOf(&[Type::String, Type::Integer]),
            "When it was made: RFC 3339, or seconds since 1970. Default: when its last step ran.",
        ),
        option("labels", Type::Map, "Labels; false removes one."),
        option("annotations", Type::Map, "Annotations of the manifest; false leaves out one that is set by itself."),
        option(
            "squash",
            Type::AnyOf(&[Type::Boolean, Type::OneOf(&["all"])]),
            "True: the layers above the first image become one. `all`: all layers do.",
        ),
        option("layers", Type::List(&Type::Integer), "Only these layers, by number from 1, the lowest."),
        option("compression", Type::OneOf(&["gzip", "zstd", "none"]), "The form of new layers. Default `gzip`."),
        option("compression_level", Type::Integer, "0 to 9 of gzip, 1 to 22 of zstd."),
        option("output", Type::AnyOf(&[Type::String, Type::Table]), "Where it goes besides: one output or a list."),
    ]
}

fn other(call: &Call) -> Result<State> {
    let missing = || Error::invalid(format!("{}: argument 1 must be a State", call.name()));
    Ok(call.handle::<StateHandle>(0).ok_or_else(missing)?.0.clone())
}

/// The prelude calls the function: what comes here is the state it returned.
fn layer(call: &Call) -> Result<Outcome> {
    let (state_, end, manner) = (this(call)?, other(call)?, manner(&call.options())?);
    call.work(move |at| state_.group(&at.engine()?, &end, &manner), state)
}

fn commit(call: &Call) -> Result<Outcome> {
    let state_ = this(call)?;
    let names = names(&call.arg(0)).map_err(|e| call.named(e))?;
    let names = references(&names)?;
    let opts = call.options();
    let options = read_options(&opts).map_err(|e| call.named(e))?;
    let outputs = outputs(&opts.value("output")).map_err(|e| call.named(e))?;
    if outputs.iter().any(Output::is_stream) && std::io::stdout().is_terminal() {
        return Err(call.named(Error::invalid("an archive is not written to a terminal")));
    }
    let run = move |at: &Context| -> Result<Image> {
        let engine = at.engine()?;
        let image = state_.commit(&engine, &names, &options)?;
        for output in &outputs {
            state_.deliver(&engine, &image, &options, output, &mut std::io::stdout())?;
        }
        Ok(image)
    };
    call.work(run, |lua, image: Image| object(lua, image))
}

fn names(value: &Value) -> Result<Vec<String>> {
    if value.is_nil() { Ok(Vec::new()) } else { one_or_more(value) }
}

fn references(names: &[String]) -> Result<Vec<Reference>> {
    names.iter().map(|name| name.parse()).collect()
}

/// Whether a commit could have these names and outputs: asked before a build, as it may take long.
///
/// # Errors
/// `invalid_argument`.
pub fn check_commit(named: &Value, output: &Value) -> Result<()> {
    references(&names(named)?)?;
    outputs(output).map(drop)
}

fn read_options(opts: &Options) -> Result<CommitOptions> {
    let layers = match opts.value("layers") {
        Value::Nil => None,
        Value::Table(table) => {
            let number = |value: &Value| {
                let number = args::integer(value).and_then(|number| usize::try_from(number).ok());
                number.ok_or_else(|| Error::invalid("layers are numbers from 1"))
            };
            let list = args::elements(&table, "layers")?;
            Some(list.iter().map(number).collect::<Result<Vec<_>>>()?)
        }
        _ => None,
    };
    let squash = match opts.value("squash") {
        Value::Boolean(true) => Squash::New,
        Value::String(_) => Squash::All,
        _ => Squash::Nothing,
    };
    Ok(CommitOptions {
        message: opts.string("message")?,
        author: opts.string("author")?,
        created: opts.string("created")?.map(|text| build::time(&text)).transpose()?,
        labels: opts.changes("labels")?,
        annotations: opts.changes("annotations")?,
        squash,
        layers,
        compression: build::compression(opts.string("compression")?.as_deref(), opts.integer("compression_level"))?,
    })
}

/// An output, or a list of them.
fn outputs(value: &Value) -> Result<Vec<Output>> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::Table(table) if !table.raw_get::<Value>(1)?.is_nil() => {
            args::elements(table, "output")?.iter().map(output).collect()
        }
        single => Ok(vec![output(single)?]),
    }
}

fn output(value: &Value) -> Result<Output> {
    match value {
        Value::Table(table) => Output::from_pairs(&pairs(table)?),
        other => Output::parse(&args::text(other)?),
    }
}

fn pairs(table: &Table) -> Result<Vec<(String, String)>> {
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        list.push((args::text(&key)?, args::text(&value)?));
    }
    Ok(list)
}
