//! The command line's commands: Lua modules in `stdlib/commands/` and in the user's command folder.
//!
//! ```text
//! words --names--> a file --driver (stdlib/lib/command.lua)--> its table --declaration, parser--> args, flags --> run
//! ```
//!
//! Exit statuses: what `run` returns, 0 for nothing; for an error the status in the error itself (126, 127) or the
//! module's `failure`, which is 125 for those that start programs and 1 for others; for flags that make no sense 2, or
//! that `failure`; 141 when whoever reads the output has gone.

mod declaration;
pub mod names;
mod natives;
mod parser;
mod terminal;
mod usage;

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Function, IntoLuaMulti, MultiValue, Table, Value};

use crate::engine::error::Result;
use crate::report::{self, Report};
use crate::runtime::{Ending, Runtime};
use crate::stdlib;
use names::{Meaning, Names};

/// The commands of a Lua state.
pub struct Commands<'a> {
    runtime: &'a Runtime,
    names: Names,
    failure: Rc<Cell<i32>>,
    driver: Table,
}

impl<'a> Commands<'a> {
    /// Loads the driver.
    ///
    /// # Errors
    /// `internal` when it cannot be loaded, which the tests exclude.
    pub fn new(runtime: &'a Runtime, names: Names) -> Result<Commands<'a>> {
        let (lua, failure) = (runtime.lua(), Rc::new(Cell::new(report::FAILURE)));
        let native = natives::table(lua, &names, &failure)?;
        let text = stdlib::command_library("command").unwrap_or_default();
        let driver = lua.load(text).set_name("=[moonshell/lib/command]").into_function()?.call(native)?;
        Ok(Commands { runtime, names, failure, driver })
    }

    /// What they are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Runs what the words name and returns the exit status; `None` when they name nothing. Errors are printed,
    /// with a `traceback` where that is asked for.
    pub fn run(&self, words: &[String], traceback: bool) -> Option<i32> {
        let list: Vec<&str> = words.iter().map(String::as_str).collect();
        let ending = match self.names.find(&list)? {
            Meaning::Group(name) => self.call("group", name),
            Meaning::Command(path, _, used) => self.call("main", (path, words[used..].to_vec())),
            Meaning::Unknown(name, near) => return Some(unknown(&name, near)),
        };
        Some(self.status(ending, traceback))
    }

    /// The help text of what the words name; `None` when they name nothing.
    pub fn help(&self, words: &[String]) -> Option<i32> {
        let list: Vec<&str> = words.iter().map(String::as_str).collect();
        let ending = match self.names.find(&list)? {
            Meaning::Group(name) => self.call("group", name),
            Meaning::Command(path, ..) => self.call("help", path),
            Meaning::Unknown(name, near) => return Some(unknown(&name, near)),
        };
        Some(self.status(ending, false))
    }

    /// Prints every command with what it does, and returns the exit status.
    pub fn overview(&self) -> i32 {
        self.status(self.call("overview", self.names.groups()), false)
    }

    fn call(&self, function: &str, args: impl IntoLuaMulti) -> Result<Ending> {
        self.failure.set(report::FAILURE);
        let function: Function = self.driver.raw_get(function)?;
        self.runtime.run(function, args.into_lua_multi(self.runtime.lua())?)
    }

    fn status(&self, ending: Result<Ending>, traceback: bool) -> i32 {
        for text in self.runtime.take_close_errors() {
            report::warning(&format!("while closing: {text}"));
        }
        match ending {
            Ok(Ending::Finished(values)) => returned(&values),
            Ok(Ending::Exited(status)) => status,
            Ok(Ending::Interrupted(signal)) => 128 + signal,
            Ok(Ending::Failed(failure)) => {
                let report = Report::script(self.runtime, &failure, traceback);
                report.print(&report::line_of_file);
                let own = match &failure.value {
                    Value::Table(table) => table.raw_get::<Option<i32>>("exit_code").ok().flatten(),
                    _ => None,
                };
                own.unwrap_or(if report.bug { report::BUG } else { self.failure.get() })
            }
            Err(error) => {
                let report = Report::engine(&error);
                report.print(&report::line_of_file);
                report.status()
            }
        }
    }
}

fn returned(values: &MultiValue) -> i32 {
    match values.front() {
        Some(Value::Integer(status)) => (*status & 0xff) as i32,
        Some(Value::Boolean(false)) => report::FAILURE,
        _ => 0,
    }
}

fn unknown(name: &str, near: Option<String>) -> i32 {
    let group = name.split(' ').next().unwrap_or(name);
    let hint = near.map_or(format!("`moonshell {group}` lists them"), |near| format!("did you mean '{near}'?"));
    Report::usage(format!("no such command '{name}'"), Some(hint)).print(&report::line_of_file);
    report::USAGE
}
