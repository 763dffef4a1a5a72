//! The functions `stdlib/lib/command.lua` is made with. Like all natives they never raise: `(true, values)` or
//! `(false, error)`.

use std::cell::Cell;
use std::io::IsTerminal;
use std::rc::Rc;
use std::time::Duration;

use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};

use super::declaration::Declaration;
use super::names::{Names, Source};
use super::parser::{self, Parsed};
use super::terminal;
use crate::bindings::error::pair;
use crate::bindings::list::columns;
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::suggest::nearest;
use crate::progress;
use crate::report::{self, Report};
use crate::runtime;
use crate::stdlib;

/// The table `native` of the driver. `failure` receives the status a failing command ends with.
///
/// # Errors
/// When memory is short.
pub fn table(lua: &Lua, names: &Names, failure: &Rc<Cell<i32>>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    files(lua, &native, names)?;
    words(lua, &native, failure)?;
    output(lua, &native)?;
    surroundings(lua, &native)?;
    Ok(native)
}

fn give<T: IntoLuaMulti>(lua: &Lua, result: Result<T>) -> mlua::Result<MultiValue> {
    let values = result.and_then(|value| Ok(value.into_lua_multi(lua)?));
    pair(lua, values.map_err(Into::into))
}

fn files(lua: &Lua, native: &Table, names: &Names) -> mlua::Result<()> {
    let library = |lua: &Lua, name: String| {
        let text = stdlib::command_library(&name);
        let text = text.ok_or_else(|| Error::not_found(format!("commands have no library '{name}'")));
        give(lua, text.and_then(|text| chunk(lua, text.as_bytes(), &format!("=[moonshell/lib/{name}]"))))
    };
    native.raw_set("library", lua.create_function(library)?)?;
    let found = names.clone();
    let module = move |lua: &Lua, path: String| {
        let source = found.source(&path).ok_or_else(|| Error::not_found(format!("no such command '{path}'")));
        give(lua, source.and_then(|source| load(lua, &path, &source)))
    };
    native.raw_set("module", lua.create_function(module)?)?;
    let found = names.clone();
    native.raw_set("names", lua.create_function(move |_, ()| Ok(found.all()))?)?;
    let found = names.clone();
    let group = move |lua: &Lua, name: String| {
        let rows = found.group(&name).into_iter().map(|(name, path)| lua.create_sequence_from([name, path]));
        rows.collect::<mlua::Result<Vec<_>>>()
    };
    native.raw_set("group", lua.create_function(group)?)
}

fn load(lua: &Lua, path: &str, source: &Source) -> Result<Function> {
    match source {
        Source::BuiltIn(text) => chunk(lua, text.as_bytes(), &format!("=[moonshell/commands/{path}]")),
        Source::File(file) => {
            let text = std::fs::read(file).os(|| format!("read {}", file.display()))?;
            chunk(lua, &text, &format!("@{}", file.display()))
        }
    }
}

fn chunk(lua: &Lua, text: &[u8], name: &str) -> Result<Function> {
    let chunk = lua.load(text).set_name(name).set_mode(mlua::chunk::ChunkMode::Text);
    chunk.into_function().map_err(|error| match error {
        mlua::Error::SyntaxError { message, .. } => Error::invalid(message),
        other => other.into(),
    })
}

fn words(lua: &Lua, native: &Table, failure: &Rc<Cell<i32>>) -> mlua::Result<()> {
    let failure = failure.clone();
    let parse = move |lua: &Lua, (name, module, words): (String, Table, Vec<String>)| {
        let parsed = Declaration::read(lua, &name, &module).and_then(|declaration| {
            failure.set(declaration.failure);
            let words = words.into_iter().map(Into::into).collect();
            let misuse = declaration.misuse_status();
            Ok((parser::parse(lua, &name, &declaration, words)?, misuse))
        });
        match parsed {
            Ok((Parsed::Run(args, flags), _)) => give(lua, Ok((Value::Nil, args, flags))),
            Ok((Parsed::Help(text), _)) => give(lua, Ok((0, text))),
            Ok((Parsed::Wrong(report), status)) => {
                report.print(&report::line_of_file);
                give(lua, Ok(status))
            }
            Err(error) => give::<()>(lua, Err(error)),
        }
    };
    native.raw_set("parse", lua.create_function(parse)?)?;
    let help = |lua: &Lua, (name, module): (String, Table)| {
        give(lua, Declaration::read(lua, &name, &module).map(|declaration| parser::help(&name, &declaration)))
    };
    native.raw_set("help", lua.create_function(help)?)?;
    let near = |_: &Lua, (word, known): (String, Vec<String>)| {
        Ok(nearest(&word, known.iter().map(String::as_str)).map(String::from))
    };
    native.raw_set("nearest", lua.create_function(near)?)
}

fn output(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let grid = |_: &Lua, (headings, rows): (Option<Vec<String>>, Vec<Vec<String>>)| Ok(columns(headings, rows));
    native.raw_set("grid", lua.create_function(grid)?)?;
    let failed = |lua: &Lua, error: Value| {
        Report::value(lua, &error).print(&report::line_of_file);
        Ok(())
    };
    native.raw_set("report", lua.create_function(failed)?)?;
    let warning = |_: &Lua, text: String| {
        report::warning(&text);
        Ok(())
    };
    native.raw_set("warning", lua.create_function(warning)?)?;
    let quiet = |lua: &Lua, ()| {
        if let Some(progress) = runtime::options(lua).progress {
            progress.turn_off();
        }
        Ok(())
    };
    native.raw_set("quiet", lua.create_function(quiet)?)?;
    let show_progress = |lua: &Lua, mode: String| {
        if let Some(switch) = runtime::options(lua).progress {
            switch.turn_to(progress::sink(progress::Mode::of(&mode)));
        }
        Ok(())
    };
    native.raw_set("show_progress", lua.create_function(show_progress)?)
}

fn surroundings(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let is_terminal = |_: &Lua, stream: String| {
        Ok(match stream.as_str() {
            "stdin" => std::io::stdin().is_terminal(),
            _ => std::io::stdout().is_terminal(),
        })
    };
    native.raw_set("is_terminal", lua.create_function(is_terminal)?)?;
    let password = |lua: &Lua, prompt: String| give(lua, terminal::password(&prompt, runtime::context(lua).cancel()));
    native.raw_set("password", lua.create_function(password)?)?;
    let wait = |lua: &Lua, seconds: f64| {
        let bad = |_| Error::invalid(format!("cannot wait for {seconds} seconds"));
        let time = Duration::try_from_secs_f64(seconds).map_err(bad);
        give(lua, time.and_then(|time| terminal::wait(time, runtime::context(lua).cancel())))
    };
    native.raw_set("wait", lua.create_function(wait)?)?;
    let now = |_: &Lua, ()| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(since.unwrap_or_default().as_secs_f64())
    };
    native.raw_set("now", lua.create_function(now)?)?;
    let seconds =
        |lua: &Lua, text: String| give(lua, crate::bindings::args::duration_of(&text).map(|time| time.as_secs_f64()));
    native.raw_set("seconds", lua.create_function(seconds)?)?;
    let bytes = |lua: &Lua, text: String| give(lua, crate::bindings::args::size_of(&text));
    native.raw_set("bytes", lua.create_function(bytes)?)?;
    // A name that cannot be told is only missed by who asks for it.
    let executable = std::env::current_exe().ok().map(|path| path.display().to_string());
    native.raw_set("executable", executable)?;
    native.raw_set("version", env!("CARGO_PKG_VERSION"))
}
