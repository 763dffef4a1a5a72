//! Steps that copy, write and remove files.

use std::path::PathBuf;

use mlua::Value;

use super::super::Options;
use super::super::api::{Function, Param, Type, option};
use super::super::call::{Call, Outcome};
use super::super::container::host_folder;
use super::super::image::Source;
use super::context::{CONTEXT, ContextHandle};
use super::{STATE, STRINGS, StateHandle, manner, manner_options, mode, one_or_more, state, this};
use crate::engine::Engine;
use crate::engine::build::{self, AddOptions, CopyOptions, CopySource, State, WriteOptions};
use crate::engine::container::files;
use crate::engine::error::Result;
use crate::engine::image::Policy;
use crate::runtime::Context;

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("copy", "Copies files of the host, of a context or of another state, by content.", copy)
            .details(
                "Of a folder its contents are copied. A target that ends in `/` or is a folder takes things into it. \
                 Sources may be patterns with `*`, `?` and `[a-z]`; one that fits nothing copies nothing. Relative \
                 sources start at the current folder, relative targets at the working folder. Those of a context \
                 start at its folder, which they cannot leave.",
            )
            .param("src", STRINGS, "One source or a list.")
            .param("dst", Type::String, "Where to.")
            .options(copy_options())
            .options(manner_options())
            .returns(STATE, "The new state.")
            .errors(&["not_found", "invalid_argument", "integrity", "interrupted"])
            .example("s = s:copy(\"src\", \"/src\", {exclude={\"*.o\"}})"),
        Function::new("add", "Copies files, unpacks archives, downloads URLs and fetches git repositories.", add)
            .details(
                "As copy; but a local tar archive (plain or compressed with gzip, bzip2, xz or zstd) is unpacked into \
                 `dst`. `https://host/file` is downloaded, with mode 0600 and the server's time. \
                 `https://host/repository.git#ref:folder` and `git@host:repository` are fetched by git.",
            )
            .param("src", STRINGS, "One source or a list.")
            .param("dst", Type::String, "Where to.")
            .options(copy_options())
            .option("unpack", Type::Boolean, "Unpack archives, or not. Default: those that are not downloaded.")
            .option("checksum", Type::String, "`sha256:...`, which downloads must have.")
            .option("keep_git_dir", Type::Boolean, "Keep `.git` of a repository. Default false.")
            .options(manner_options())
            .returns(STATE, "The new state.")
            .errors(&["not_found", "invalid_argument", "integrity", "network", "permission", "interrupted"])
            .example("s = s:add(\"rootfs.tar.xz\", \"/\")"),
        Function::new("copy_out", "Copies a file or folder to the host. Links are never followed out.", |call| {
            let (state_, source, target) = (this(call)?, call.string(0)?, host_folder()?.join(call.string(1)?));
            let opts = call.options();
            let options = files::CopyOptions {
                archive: opts.boolean("archive").unwrap_or(false),
                follow: opts.boolean("follow").unwrap_or(false),
                ..files::CopyOptions::default()
            };
            call.work(move |at| state_.copy_out(&at.engine()?, &source, &target, &options), |_, ()| Ok(()))
        })
        .details("A source that ends with `/.` means what is in the folder.")
        .param("src", Type::String, "In the state.")
        .param("dst", Type::String, "On the host; a folder takes it in.")
        .option("archive", Type::Boolean, "Keep owners and extended attributes. Default false.")
        .option("follow", Type::Boolean, "A source that is a link stands for what it leads to. Default false.")
        .errors(&["not_found", "invalid_argument", "unsupported", "permission", "interrupted"])
        .example("s:copy_out(\"/usr/bin/app\", \".\")"),
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

fn copy_options() -> Vec<Param> {
    const FROM: Type = Type::AnyOf(&[STATE, CONTEXT, Type::Handle("Image"), Type::String]);
    vec![
        option("from", FROM, "Copy from there instead: a state, a context, an image or its name."),
        option(
            "exclude",
            STRINGS,
            "What to leave out. From a context: rules as in `.dockerignore`; else one without `/` fits names anywhere.",
        ),
        option(
            "chown",
            Type::String,
            "`USER[:GROUP]` of the image, or ids; folders on the way that are new get it, too. Default root, and from \
             another state the owners files have there.",
        ),
        option("chmod", Type::String, "Octal mode, such as `\"0755\"`, or words, such as `\"u=rwX,go=rX\"`."),
        option(
            "parents",
            Type::Boolean,
            "Keep the folders of each source's path, from `/./` on if it has that. Default false.",
        ),
        option("link", Type::Boolean, "Make a layer that does not depend on what is below it. Default false."),
    ]
}

fn write_options(opts: &Options) -> Result<WriteOptions> {
    Ok(WriteOptions { mode: mode(&opts.value("mode"))?, owner: opts.string("chown")?, manner: manner(opts)? })
}

fn copy(call: &Call) -> Result<Outcome> {
    let (state_, sources, target, opts) =
        (this(call)?, one_or_more(&call.arg(0)).map_err(|e| call.named(e))?, call.string(1)?, call.options());
    let options = read_copy(&opts)?;
    let from = From::read(&opts)?;
    let run = move |at: &Context| -> Result<State> {
        let engine = at.engine()?;
        state_.copy(&engine, &from.find(&engine)?, &sources, &target, &options)
    };
    call.work(run, state)
}

fn add(call: &Call) -> Result<Outcome> {
    let (state_, sources, target, opts) =
        (this(call)?, one_or_more(&call.arg(0)).map_err(|e| call.named(e))?, call.string(1)?, call.options());
    let options = AddOptions {
        copy: read_copy(&opts)?,
        unpack: opts.boolean("unpack"),
        checksum: opts.string("checksum")?.map(|text| text.parse()).transpose()?,
        keep_git_dir: opts.boolean("keep_git_dir").unwrap_or(false),
    };
    let from = From::read(&opts)?;
    let run = move |at: &Context| -> Result<State> {
        let engine = at.engine()?;
        state_.add(&engine, &from.find(&engine)?, &sources, &target, &options)
    };
    call.work(run, state)
}

fn read_copy(opts: &Options) -> Result<CopyOptions> {
    let mode = opts.value("chmod");
    if matches!(mode, Value::Integer(_) | Value::Number(_)) {
        // Lua has no octal numbers: it could only be misread.
        super::mode(&mode)?;
    }
    Ok(CopyOptions {
        exclude: opts.strings("exclude")?,
        owner: opts.string("chown")?,
        mode: opts.string("chmod")?.map(|text| text.parse()).transpose()?,
        parents: opts.boolean("parents").unwrap_or(false),
        link: opts.boolean("link").unwrap_or(false),
        manner: manner(opts)?,
    })
}

/// Where a copy is from.
enum From {
    Host(PathBuf),
    Context(build::Context),
    State(State),
    Image(Source),
}

impl From {
    fn read(opts: &Options) -> Result<From> {
        Ok(match opts.value("from") {
            Value::Nil => From::Host(host_folder()?),
            Value::UserData(handle) if handle.is::<StateHandle>() => {
                From::State(handle.borrow::<StateHandle>()?.0.clone())
            }
            Value::UserData(handle) if handle.is::<ContextHandle>() => {
                From::Context(handle.borrow::<ContextHandle>()?.get()?)
            }
            value => From::Image(Source::read(&value)?),
        })
    }

    fn find(self, engine: &Engine) -> Result<CopySource> {
        Ok(match self {
            From::Host(folder) => CopySource::Host(folder),
            From::Context(context) => CopySource::Context(context),
            From::State(state) => CopySource::State(state),
            From::Image(Source::Image(image)) => CopySource::State(State::from_image(engine, &image)?),
            From::Image(Source::Name(name)) => {
                let image = engine.image_resolve(&name, Policy::Missing)?;
                CopySource::State(State::from_image(engine, &image)?)
            }
        })
    }
}
