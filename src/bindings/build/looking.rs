//! Looking into a state.

use std::os::unix::ffi::OsStrExt;

use mlua::{Lua, Table};

use super::super::api::{Function, Type};
use super::super::class::{Class, object};
use super::super::list::{human_size, tables, with_text};
use super::{STATE, StateHandle, this};
use crate::engine::build::{Difference, FileEntry, Reason, StateHistory, TreeStep, Why};
use crate::runtime::Context;

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
        Function::new("stat", "Looks at one file or folder.", |call| {
            let (state_, path) = (this(call)?, call.string(0)?);
            let entry = |lua: &Lua, found: Option<FileEntry>| found.map(|entry| object(lua, entry)).transpose();
            call.work(move |at| state_.stat(&at.engine()?, &path), entry)
        })
        .param("path", Type::String, "Which; a link at its end is looked at itself.")
        .returns_optional(Type::Handle("Entry"), "What is there, or nil.")
        .errors(&["invalid_argument"])
        .example("print(s:stat(\"/bin/sh\").octal)"),
        Function::new("diff", "Compares it with another state.", |call| {
            let (state_, other) = (this(call)?, call.handle::<StateHandle>(0).map(|other| other.0.clone()));
            let run = move |at: &Context| match other {
                Some(other) => state_.diff(&at.engine()?, &other),
                None => Ok(Vec::new()),
            };
            call.work(run, differences)
        })
        .details("Content, kind, mode and owner count, times do not. A folder that is deleted stands for what was in it.")
        .param("other", STATE, "The other state.")
        .returns(Type::List(&Type::Table), "What differs there: `kind` (`added`, `changed` or `deleted`) and `path`.")
        .errors(&["interrupted"])
        .example("print(s:diff(s:run \"make install\"))"),
        Function::new("tree", "Lists the steps that led to it.", |call| {
            let state_ = this(call)?;
            call.work(move |at| state_.tree(&at.engine()?), tree)
        })
        .returns(Type::List(&Type::Table), "From the base: `step`, `size`, `layer`, `created`, `cached`, `key`; prints as a table.")
        .example("print(s:tree())"),
        Function::new("history", "Returns the history an image of it would have, oldest step first.", |call| {
            let state_ = this(call)?;
            call.work(move |at| at.engine().map(|engine| state_.history(&engine)), history)
        })
        .returns(Type::List(&Type::Table), "`created_by`, `created`, `comment`, `empty_layer`, `layer`, `size`.")
        .example("print(s:history())"),
        Function::new("why", "Tells why its last step that was not in the cache had to run.", |call| {
            let state_ = this(call)?;
            call.work(move |at| state_.why(&at.engine()?), why)
        })
        .details("What the step read is compared with what it read the last time it ran.")
        .returns(
            Type::List(&Type::Table),
            "Reasons: `step`, `kind` (`file`, `env`, `parent`, `command`, `option`, `first`, `cached`, `disabled` or `gone`), \
             `name`, `before`, `after`; prints as a sentence.",
        )
        .example("print(s:why())"),
    ]
}

fn differences(lua: &Lua, list: Vec<Difference>) -> mlua::Result<Table> {
    let row = |one: Difference| {
        let row = lua.create_table()?;
        row.raw_set("kind", one.kind)?;
        row.raw_set("path", lua.create_string(one.path.as_os_str().as_bytes())?)?;
        Ok(row)
    };
    let rows = list.into_iter().map(row).collect::<mlua::Result<Vec<_>>>()?;
    tables(lua, rows, &[("KIND", "kind"), ("PATH", "path")])
}

fn tree(lua: &Lua, steps: Vec<TreeStep>) -> mlua::Result<Table> {
    let row = |one: TreeStep| {
        let row = lua.create_table()?;
        row.raw_set("step", one.step.words)?;
        row.raw_set("size", one.size)?;
        row.raw_set("layer", one.step.layer)?;
        row.raw_set("cached", one.step.created.is_some().then_some(one.step.cached))?;
        row.raw_set("created", one.step.created)?;
        row.raw_set("key", one.key.to_string())?;
        Ok(row)
    };
    let rows = steps.into_iter().map(row).collect::<mlua::Result<Vec<_>>>()?;
    tables(
        lua,
        rows,
        &[("KEY", "key"), ("CACHED", "cached"), ("SIZE", "size"), ("CREATED", "created"), ("STEP", "step")],
    )
}

fn history(lua: &Lua, steps: Vec<StateHistory>) -> mlua::Result<Table> {
    let row = |one: StateHistory| {
        let row = lua.create_table()?;
        row.raw_set("created_by", one.entry.created_by)?;
        row.raw_set("created", one.entry.created)?;
        row.raw_set("comment", one.entry.comment)?;
        row.raw_set("empty_layer", one.entry.empty_layer)?;
        row.raw_set("layer", one.layer)?;
        row.raw_set("size", one.size)?;
        Ok(row)
    };
    let rows = steps.into_iter().map(row).collect::<mlua::Result<Vec<_>>>()?;
    tables(lua, rows, &[("CREATED", "created"), ("SIZE", "size"), ("CREATED BY", "created_by")])
}

fn why(lua: &Lua, why: Why) -> mlua::Result<Table> {
    let text = why.to_string();
    let row = |one: Reason| {
        let row = lua.create_table()?;
        row.raw_set("step", one.step)?;
        row.raw_set("kind", one.kind)?;
        row.raw_set("name", one.name)?;
        row.raw_set("before", one.before)?;
        row.raw_set("after", one.after)?;
        Ok(row)
    };
    let rows = why.reasons.into_iter().map(row).collect::<mlua::Result<Vec<_>>>()?;
    with_text(lua, lua.create_sequence_from(rows)?, text)
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
        .show(|e: &FileEntry| match e.kind {
            "file" => format!(
                "Entry({}, file, {:04o}, {})",
                e.name,
                e.mode,
                human_size(i64::try_from(e.size).unwrap_or(i64::MAX))
            ),
            kind => format!("Entry({}, {kind}, {:04o})", e.name, e.mode),
        })
        .key(|e: &FileEntry| format!("{e:?}"))
}

fn entries(lua: &Lua, list: Vec<FileEntry>) -> mlua::Result<mlua::Table> {
    const COLUMNS: &[(&str, &str)] =
        &[("KIND", "kind"), ("MODE", "octal"), ("UID", "uid"), ("GID", "gid"), ("SIZE", "size"), ("NAME", "name")];
    let items = list.into_iter().map(|entry| object(lua, entry)).collect::<mlua::Result<Vec<_>>>()?;
    super::super::list::list(lua, items, COLUMNS)
}
