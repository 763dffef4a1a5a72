//! The files of containers in Lua: copying, what changed, tars, images of them.

use std::io::Write;

use super::super::api::{Function, Type, option};
use super::super::call::{Call, Outcome};
use super::super::class::object;
use super::super::{Options as LuaOptions, Param};
use super::class::Handle;
use crate::engine::container::files::CopyOptions;
use crate::engine::error::{OsContext, Result};
use crate::engine::reference::Reference;

/// The methods.
pub fn methods() -> Vec<Function> {
    vec![copy_in_row(), copy_out_row(), diff_row(), export_row(), commit_row()]
}

fn copy_options() -> Vec<Param> {
    vec![
        option("archive", Type::Boolean, "Keep owners. Default false: root inside, you outside."),
        option("follow", Type::Boolean, "A source that is a link stands for what it leads to. Default false."),
    ]
}

fn copy_wishes(opts: &LuaOptions) -> CopyOptions {
    CopyOptions {
        archive: opts.boolean("archive").unwrap_or(false),
        follow: opts.boolean("follow").unwrap_or(false),
        ..CopyOptions::default()
    }
}

fn copy_in_row() -> Function {
    Function::new("copy_in", "Copies a file or folder of the host into it, running or not.", |call| {
        let id = call.this::<Handle>()?.touch();
        let (source, target, options) = (call.string(0)?, call.string(1)?, copy_wishes(&call.options()));
        let run = move |at: &crate::runtime::Context| {
            let engine = at.engine()?;
            match source.as_str() {
                "-" => engine.container_tar_in(&id, &mut std::io::stdin(), &target, &options),
                path => engine.container_copy_in(&id, path.as_ref(), &target, &options),
            }
        };
        call.work(run, |_, ()| Ok(mlua::Value::Nil))
    })
    .details("A source that ends with `/.` means what is in the folder. `-` reads a tar stream from standard input.")
    .param("source", Type::String, "On the host; `-` for a tar stream.")
    .param("target", Type::String, "In the container.")
    .options(copy_options())
    .errors(&["not_found", "invalid_argument", "permission", "in_use", "interrupted"])
    .example("container.get(\"web\"):copy_in(\"site\", \"/srv\")")
}

fn copy_out_row() -> Function {
    Function::new(
        "copy_out",
        "Copies a file or folder out of it, running or not. Links are never followed out.",
        |call| {
            let id = call.this::<Handle>()?.touch();
            let (source, target, options) = (call.string(0)?, call.string(1)?, copy_wishes(&call.options()));
            let run = move |at: &crate::runtime::Context| {
                let engine = at.engine()?;
                match target.as_str() {
                    "-" => to_output(|out| engine.container_tar_out(&id, &source, out, &options)),
                    path => engine.container_copy_out(&id, &source, path.as_ref(), &options),
                }
            };
            call.work(run, |_, ()| Ok(mlua::Value::Nil))
        },
    )
    .details("A source that ends with `/.` means what is in the folder. `-` writes a tar stream to standard output.")
    .param("source", Type::String, "In the container.")
    .param("target", Type::String, "On the host; `-` for a tar stream.")
    .options(copy_options())
    .errors(&["not_found", "invalid_argument", "permission", "interrupted"])
    .example("container.get(\"web\"):copy_out(\"/var/log/web.log\", \".\")")
    .flushes()
}

fn diff_row() -> Function {
    Function::new("diff", "What it added, changed and deleted against its image.", |call| {
        let id = call.this::<Handle>()?.touch();
        call.work(
            move |at| at.engine()?.container_diff(&id),
            |lua, changes| {
                let list = lua.create_table()?;
                for change in changes {
                    let entry = lua.create_table()?;
                    entry.raw_set("kind", change.kind.letter().to_string())?;
                    entry.raw_set("path", lua.create_string(change.path.as_os_str().as_encoded_bytes())?)?;
                    list.push(entry)?;
                }
                Ok(list)
            },
        )
    })
    .returns(Type::List(&Type::Table), "`kind` (`A`, `C`, `D`) and `path` each, by path.")
    .errors(&["not_found"])
    .example("for _, d in ipairs(container.get(\"web\"):diff()) do print(d.kind, d.path) end")
}

fn export_row() -> Function {
    Function::new("export", "Writes its root file system, without what is mounted in it, as a tar.", |call| {
        let (id, path) = (call.this::<Handle>()?.touch(), call.string(0)?);
        let run = move |at: &crate::runtime::Context| {
            let engine = at.engine()?;
            if path == "-" {
                return to_output(|out| engine.container_export(&id, out));
            }
            export_to(path.as_ref(), |out| engine.container_export(&id, out))
        };
        call.work(run, |_, ()| Ok(mlua::Value::Nil))
    })
    .param("path", Type::String, "The file; it appears whole or not at all. `-` for standard output.")
    .errors(&["not_found", "permission", "interrupted"])
    .example("container.get(\"web\"):export(\"web.tar\")")
    .flushes()
}

fn commit_row() -> Function {
    Function::new("commit", "Makes an image of it as it is.", commit)
        .optional("ref", Type::String, "The image's name.")
        .option("message", Type::String, "A remark for the history.")
        .option("author", Type::String, "Who made it.")
        .option("changes", Type::List(&Type::String), "Dockerfile instructions such as `CMD [\"/app\"]`, `ENV A=b`.")
        .option("pause", Type::Boolean, "Freeze a running container meanwhile. Default true.")
        .returns(Type::Handle("Image"), "The image.")
        .errors(&["not_found", "invalid_argument", "unsupported", "interrupted"])
        .example("container.get(\"web\"):commit(\"web:2\", {message=\"configured by hand\"})")
}

fn commit(call: &Call) -> Result<Outcome> {
    let id = call.this::<Handle>()?.touch();
    let reference: Option<Reference> = call.optional_string(0)?.map(|text| text.parse()).transpose()?;
    let opts = call.options();
    let (message, author) = (opts.string("message")?, opts.string("author")?);
    let (changes, pause) = (opts.strings("changes")?, opts.boolean("pause").unwrap_or(true));
    call.work(move |at| at.engine()?.container_commit(&id, reference.as_ref(), message, author, changes, pause), object)
}

fn to_output(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    write(&mut out)?;
    out.flush().os(|| "write to standard output")
}

/// Writes a file under another name, and renames it when it is whole.
fn export_to(path: &std::path::Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let what = || format!("write {}", path.display());
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let file = crate::engine::store::temporary::TemporaryFile::new_in(folder)?;
    let mut out = std::io::BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).os(what)?;
    file.persist(path).os(what)
}
