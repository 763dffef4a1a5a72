//! Steps that copy, write and remove files.

use mlua::Value;

use super::super::Options;
use super::super::api::{Function, Type};
use super::super::call::{Call, Outcome};
use super::super::container::host_folder;
use super::super::image::Source;
use super::{STATE, STRINGS, StateHandle, manner, manner_options, mode, one_or_more, state, this};
use crate::engine::build::{CopyOptions, CopySource, State, WriteOptions};
use crate::engine::error::Result;
use crate::engine::image::Policy;
use crate::runtime::Context;

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![
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
            .options(manner_options())
            .returns(STATE, "The new state.")
            .errors(&["not_found", "invalid_argument", "integrity", "interrupted"])
            .example("s = s:copy(\"src\", \"/src\", {exclude={\"*.o\"}})"),
        Function::new("write", "Writes a file.", |call| {
            let (state_, path, content) = (this(call)?, call.string(0)?, call.bytes(1)?);
            let options = write_options(&call.options())?;
            call.work(move |at| state_.write(&at.engine()?, &path, &content, &options), state)
        })
        .param("path", Type::String, "Where to; missing folders are made.")
        .param("text", Type::String, "The content.")
        .option("mode", Type::String, "Octal mode. Default `\"0644\"`.")
        .option("chown", Type::String, "`USER[:GROUP]` of the image. Default root.")
        .options(manner_options())
        .returns(STATE, "The new state.")
        .errors(&["invalid_argument", "not_found"])
        .example("s = s:write(\"/etc/motd\", \"hello\\n\")"),
        Function::new("mkdir", "Makes a folder, and those above it.", |call| {
            let (state_, path, options) = (this(call)?, call.string(0)?, write_options(&call.options())?);
            call.work(move |at| state_.make_dir(&at.engine()?, &path, &options), state)
        })
        .details("One that exists stays as it is.")
        .param("path", Type::String, "Where.")
        .option("mode", Type::String, "Octal mode. Default `\"0755\"`.")
        .option("chown", Type::String, "`USER[:GROUP]` of the image. Default root.")
        .options(manner_options())
        .returns(STATE, "The new state.")
        .errors(&["invalid_argument", "not_found"])
        .example("s = s:mkdir(\"/var/lib/app\", {chown=\"app\"})"),
        Function::new("remove", "Removes a file or folder.", |call| {
            let (state_, path, manner) = (this(call)?, call.string(0)?, manner(&call.options())?);
            call.work(move |at| state_.remove(&at.engine()?, &path, &manner), state)
        })
        .param("path", Type::String, "What; a link is removed itself.")
        .options(manner_options())
        .returns(STATE, "The new state.")
        .errors(&["not_found"])
        .example("s = s:remove \"/var/cache\""),
    ]
}

fn write_options(opts: &Options) -> Result<WriteOptions> {
    Ok(WriteOptions { mode: mode(&opts.value("mode"))?, owner: opts.string("chown")?, manner: manner(opts)? })
}

fn copy(call: &Call) -> Result<Outcome> {
    let (state_, sources, target, opts) =
        (this(call)?, one_or_more(&call.arg(0)).map_err(|e| call.named(e))?, call.string(1)?, call.options());
    let options = CopyOptions {
        exclude: opts.strings("exclude")?,
        owner: opts.string("chown")?,
        mode: mode(&opts.value("chmod"))?,
        manner: manner(&opts)?,
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
