//! The Lua state: opens it, installs prelude and bindings, runs programs.
//!
//! Errors, waiting and stopping work as `stdlib/prelude.lua` says; this file holds the state and what the prelude
//! needs of Rust ([`natives`]).

pub mod contexts;
pub mod interrupt;
mod natives;
pub mod panics;
pub mod proxy;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

pub use contexts::{Branches, Context};

use crate::bindings::install::{Api, install};
use crate::engine::Config;
use crate::engine::error::Result;
use crate::progress::Switch;
use crate::stdlib;

/// Surroundings of a program besides the engine's.
#[derive(Clone, Default)]
pub struct Options {
    /// Template for `require` after the script's own folder: `A/?.lua;A/?/init.lua;...`.
    pub library_path: String,
    /// The script and its arguments: `arg[0]`, `arg[1]`...
    pub arguments: Vec<String>,
    /// Where `login` writes passwords.
    pub login_file: Option<PathBuf>,
    /// Shows progress, and can be told not to.
    pub progress: Option<Arc<Switch>>,
}

/// What is kept beside the Lua state.
pub(crate) struct State {
    branches: Branches,
    api: Rc<Api>,
    options: Options,
    exit: Cell<Option<i32>>,
    close_errors: RefCell<Vec<String>>,
}

/// How a program ended.
pub enum Ending {
    /// It returned these values.
    Finished(MultiValue),
    /// It raised an error.
    Failed(Failure),
    /// It called `os.exit`.
    Exited(i32),
    /// A signal ended it.
    Interrupted(i32),
}

/// An error nothing caught.
pub struct Failure {
    /// The error value: usually a table or a string.
    pub value: Value,
    /// `script.lua:12` where it was raised, when known.
    pub place: Option<String>,
    /// The call stack.
    pub traceback: String,
}

/// A Lua state with the whole API.
pub struct Runtime {
    lua: Lua,
    core: Table,
    state: Rc<State>,
}

impl Runtime {
    /// Opens a state. `config.cancel` is the token a signal cancels.
    ///
    /// # Errors
    /// `internal` when the prelude fails, which the tests exclude.
    pub fn new(config: Config, options: Options) -> Result<Runtime> {
        let libraries = StdLib::ALL_SAFE;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        // Scripts are short: collecting in generations costs less at start-up and in loops that make handles.
        let api = Rc::new(Api::new());
        let branches = Branches::new(Context::new(config));
        let (exit, close_errors) = (Cell::new(None), RefCell::default());
        let state = Rc::new(State { branches, api: api.clone(), options, exit, close_errors });
        lua.set_app_data(state.clone());
        let native = natives::table(&lua, &state)?;
        let core: Table = load_prelude(&lua, "prelude")?.call(native)?;
        lua.set_named_registry_value(FAILURE, core.raw_get::<Table>("failure")?)?;
        let exports = install(&lua, &api, &core)?;
        let loaded: Table = lua.globals().get::<Table>("package")?.get("loaded")?;
        loaded.raw_set("moonshell", exports)?;
        natives::debug_library(&lua)?;
        set_arguments(&lua, &state.options.arguments)?;
        Ok(Runtime { lua, core, state })
    }

    /// The Lua state.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// The context of the program as a whole.
    pub fn context(&self) -> Context {
        self.state.branches.context()
    }

    /// The API's rows.
    pub fn api(&self) -> &Rc<Api> {
        &self.state.api
    }

    /// Errors of `<close>` handlers during the last clean-up, which could not be raised.
    pub fn take_close_errors(&self) -> Vec<String> {
        self.state.close_errors.take()
    }

    /// Compiles a script. `name` is what messages show: `@script.lua` for a file, `=stdin`.
    ///
    /// # Errors
    /// Lua's syntax error.
    pub fn compile(&self, text: &[u8], name: &str) -> mlua::Result<Function> {
        let text = skip_shebang(text);
        self.lua.load(text).set_name(name).set_mode(mlua::chunk::ChunkMode::Text).into_function()
    }

    /// Runs a function as a program.
    ///
    /// # Errors
    /// `internal` when the prelude fails, which the tests exclude.
    pub fn run(&self, body: Function, args: MultiValue) -> Result<Ending> {
        self.state.exit.set(None);
        let run: Function = self.core.raw_get("run")?;
        let mut values = args;
        values.push_front(Value::Function(body));
        let result: mlua::Result<MultiValue> = run.call(values);
        interrupt::idle();
        let mut result = result?;
        let status = result.pop_front();
        if let Some(code) = self.state.exit.get() {
            return Ok(Ending::Exited(code));
        }
        let failed = status.as_ref().and_then(|s| s.as_string()).is_some_and(|s| s.as_bytes() == b"error");
        let finished = status.as_ref().and_then(|s| s.as_string()).is_some_and(|s| s.as_bytes() == b"ok");
        if let (Some(signal), false) = (interrupt::signal(), finished) {
            return Ok(Ending::Interrupted(signal));
        }
        if failed {
            return Ok(Ending::Failed(failure(result.pop_front())?));
        }
        Ok(Ending::Finished(result))
    }

    /// Runs a function of the prelude or of the host program, outside any script.
    ///
    /// # Errors
    /// Whatever it raises, as text.
    pub fn format(&self, value: &Value) -> String {
        text_of(&self.lua, value)
    }
}

/// `tostring(value)`, whatever happens.
pub(crate) fn text_of(lua: &Lua, value: &Value) -> String {
    natives::to_text(lua, value)
}

const FAILURE: &str = "moonshell.failure";

fn failure(caught: Option<Value>) -> Result<Failure> {
    let Some(Value::Table(caught)) = caught else {
        return Ok(Failure { value: caught.unwrap_or(Value::Nil), place: None, traceback: String::new() });
    };
    let value: Value = caught.raw_get("err")?;
    let mut place: Option<String> = caught.raw_get("where")?;
    if let Value::Table(table) = &value {
        place = table.raw_get::<Option<String>>("where").ok().flatten().or(place);
    }
    Ok(Failure { value, place, traceback: caught.raw_get::<Option<String>>("trace")?.unwrap_or_default() })
}

fn load_prelude(lua: &Lua, name: &str) -> mlua::Result<Function> {
    let missing = || mlua::Error::runtime(format!("no prelude file '{name}'"));
    let text = stdlib::prelude(name).ok_or_else(missing)?;
    lua.load(text).set_name(format!("=[moonshell/{name}]")).into_function()
}

fn set_arguments(lua: &Lua, arguments: &[String]) -> mlua::Result<()> {
    let table = lua.create_table()?;
    for (index, argument) in arguments.iter().enumerate() {
        table.raw_set(index, argument.as_str())?;
    }
    lua.globals().raw_set("arg", table)
}

fn skip_shebang(text: &[u8]) -> &[u8] {
    // The line feed stays, so that line numbers are right.
    if text.starts_with(b"#") { &text[text.iter().position(|b| *b == b'\n').unwrap_or(text.len())..] } else { text }
}

pub(crate) fn state(lua: &Lua) -> Rc<State> {
    match lua.app_data_ref::<Rc<State>>() {
        Some(state) => state.clone(),
        // Set before any Lua code runs.
        None => unreachable!("a Lua state without a runtime"),
    }
}

/// The contexts and jobs of a state.
pub(crate) struct BranchesOf(Rc<State>);

impl std::ops::Deref for BranchesOf {
    type Target = Branches;
    fn deref(&self) -> &Branches {
        &self.0.branches
    }
}

pub(crate) fn branches(lua: &Lua) -> BranchesOf {
    BranchesOf(state(lua))
}

/// The API rows of a state.
pub(crate) fn api(lua: &Lua) -> Rc<Api> {
    state(lua).api.clone()
}

/// The options a state was made with.
pub(crate) fn options(lua: &Lua) -> Options {
    state(lua).options.clone()
}

/// The context of the code that runs now.
pub(crate) fn context(lua: &Lua) -> Context {
    state(lua).branches.context()
}

/// The metatable of error tables.
pub(crate) fn failure_metatable(lua: &Lua) -> Option<Table> {
    lua.named_registry_value(FAILURE).ok()
}

/// `script.lua:12`: the innermost line of a script (not of the prelude) that runs now.
pub(crate) fn place(lua: &Lua) -> Option<String> {
    natives::script_level(lua).map(|(source, line)| format!("{source}:{line}"))
}

/// The folder of a script, for `require`.
pub(crate) fn folder_of(source: &str) -> Option<PathBuf> {
    let parent = Path::new(source.strip_prefix('@')?).parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() })
}
