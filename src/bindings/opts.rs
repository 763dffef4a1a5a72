//! Reads the option table. An unknown key is an error that suggests the nearest known one.

use std::time::Duration;

use mlua::{Table, Value};

use super::api::Param;
use super::args;
use crate::engine::error::{Error, Result};
use crate::engine::suggest::suggest;

/// The option table of a call. Keys and types were checked against the row.
pub struct Options {
    name: String,
    table: Option<Table>,
}

impl Options {
    pub(super) fn new(name: String, table: Option<Table>) -> Options {
        Options { name, table }
    }

    /// The raw value; nil when not given.
    pub fn value(&self, key: &str) -> Value {
        self.table.as_ref().and_then(|table| table.get(key).ok()).unwrap_or(Value::Nil)
    }

    /// Whether it was given.
    pub fn has(&self, key: &str) -> bool {
        !self.value(key).is_nil()
    }

    /// A string.
    ///
    /// # Errors
    /// `invalid_argument` when it is not text in UTF-8.
    pub fn string(&self, key: &str) -> Result<Option<String>> {
        self.read(key, args::text)
    }

    /// A string as bytes.
    ///
    /// # Errors
    /// `invalid_argument` when it is no string.
    pub fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.read(key, |value| match value {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            other => args::text(other).map(String::into_bytes),
        })
    }

    /// True or false.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.value(key).as_boolean()
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        args::integer(&self.value(key))
    }

    /// Bytes.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn size(&self, key: &str) -> Result<Option<u64>> {
        self.read(key, args::size)
    }

    /// A time span.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>> {
        self.read(key, args::duration)
    }

    /// A list of strings; a single string counts as a list of one. Empty when not given.
    ///
    /// # Errors
    /// `invalid_argument` for a hole or an element that is no string.
    pub fn strings(&self, key: &str) -> Result<Vec<String>> {
        Ok(self.read(key, |value| args::strings(value, "list"))?.unwrap_or_default())
    }

    /// A command as an argument vector; `shell` is put before a command line.
    ///
    /// # Errors
    /// `invalid_argument` for a hole or an element that is no string.
    pub fn command(&self, key: &str, shell: &[&str]) -> Result<Option<Vec<String>>> {
        self.read(key, |value| args::command(value, shell))
    }

    /// Names and their values, sorted by name. A list of `"NAME=VALUE"` is accepted too. Empty when not given.
    ///
    /// # Errors
    /// `invalid_argument` for a value that is no string, number or boolean.
    pub fn map(&self, key: &str) -> Result<Vec<(String, String)>> {
        Ok(self.read(key, map)?.unwrap_or_default())
    }

    /// A number, whole or not.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.value(key) {
            Value::Integer(number) => Some(number as f64),
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Names and their values as [`args::changes`] reads them. Empty when not given.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn changes(&self, key: &str) -> Result<Vec<(String, Option<String>)>> {
        Ok(self.read(key, args::changes)?.unwrap_or_default())
    }

    fn read<T>(&self, key: &str, read: impl FnOnce(&Value) -> Result<T>) -> Result<Option<T>> {
        let value = self.value(key);
        if value.is_nil() {
            return Ok(None);
        }
        read(&value).map(Some).map_err(|error| {
            let outer = Error::new(error.kind(), format!("{}: option '{key}': {}", self.name, error.message()));
            match error.hint() {
                Some(hint) => outer.with_hint(hint),
                None => outer,
            }
        })
    }
}

fn map(value: &Value) -> Result<Vec<(String, String)>> {
    let Value::Table(table) = value else {
        return Err(Error::invalid(format!("expected a table, got {}", args::describe(value))));
    };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let text = args::text(&value).map_err(|e| Error::invalid(format!("value of {key:?}: {}", e.message())))?;
        if key.is_integer() {
            match text.split_once('=') {
                Some((name, value)) => list.push((name.to_string(), value.to_string())),
                None => return Err(Error::invalid(format!("'{text}' is not NAME=VALUE"))),
            }
        } else {
            list.push((args::text(&key)?, text));
        }
    }
    list.sort();
    Ok(list)
}

/// Checks keys and types of an option table.
///
/// # Errors
/// `invalid_argument`, naming the key.
pub fn check(name: &dyn Fn() -> String, options: &[Param], table: &Table) -> Result<()> {
    let known = || options.iter().map(|option| option.name);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = match &key {
            Value::String(text) => text.to_string_lossy(),
            other => {
                let text = format!("{}: option names are strings, got {}", name(), args::describe(other));
                return Err(Error::invalid(text));
            }
        };
        let Some(option) = options.iter().find(|option| option.name == key) else {
            let error = Error::invalid(format!("{}: unknown option '{key}'", name()));
            let error = suggest(error, &key, known());
            if error.hint().is_some() {
                return Err(error);
            }
            let all: Vec<&str> = known().collect();
            return Err(error.with_hint(format!("known options: {}", all.join(", "))));
        };
        if !args::matches(&value, option.ty) {
            let (must, got) = (args::article(option.ty), args::shown(&value, option.ty));
            return Err(Error::invalid(format!("{}: option '{key}' must be {must}, got {got}", name())));
        }
    }
    Ok(())
}
