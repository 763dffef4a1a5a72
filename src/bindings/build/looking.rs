//! Looking into a state.

use mlua::Lua;

use super::super::api::{Function, Type};
use super::super::class::{Class, object};
use super::this;
use crate::engine::build::FileEntry;

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("read", "Reads a file.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            call.work(move |at| state_.read(&at.engine()?, &path), |lua, bytes| lua.create_string(bytes))
        })
        .param("path", Type::String, "Which.")
        .returns(Type::String, "Its content.")
        .errors(&["not_found", "invalid_argument"])
        .example("print(s:read \"/etc/os-release\")"),
        Function::new("exists", "Tells whether something is there.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            call.work(move |at| state_.exists(&at.engine()?, &path), |_, found| Ok(found))
        })
        .param("path", Type::String, "What; links are followed.")
        .returns(Type::Boolean, "Whether it is.")
        .example("if s:exists \"/usr/bin/gcc\" then print(\"has gcc\") end"),
        Function::new("list", "Lists a folder.", |call| {
            let state_ = this(call)?;
            let path = call.optional_string(0)?.unwrap_or_else(|| "/".into());
            call.work(move |at| state_.list(&at.engine()?, &path), entries)
        })
        .optional("path", Type::String, "Which. Default `/`.")
        .returns(Type::List(&Type::Handle("Entry")), "Its entries by name; prints as a table.")
        .errors(&["not_found", "invalid_argument"])
        .example("for _, e in ipairs(s:list \"/etc\") do print(e.name) end"),
    ]
}

/// The `Entry` class: what a folder of a state holds.
pub fn entry_class() -> Class {
    Class::new::<FileEntry>("Entry", "Something in a folder of a state.")
        .field("name", Type::String, "Its name.", |_, e: &FileEntry| Ok(e.name.clone()))
        .field("kind", Type::String, "`file`, `dir`, `link`, `device`, `fifo` or `socket`.", |_, e: &FileEntry| {
            Ok(e.kind)
        })
        .field("size", Type::Integer, "Bytes.", |_, e: &FileEntry| Ok(e.size))
        .field("mode", Type::Integer, "Permission bits.", |_, e: &FileEntry| Ok(e.mode))
        .field("octal", Type::String, "Permission bits in octal digits.", |_, e: &FileEntry| {
            Ok(format!("{:04o}", e.mode))
        })
        .field("uid", Type::Integer, "Owner.", |_, e: &FileEntry| Ok(e.uid))
        .field("gid", Type::Integer, "Group.", |_, e: &FileEntry| Ok(e.gid))
        .field("mtime", Type::Integer, "Modification time, seconds since 1970.", |_, e: &FileEntry| Ok(e.mtime))
        .show(|e: &FileEntry| format!("Entry({}, {})", e.name, e.kind))
        .key(|e: &FileEntry| format!("{e:?}"))
}

fn entries(lua: &Lua, list: Vec<FileEntry>) -> mlua::Result<mlua::Table> {
    const COLUMNS: &[(&str, &str)] =
        &[("KIND", "kind"), ("MODE", "octal"), ("UID", "uid"), ("GID", "gid"), ("SIZE", "size"), ("NAME", "name")];
    let items = list.into_iter().map(|entry| object(lua, entry)).collect::<mlua::Result<Vec<_>>>()?;
    super::super::list::list(lua, items, COLUMNS)
}
