//! The `fs` module: files of the host.

use std::path::PathBuf;

use mlua::{Lua, Table};

use super::api::{Function, Type};
use super::call::Call;
use super::class::{Class, object};
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::files::{self, Stat};

/// A folder that is removed when it goes out of scope.
pub struct Folder(PathBuf);

fn path(call: &Call, index: usize) -> Result<PathBuf> {
    let text = call.string(index)?;
    if text.is_empty() { Err(Error::invalid("path is empty")) } else { Ok(text.into()) }
}

fn two(call: &Call) -> Result<(PathBuf, PathBuf)> {
    Ok((path(call, 0)?, path(call, 1)?))
}

/// The functions.
pub fn rows() -> Vec<Function> {
    let mut rows = content();
    rows.extend(names());
    rows
}

fn content() -> Vec<Function> {
    vec![
        Function::new("fs.read", "Reads a whole file.", |call| {
            let path = path(call, 0)?;
            call.work(move |_| files::read(&path), |lua, bytes| lua.create_string(bytes))
        })
        .param("path", Type::String, "The file.")
        .returns(Type::String, "Its bytes.")
        .errors(&["not_found", "permission"])
        .example("print(fs.read(\"/etc/hostname\"))"),
        Function::new("fs.write", "Writes a whole file.", |call| {
            let (path, bytes) = (path(call, 0)?, call.bytes(1)?);
            let mode = call.options().integer("mode").map(|mode| mode as u32 & 0o7777);
            call.work(move |_| files::write(&path, &bytes, mode), |_, ()| Ok(()))
        })
        .details("The file has the old content or the new one, never a part of it.")
        .param("path", Type::String, "The file.")
        .param("text", Type::String, "Its new content.")
        .option("mode", Type::Integer, "Permission bits, such as `tonumber(\"755\", 8)`.")
        .errors(&["not_found", "permission"])
        .example("fs.write(\"/tmp/greeting\", \"hello\\n\")"),
        Function::new("fs.append", "Appends to a file; makes it first if need be.", |call| {
            let (path, bytes) = (path(call, 0)?, call.bytes(1)?);
            call.work(move |_| files::append(&path, &bytes), |_, ()| Ok(()))
        })
        .param("path", Type::String, "The file.")
        .param("text", Type::String, "What to add.")
        .errors(&["not_found", "permission"])
        .example("fs.append(\"/tmp/log\", \"done\\n\")"),
        Function::new("fs.copy", "Copies a file, link or whole folder.", |call| {
            let (from, to) = two(call)?;
            call.work(move |at| files::copy(&from, &to, at.cancel()), |_, ()| Ok(()))
        })
        .param("from", Type::String, "What to copy.")
        .param("to", Type::String, "The copy's path, or an existing folder to put it into.")
        .errors(&["not_found", "permission", "unsupported"])
        .example("fs.copy(\"/etc/hosts\", \"/tmp/hosts\")"),
        Function::new("fs.move", "Moves a file or folder, also to another file system.", |call| {
            let (from, to) = two(call)?;
            call.work(move |at| files::rename(&from, &to, at.cancel()), |_, ()| Ok(()))
        })
        .param("from", Type::String, "What to move.")
        .param("to", Type::String, "Its new path.")
        .errors(&["not_found", "permission"])
        .example("fs.move(\"/tmp/a\", \"/tmp/b\")"),
    ]
}

fn names() -> Vec<Function> {
    vec![
        Function::new("fs.exists", "Tells whether there is anything at a path.", |call| {
            let path = path(call, 0)?;
            call.work(move |_| files::stat(&path), |_, stat| Ok(stat.is_some()))
        })
        .param("path", Type::String, "The path.")
        .returns(Type::Boolean, "True when there is.")
        .example("if not fs.exists(\"build\") then fs.mkdir(\"build\") end"),
        Function::new("fs.stat", "Describes a file; a link itself, not what it points to.", |call| {
            let path = path(call, 0)?;
            call.work(move |_| files::stat(&path), |lua, stat| stat.map(|stat| stat_table(lua, &stat)).transpose())
        })
        .param("path", Type::String, "The path.")
        .returns_optional(Type::Table, "`kind` (file, folder, link, other), `size`, `mode`, `uid`, `gid`, `modified`.")
        .example("print(fs.stat(\"/etc/hosts\").size)"),
        Function::new("fs.list", "Lists a folder.", |call| {
            let path = PathBuf::from(call.optional_string(0)?.unwrap_or_else(|| ".".into()));
            call.work(move |_| files::list(&path), |_, names| Ok(names))
        })
        .optional("path", Type::String, "The folder; default the current one.")
        .returns(Type::List(&Type::String), "The names in it, sorted.")
        .errors(&["not_found", "permission"])
        .example("for _, name in ipairs(fs.list(\"/etc\")) do print(name) end"),
        Function::new("fs.glob", "Finds paths that match a pattern.", |call| {
            let pattern = call.string(0)?;
            call.work(move |_| files::glob(&pattern), |_, paths| Ok(paths))
        })
        .param("pattern", Type::String, "`*` and `?` match within a name, `**` across folders.")
        .returns(Type::List(&Type::String), "The paths, sorted.")
        .example("for _, path in ipairs(fs.glob(\"src/**/*.c\")) do print(path) end"),
        Function::new("fs.mkdir", "Makes a folder and those above it; an existing one is fine.", |call| {
            let path = path(call, 0)?;
            let run = move |_: &_| std::fs::create_dir_all(&path).os(|| format!("make folder {}", path.display()));
            call.work(run, |_, ()| Ok(()))
        })
        .param("path", Type::String, "The folder.")
        .errors(&["permission", "already_exists"])
        .example("fs.mkdir(\"/tmp/a/b\")"),
        Function::new("fs.remove", "Removes a file or a whole folder. Links are not followed.", |call| {
            let path = path(call, 0)?;
            call.work(move |_| files::remove(&path), |_, removed| Ok(removed))
        })
        .param("path", Type::String, "What to remove.")
        .returns(Type::Boolean, "False when there was nothing.")
        .errors(&["permission"])
        .example("fs.remove(\"/tmp/a\")"),
        Function::new("fs.tempdir", "Makes an empty folder that is removed at the end of its scope.", |call| {
            let make = |_: &_| tempfile::Builder::new().prefix("moonshell-").tempdir().os(|| "make a temporary folder");
            call.work(make, |lua, folder| object(lua, Folder(folder.keep())))
        })
        .returns(Type::Handle("Folder"), "The folder.")
        .errors(&["permission"])
        .example("local dir <close> = fs.tempdir()\nfs.write(dir.path .. \"/a\", \"text\")"),
    ]
}

/// The `Folder` class.
pub fn folder_class() -> Class {
    Class::new::<Folder>("Folder", "A temporary folder; `<close>` removes it.")
        .field("path", Type::String, "Where it is.", |_, folder: &Folder| Ok(folder.0.display().to_string()))
        .show(|folder: &Folder| format!("Folder({})", folder.0.display()))
        .key(|folder: &Folder| folder.0.display().to_string())
        .method(
            Function::new("remove", "Removes it and what it holds.", |call| {
                let path = call.this::<Folder>()?.0.clone();
                call.work(move |_| files::remove(&path), |_, _| Ok(()))
            })
            .errors(&["permission"])
            .example("dir:remove()"),
        )
        .closes_with("remove")
}

fn stat_table(lua: &Lua, stat: &Stat) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("kind", stat.kind)?;
    table.raw_set("size", stat.size)?;
    table.raw_set("mode", stat.mode)?;
    table.raw_set("uid", stat.uid)?;
    table.raw_set("gid", stat.gid)?;
    table.raw_set("modified", stat.modified)?;
    Ok(table)
}
