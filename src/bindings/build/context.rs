//! `build.context` and the `Context` handle: folders that a build copies from.

use std::sync::{Mutex, PoisonError};

use mlua::{AnyUserData, Lua, Value};

use super::super::api::{Function, Type};
use super::super::args;
use super::super::call::{Call, Outcome};
use super::super::class::{Class, object};
use super::super::container::host_folder;
use super::STRINGS;
use crate::engine::build::{Context, ContextOptions, ContextSource};
use crate::engine::error::{Error, Result};

/// A context as a handle; empty once it was closed.
pub struct ContextHandle {
    name: String,
    folder: String,
    file: Option<String>,
    context: Mutex<Option<Context>>,
}

/// The class.
pub const CONTEXT: Type = Type::Handle("Context");

impl ContextHandle {
    /// The context.
    ///
    /// # Errors
    /// `invalid_argument` once it was closed.
    pub fn get(&self) -> Result<Context> {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        context.clone().ok_or_else(|| Error::invalid(format!("context '{}' is closed", self.name)))
    }

    fn close(&self) {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The function.
pub fn row() -> Function {
    Function::new("build.context", "Opens a folder that builds copy from and that they cannot leave.", open)
        .details(
            "Archives (tar, plain or compressed, also at a URL) are unpacked into a temporary folder, `-` is one on \
             standard input. A repository (`https://host/repository.git#ref:folder`, `git@host:repository`, \
             `file:///folder#ref`) is fetched by git. \
             Rules are those of `.dockerignore`. A Context stands for itself, under the rules given here.",
        )
        .param("src", Type::AnyOf(&[Type::String, CONTEXT]), "A folder, an archive, a URL or `-`; or a Context.")
        .option("ignore", STRINGS, "Rules of what to leave out of copies.")
        .option("ignore_file", Type::String, "A file of rules in the context; an absolute path is the host's.")
        .option("file", Type::String, "Of a stream that is text and no archive: the file that it becomes.")
        .returns(CONTEXT, "The context.")
        .errors(&["not_found", "invalid_argument", "integrity", "interrupted"])
        .example("local ctx <close> = build.context(\".\", {ignore={\"**/*.o\", \".git\"}})")
}

fn open(call: &Call) -> Result<Outcome> {
    let opts = call.options();
    let source = match call.arg(0) {
        Value::UserData(other) => ContextSource::Same(other.borrow::<ContextHandle>()?.get()?),
        value => match args::text(&value)?.as_str() {
            "-" => ContextSource::Stream(Box::new(std::io::stdin())),
            name => ContextSource::Name(name.into()),
        },
    };
    let options = ContextOptions {
        ignore: opts.strings("ignore")?,
        ignore_file: opts.string("ignore_file")?,
        file: opts.string("file")?,
        base: host_folder()?,
    };
    call.work(move |at| Context::open(&at.engine()?, source, &options), handle)
}

fn handle(lua: &Lua, context: Context) -> mlua::Result<AnyUserData> {
    let (name, folder) = (context.name().to_string(), context.folder().display().to_string());
    let file = context.file().map(str::to_string);
    object(lua, ContextHandle { name, folder, file, context: Mutex::new(Some(context)) })
}

/// The `Context` class.
pub fn class() -> Class {
    Class::new::<ContextHandle>("Context", "A folder that builds copy from and cannot leave; `<close>` gives it up.")
        .field("folder", Type::String, "The folder of the host it stands for.", |_, c: &ContextHandle| {
            Ok(c.folder.clone())
        })
        .optional_field(
            "file",
            Type::String,
            "The only file in it, where a stream was no archive.",
            |_, c: &ContextHandle| Ok(c.file.clone()),
        )
        .show(|c: &ContextHandle| format!("Context({})", c.name))
        .method(
            Function::new("read", "Reads a file, whatever the rules say.", |call| {
                let (context, path) = (call.this::<ContextHandle>()?.get()?, call.string(0)?);
                let convert = |lua: &Lua, content: Option<Vec<u8>>| content.map(|c| lua.create_string(c)).transpose();
                call.work(move |_| context.read(&path), convert)
            })
            .param("path", Type::String, "Which; links lead nowhere but into the context.")
            .returns_optional(Type::String, "Its content; nil when nothing is there.")
            .errors(&["invalid_argument"])
            .example("local text = ctx:read \"Dockerfile\""),
        )
        .method(
            Function::new("exists", "Tells whether something is there, whatever the rules say.", |call| {
                let (context, path) = (call.this::<ContextHandle>()?.get()?, call.string(0)?);
                call.work(move |_| context.exists(&path), |_, found| Ok(found))
            })
            .param("path", Type::String, "What; links are followed inside the context.")
            .returns(Type::Boolean, "Whether it is.")
            .example("if ctx:exists \"Makefile\" then print(\"make\") end"),
        )
        .method(
            Function::new("close", "Gives the context up; what was unpacked for it is removed.", |call| {
                call.this::<ContextHandle>()?.close();
                call.value(())
            })
            .example("ctx:close()"),
        )
        .closes_with("close")
}
