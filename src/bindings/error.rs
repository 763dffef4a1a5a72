//! Engine errors as Lua values: a table with `kind, op, subject, message, causes, hint, exit_code, stderr, where`.
//!
//! Rust never raises: natives return `(false, table)` and the prelude raises the table, so that it survives pcall,
//! rethrowing, coroutines and `parallel` as it is.

use mlua::{Lua, Table, Value};

use crate::engine::error::{Error, Kind};

type Attach = Box<dyn FnOnce(&Lua, &Table) -> mlua::Result<()> + Send>;

/// A failed call: the error, and what to put into its Lua table besides.
pub struct Failed {
    error: Error,
    attach: Option<Attach>,
}

impl Failed {
    /// An error with further fields, such as the `state` of a failed build step.
    pub fn with(error: Error, attach: impl FnOnce(&Lua, &Table) -> mlua::Result<()> + Send + 'static) -> Failed {
        Failed { error, attach: Some(Box::new(attach)) }
    }

    /// The error.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Names the operation, unless the engine did.
    pub fn with_op(self, prefix: &str, name: &str) -> Failed {
        if self.error.op().is_empty() {
            return Failed { error: self.error.with_op(&format!("{prefix}{name}")), ..self };
        }
        self
    }

    /// The error's Lua table.
    ///
    /// # Errors
    /// When memory is short.
    pub fn into_table(self, lua: &Lua) -> mlua::Result<Table> {
        let table = table(lua, &self.error)?;
        if let Some(attach) = self.attach {
            attach(lua, &table)?;
        }
        Ok(table)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { error, attach: None }
    }
}

impl From<mlua::Error> for Error {
    fn from(error: mlua::Error) -> Error {
        let kind = match &error {
            mlua::Error::FromLuaConversionError { .. } | mlua::Error::RuntimeError(_) => Kind::InvalidArgument,
            _ => Kind::Internal,
        };
        Error::new(kind, error.to_string())
    }
}

/// Makes the Lua table for an error.
///
/// # Errors
/// When memory is short.
pub fn table(lua: &Lua, error: &Error) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("kind", error.kind().name())?;
    table.raw_set("message", error.message())?;
    for (key, text) in [("op", error.op()), ("subject", error.subject())] {
        if !text.is_empty() {
            table.raw_set(key, text)?;
        }
    }
    table.raw_set("causes", error.causes())?;
    table.raw_set("hint", error.hint())?;
    table.raw_set("errno", error.errno())?;
    if let Some(exit) = error.exit() {
        table.raw_set("exit_code", exit.code)?;
        table.raw_set("stderr", exit.stderr.as_str())?;
    }
    table.raw_set("where", crate::runtime::place(lua))?;
    table.set_metatable(crate::runtime::failure_metatable(lua))?;
    Ok(table)
}

/// What a native function returns for `result`.
///
/// # Errors
/// When memory is short.
pub fn pair(lua: &Lua, result: Result<mlua::MultiValue, Failed>) -> mlua::Result<mlua::MultiValue> {
    match result {
        Ok(mut values) => {
            values.push_front(Value::Boolean(true));
            Ok(values)
        }
        Err(failed) => {
            let table = failed.into_table(lua)?;
            Ok([Value::Boolean(false), Value::Table(table)].into_iter().collect())
        }
    }
}
