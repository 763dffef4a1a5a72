//! A call from Lua: its arguments, already checked against the row, and what the body makes of them.

use mlua::{AnyUserData, IntoLuaMulti, Lua, MultiValue, UserDataRef, Value};

use super::api::Function;
use super::args;
use super::error::Failed;
use super::opts::Options;
use crate::engine::error::{Error, Result};
use crate::runtime::Context;

/// Converts a result to Lua values, in Lua's thread.
pub type Done = Box<dyn FnOnce(&Lua) -> Result<MultiValue> + Send>;

/// The blocking part of a call: knows nothing of Lua and may run in any thread.
pub type Work = Box<dyn FnOnce(&Context) -> std::result::Result<Done, Failed> + Send>;

/// What a body returns.
pub enum Outcome {
    /// The values, at once.
    Now(MultiValue),
    /// Something that may take long.
    Work(Work),
}

/// A call's arguments.
pub struct Call<'a> {
    lua: &'a Lua,
    row: &'a Function,
    class: Option<&'static str>,
    args: &'a [Value],
}

impl<'a> Call<'a> {
    pub(super) fn new(lua: &'a Lua, row: &'a Function, class: Option<&'static str>, args: &'a [Value]) -> Call<'a> {
        Call { lua, row, class, args }
    }

    /// The Lua state.
    pub fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// The context of the calling branch: its cancel token, and the engine.
    pub fn context(&self) -> Context {
        crate::runtime::context(self.lua)
    }

    /// The function's name as errors show it.
    pub fn name(&self) -> String {
        args::function_name(self.class, self.row)
    }

    /// The handle a method was called on.
    ///
    /// # Errors
    /// `internal` when it is of another type, which the row's check excludes.
    pub fn this<T: 'static>(&self) -> Result<UserDataRef<T>> {
        match self.args.first() {
            Some(Value::UserData(handle)) => Ok(handle.borrow::<T>()?),
            _ => Err(Error::invalid(format!("{}: not called on a handle", self.name()))),
        }
    }

    /// Argument `index`, counted from 0 (in a method: after the handle); nil when left out.
    pub fn arg(&self, index: usize) -> Value {
        let first = usize::from(self.class.is_some());
        self.args.get(first + index).cloned().unwrap_or(Value::Nil)
    }

    /// How many arguments were given, besides the handle.
    pub fn count(&self) -> usize {
        self.args.len().saturating_sub(usize::from(self.class.is_some()))
    }

    /// A string argument.
    ///
    /// # Errors
    /// `invalid_argument` when it is not text in UTF-8.
    pub fn string(&self, index: usize) -> Result<String> {
        self.optional_string(index)?.ok_or_else(|| self.missing(index))
    }

    /// A string argument that may be left out.
    ///
    /// # Errors
    /// `invalid_argument` when it is not text in UTF-8.
    pub fn optional_string(&self, index: usize) -> Result<Option<String>> {
        match self.arg(index) {
            Value::Nil => Ok(None),
            value => {
                args::text(&value).map(Some).map_err(|e| e.context(format!("{}: argument {}", self.name(), index + 1)))
            }
        }
    }

    /// A string argument as bytes.
    ///
    /// # Errors
    /// `invalid_argument` when it is missing.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        match self.arg(index) {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            value => args::text(&value).map(String::into_bytes),
        }
    }

    /// A command argument as an argument vector; `shell` is put before a command line.
    ///
    /// # Errors
    /// `invalid_argument` for a hole or something that is no string.
    pub fn command(&self, index: usize, shell: &[&str]) -> Result<Vec<String>> {
        args::command(&self.arg(index), shell).map_err(|e| self.named(e))
    }

    /// A list of strings.
    ///
    /// # Errors
    /// `invalid_argument` for a hole or something that is no string.
    pub fn strings(&self, index: usize) -> Result<Vec<String>> {
        args::strings(&self.arg(index), "list").map_err(|e| self.named(e))
    }

    /// A handle argument, when it is a handle of this Rust type.
    pub fn handle<T: 'static>(&self, index: usize) -> Option<UserDataRef<T>> {
        match self.arg(index) {
            Value::UserData(handle) => AnyUserData::borrow::<T>(&handle).ok(),
            _ => None,
        }
    }

    /// The trailing option table; empty when none was given.
    pub fn options(&self) -> Options {
        // After any number of arguments it is the last one.
        let place = if self.row.variadic.is_some() { self.count().saturating_sub(1) } else { self.row.params.len() };
        let table = match self.arg(place) {
            Value::Table(table) if !self.row.options.is_empty() => Some(table),
            _ => None,
        };
        Options::new(self.name(), table)
    }

    /// Ends the call with values.
    ///
    /// # Errors
    /// When they cannot be converted.
    pub fn value(&self, values: impl IntoLuaMulti) -> Result<Outcome> {
        Ok(Outcome::Now(values.into_lua_multi(self.lua)?))
    }

    /// Ends the call with work that may take long: `run` does it, without Lua; `convert` turns its result into
    /// values.
    ///
    /// # Errors
    /// Never; a `Result` so that it can end a body.
    pub fn work<T, E, V>(
        &self,
        run: impl FnOnce(&Context) -> std::result::Result<T, E> + Send + 'static,
        convert: impl FnOnce(&Lua, T) -> mlua::Result<V> + Send + 'static,
    ) -> Result<Outcome>
    where
        T: Send + 'static,
        E: Into<Failed>,
        V: IntoLuaMulti,
    {
        Ok(Outcome::Work(Box::new(move |context| {
            let result = run(context).map_err(Into::into)?;
            let done: Done = Box::new(move |lua| Ok(convert(lua, result)?.into_lua_multi(lua)?));
            Ok(done)
        })))
    }

    /// The error with this function's name in front.
    pub fn named(&self, error: Error) -> Error {
        let named = Error::new(error.kind(), format!("{}: {}", self.name(), error.message()));
        match error.hint() {
            Some(hint) => named.with_hint(hint),
            None => named,
        }
    }

    fn missing(&self, index: usize) -> Error {
        Error::invalid(format!("{}: argument {} is missing", self.name(), index + 1))
    }
}
