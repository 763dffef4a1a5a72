//! What a command module says of itself: the table it returns, without its `run` function.
//!
//! ```lua
//! return {
//!   summary = "Stop running containers",
//!   words = { { name = "container", many = true } },
//!   flags = { { long = "time", short = "t", value = "SECONDS", type = "integer", help = "Wait before killing" } },
//!   run = function(args, flags) ... return status end,
//! }
//! ```

use mlua::serde::DeserializeOptions;
use mlua::{Lua, LuaSerdeExt, Table, Value};
use serde::Deserialize;

use crate::engine::error::{Error, Result};

/// A command's name-independent description.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// What it does, without a full stop.
    pub summary: String,
    /// More words, shown below the flags.
    #[serde(default)]
    pub details: String,
    /// The positional arguments; only the last may be `many` or `optional`.
    #[serde(default)]
    pub words: Vec<Word>,
    /// Everything from the first positional argument on belongs to the command, flags or not.
    #[serde(default)]
    pub flags_first: bool,
    /// The flags, in the order help shows them.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// The exit status when it fails. Default 1.
    #[serde(default = "failure")]
    pub failure: i32,
    /// The exit status when the flags make no sense. Default 2, or `failure` where that is given.
    pub misuse: Option<i32>,
}

/// A positional argument.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The key it gets in the table of arguments.
    pub name: String,
    /// Any number of them.
    #[serde(default)]
    pub many: bool,
    /// None is enough.
    #[serde(default)]
    pub optional: bool,
    /// How usage shows it. Default: the name in capitals.
    pub shown: Option<String>,
    /// How usage shows the second and further ones. Default: as the first.
    pub rest: Option<String>,
}

/// A flag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// `detach` for `--detach`; with underscores for dashes, the key it gets in the table of flags.
    pub long: String,
    /// `d` for `-d`.
    pub short: Option<char>,
    /// The name of its value; a flag without one is a switch.
    pub value: Option<String>,
    /// What the value may be. Default `text`.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The only values it may have.
    #[serde(default)]
    pub choices: Vec<String>,
    /// May be given several times; the values are a list.
    #[serde(default)]
    pub many: bool,
    /// Works, but is not shown.
    #[serde(default)]
    pub hidden: bool,
    /// Other long names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Long names of flags it cannot be given with.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// What it does, without a full stop.
    pub help: String,
}

/// What a flag's value may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anything.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Bytes, such as `512m`.
    Size,
    /// Bytes, or -1 for no limit.
    SizeOrUnlimited,
    /// A time span, such as `1m30s`.
    Duration,
    /// Something that is not empty.
    Name,
}

fn failure() -> i32 {
    1
}

impl Declaration {
    /// Reads a module's table. `name` is the command's.
    ///
    /// # Errors
    /// `invalid_argument`, naming what is wrong with it.
    pub fn read(lua: &Lua, name: &str, module: &Table) -> Result<Declaration> {
        let described = lua.create_table()?;
        for pair in module.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !value.is_function() {
                described.raw_set(key, value)?;
            }
        }
        let options = DeserializeOptions::new().deny_unsupported_types(true);
        let declaration: Declaration = lua
            .from_value_with(Value::Table(described), options)
            .map_err(|e| Error::invalid(format!("command '{name}' is badly described: {e}")))?;
        declaration.check().map_err(|text| Error::invalid(format!("command '{name}' is badly described: {text}")))?;
        Ok(declaration)
    }

    fn check(&self) -> Result<(), String> {
        for word in self.words.iter().rev().skip(1) {
            if word.many {
                return Err(format!("only the last argument may be many, not '{}'", word.name));
            }
        }
        if let Some(pair) = self.words.windows(2).find(|pair| pair[0].optional && !pair[1].optional) {
            return Err(format!("'{}' cannot be required after an optional argument", pair[1].name));
        }
        let mut seen = vec!["help".to_string()];
        for flag in &self.flags {
            let names = [&flag.long].into_iter().chain(&flag.aliases).cloned();
            for name in names.chain(flag.short.map(|c| c.to_string())) {
                if seen.contains(&name) {
                    return Err(format!("flag '{name}' is there twice"));
                }
                seen.push(name);
            }
            if flag.value.is_none() && (flag.many || flag.kind != Kind::Text || !flag.choices.is_empty()) {
                return Err(format!("flag '{}' has no name for its value", flag.long));
            }
            if let Some(other) = flag.conflicts.iter().find(|other| self.flags.iter().all(|f| f.long != **other)) {
                return Err(format!("flag '{}' conflicts with '{other}', which does not exist", flag.long));
            }
        }
        Ok(())
    }

    /// The exit status when the flags make no sense.
    pub fn misuse_status(&self) -> i32 {
        self.misuse.unwrap_or(if self.failure == failure() { crate::report::USAGE } else { self.failure })
    }

    /// The fewest and the most positional arguments.
    pub fn word_counts(&self) -> (usize, Option<usize>) {
        let least = self.words.iter().filter(|word| !word.optional).count();
        let most = if self.words.last().is_some_and(|word| word.many) { None } else { Some(self.words.len()) };
        (least, most)
    }

    /// `[OPTIONS] IMAGE [COMMAND...]`.
    pub fn usage(&self) -> String {
        let mut parts = Vec::new();
        if !self.flags.is_empty() {
            parts.push("[OPTIONS]".to_string());
        }
        for word in &self.words {
            let shown = word.shown.clone().unwrap_or_else(|| word.name.to_uppercase());
            let rest = word.rest.as_ref().unwrap_or(&shown);
            parts.push(match (word.optional, word.many) {
                (false, false) => shown,
                (true, false) => format!("[{shown}]"),
                (false, true) => format!("{shown} [{rest}...]"),
                (true, true) if *rest == shown => format!("[{shown}...]"),
                (true, true) => format!("[{shown}] [{rest}...]"),
            });
        }
        parts.join(" ")
    }
}
