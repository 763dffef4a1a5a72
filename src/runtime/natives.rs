//! What the prelude needs of Rust: jobs, contexts, files of modules, positions in scripts.

use std::path::Path;
use std::rc::Rc;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::{State, branches, folder_of, interrupt, load_prelude, panics, state};
use crate::bindings::error::pair;
use crate::bindings::{build, describe, install};
use crate::engine::error::{Error, Result};
use crate::engine::progress::{Event, Sink};
use crate::engine::suggest;
use crate::stdlib;

/// The table `native` the prelude is given.
///
/// # Errors
/// When memory is short.
pub(super) fn table(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    interrupt::bind(lua, &native)?;
    contexts(lua, &native)?;
    positions(lua, &native)?;
    modules(lua, &native)?;
    errors(lua, &native)?;
    native.raw_set("library_path", state.options.library_path.as_str())?;
    Ok(native)
}

fn raise(lua: &Lua, error: Error) -> mlua::Result<MultiValue> {
    pair(lua, Err(error.into()))
}

fn checked<T>(result: Result<T>) -> mlua::Result<T> {
    result.map_err(mlua::Error::external)
}

fn contexts(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let set = |name: &str, function: Function| native.raw_set(name, function);
    set("branch", lua.create_function(|lua, ()| checked(branches(lua).branch()))?)?;
    set("context", lua.create_function(|lua, id: u64| Ok(branches(lua).switch(id)))?)?;
    set(
        "cancel",
        lua.create_function(|lua, id: u64| {
            branches(lua).cancel(id);
            Ok(())
        })?,
    )?;
    set(
        "release",
        lua.create_function(|lua, id: u64| {
            branches(lua).release(id);
            Ok(())
        })?,
    )?;
    set("wait", lua.create_function(|lua, ()| checked(branches(lua).wait()))?)?;
    let collect = |lua: &Lua, id: u64| {
        let taken = branches(lua).take(id);
        pair(lua, taken.and_then(|done| panics::caught(|| Ok(done(lua)?))))
    };
    set("collect", lua.create_function(collect)?)?;
    let mask = |lua: &Lua, ()| {
        let branches = branches(lua);
        let id = checked(branches.masked())?;
        interrupt::mask();
        Ok((branches.switch(id), id))
    };
    set("mask", lua.create_function(mask)?)?;
    let unmask = |lua: &Lua, (before, masked): (u64, u64)| {
        let branches = branches(lua);
        interrupt::unmask();
        branches.switch(before);
        branches.release(masked);
        Ok(())
    };
    set("unmask", lua.create_function(unmask)?)?;
    let exit = |lua: &Lua, code: i64| {
        // What a process can return, as exit(3) cuts it.
        state(lua).exit.set(Some((code & 0xff) as i32));
        interrupt::stop();
        Ok(())
    };
    set("exit", lua.create_function(exit)?)?;
    set("stopping", lua.create_function(|_, ()| Ok(interrupt::stopping()))?)
}

fn positions(lua: &Lua, native: &Table) -> mlua::Result<()> {
    native.raw_set("where", lua.create_function(|lua, ()| Ok(super::place(lua)))?)?;
    native.raw_set("traceback", lua.create_function(|lua, ()| traceback(lua, None, 1))?)?;
    let folder = |lua: &Lua, ()| {
        let mut level = 0;
        let source = |level: usize| lua.inspect_stack(level, |frame| frame.source().source.map(|s| s.into_owned()));
        while let Some(source) = source(level) {
            if let Some(folder) = source.as_deref().and_then(folder_of) {
                return Ok(folder.display().to_string());
            }
            level += 1;
        }
        Ok(".".to_string())
    };
    native.raw_set("folder", lua.create_function(folder)?)
}

fn modules(lua: &Lua, native: &Table) -> mlua::Result<()> {
    native.raw_set("load", lua.create_function(|lua, name: String| load_prelude(lua, &name))?)?;
    native.raw_set("is_file", lua.create_function(|_, path: String| Ok(Path::new(&path).is_file()))?)?;
    let real_path = |_: &Lua, path: String| {
        let real = std::fs::canonicalize(&path);
        Ok(real.map_or(path, |real| real.display().to_string()))
    };
    native.raw_set("real_path", lua.create_function(real_path)?)?;
    let builtin = |lua: &Lua, name: String| match stdlib::library(&name) {
        Some(text) => {
            lua.load(text).set_name(format!("=[moonshell/{}]", name.replace('.', "/"))).into_function().map(Some)
        }
        None => Ok(None),
    };
    native.raw_set("builtin", lua.create_function(builtin)?)?;
    // Words come from files too, whose bytes are anything.
    let nearest = |_: &Lua, (word, words): (LuaString, Vec<LuaString>)| {
        let words: Vec<String> = words.iter().map(LuaString::to_string_lossy).collect();
        Ok(suggest::nearest(&word.to_string_lossy(), words.iter().map(String::as_str)).map(String::from))
    };
    native.raw_set("nearest", lua.create_function(nearest)?)?;
    let warn = |lua: &Lua, text: LuaString| {
        if let Some(progress) = &state(lua).options.progress {
            progress.event(Event::Warning(text.to_string_lossy()));
        }
        Ok(())
    };
    native.raw_set("warn", lua.create_function(warn)?)?;
    let check_commit = |lua: &Lua, (names, output): (Value, Value)| {
        pair(lua, build::check_commit(&names, &output).map(|()| MultiValue::new()).map_err(Into::into))
    };
    native.raw_set("check_commit", lua.create_function(check_commit)?)
}

fn errors(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let no_module = |lua: &Lua, (name, tried): (String, Vec<String>)| {
        let text = format!("module '{name}' not found");
        raise(lua, Error::not_found(text).with_op("require").with_hint(format!("tried:\n    {}", tried.join("\n    "))))
    };
    native.raw_set("no_module", lua.create_function(no_module)?)?;
    let bad_branch = |lua: &Lua, (index, value): (usize, Value)| {
        let text = format!("parallel: argument {index} must be a function, got {}", describe(&value));
        raise(lua, Error::invalid(text).with_op("parallel"))
    };
    native.raw_set("bad_branch", lua.create_function(bad_branch)?)?;
    let bad_layer = |lua: &Lua, value: Value| {
        let text = format!("State:layer: the function must return a State, got {}", describe(&value));
        raise(lua, Error::invalid(text).with_op("layer"))
    };
    native.raw_set("bad_layer", lua.create_function(bad_layer)?)?;
    let same_type = |_: &Lua, (one, two): (Value, Value)| match (&one, &two) {
        (Value::UserData(one), Value::UserData(two)) => Ok(one.type_id() == two.type_id()),
        _ => Ok(false),
    };
    native.raw_set("same_type", lua.create_function(same_type)?)?;
    let no_function = |lua: &Lua, (module, key): (String, Value)| {
        raise(lua, install::no_function(&state(lua).api, &module, &to_text(lua, &key)))
    };
    native.raw_set("no_function", lua.create_function(no_function)?)?;
    let no_member = |lua: &Lua, (class, key): (String, Value)| {
        raise(lua, install::no_member(&state(lua).api, &class, &to_text(lua, &key)))
    };
    native.raw_set("no_member", lua.create_function(no_member)?)?;
    let read_only = |lua: &Lua, (class, key): (String, Value)| {
        let text = format!("{class} cannot be changed: field '{}'", to_text(lua, &key));
        raise(lua, Error::invalid(text))
    };
    native.raw_set("read_only", lua.create_function(read_only)?)?;
    let close_failed = |lua: &Lua, err: Value| {
        state(lua).close_errors.borrow_mut().push(to_text(lua, &err));
        Ok(())
    };
    native.raw_set("close_failed", lua.create_function(close_failed)?)
}

/// The source (as messages show it) and line of the innermost frame that belongs to a script.
pub(super) fn script_level(lua: &Lua) -> Option<(String, usize)> {
    let mut level = 0;
    loop {
        let frame = lua.inspect_stack(level, |frame| {
            let names = frame.source();
            // Lua cuts long paths in `short_src`, but not in `source`.
            let file = names.source.as_deref().and_then(|source| source.strip_prefix('@')).map(String::from);
            let source = file.unwrap_or_else(|| names.short_src.unwrap_or_default().into_owned());
            (source, frame.current_line())
        })?;
        if let (source, Some(line)) = frame
            && !source.starts_with("[moonshell")
        {
            return Some((source, line));
        }
        level += 1;
    }
}

fn traceback(lua: &Lua, message: Option<&str>, level: usize) -> mlua::Result<String> {
    let text = lua.traceback(message, level)?.to_string_lossy();
    // Frames of the prelude say nothing to whoever wrote the script.
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("[moonshell"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `tostring(value)`, whatever happens.
pub(super) fn to_text(lua: &Lua, value: &Value) -> String {
    let text = lua.globals().get::<Function>("tostring").and_then(|f| f.call::<mlua::LuaString>(value));
    text.map_or_else(|_| format!("({} value)", value.type_name()), |text| text.to_string_lossy())
}

/// The safe part of `debug`: a script's own position and stack.
pub(super) fn debug_library(lua: &Lua) -> mlua::Result<()> {
    let debug = lua.create_table()?;
    let trace = |lua: &Lua, (message, level): (Value, Option<usize>)| {
        let shown = match &message {
            Value::Nil | Value::Thread(_) => None,
            Value::String(text) => Some(text.to_string_lossy()),
            // As in the standard library: anything else is returned untouched.
            _ => return Ok(message),
        };
        Ok(Value::String(lua.create_string(traceback(lua, shown.as_deref(), level.unwrap_or(1))?)?))
    };
    debug.raw_set("traceback", lua.create_function(trace)?)?;
    debug.raw_set("getinfo", lua.create_function(|lua, level: Value| getinfo(lua, &level))?)?;
    lua.globals().raw_set("debug", debug)
}

fn getinfo(lua: &Lua, level: &Value) -> mlua::Result<Option<Table>> {
    let Some(level) = level.as_usize() else {
        return Err(mlua::Error::runtime("bad argument #1 to 'getinfo' (level expected)"));
    };
    let info = lua.inspect_stack(level, |frame| {
        let (source, names) = (frame.source(), frame.names());
        let table = lua.create_table()?;
        table.raw_set("source", source.source.as_deref())?;
        table.raw_set("short_src", source.short_src.as_deref())?;
        table.raw_set("what", source.what)?;
        table.raw_set("linedefined", source.line_defined)?;
        table.raw_set("currentline", frame.current_line().map_or(-1, |line| line as i64))?;
        table.raw_set("name", names.name.as_deref())?;
        mlua::Result::Ok(table)
    });
    info.transpose()
}
