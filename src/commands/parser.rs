//! A command's words to values, by clap, from its [`Declaration`].

use std::ffi::OsString;

use clap::builder::{BoolishValueParser, PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use mlua::{IntoLua, Lua, Table, Value};

use super::declaration::{Declaration, Flag, Kind};
use super::usage;
use crate::bindings::args;
use crate::engine::error::{Error, Result};
use crate::report::Report;

/// The width of paragraphs in help texts.
const WIDTH: usize = 100;

const WORDS: &str = "words of the command";

/// What a command line comes to.
pub enum Parsed {
    /// The positional arguments and the flags, as tables.
    Run(Table, Table),
    /// The text that was asked for.
    Help(String),
    /// It makes no sense.
    Wrong(Report),
}

/// Reads a command line, without the command's name.
///
/// # Errors
/// When memory is short.
pub fn parse(lua: &Lua, name: &str, declaration: &Declaration, words: Vec<OsString>) -> Result<Parsed> {
    let matches = match clap_command(name, declaration, false).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            return Ok(Parsed::Help(help(name, declaration)));
        }
        Err(error) => return Ok(Parsed::Wrong(usage::report(name, declaration, &error))),
    };
    let given: Vec<String> = matches.get_many::<String>(WORDS).into_iter().flatten().cloned().collect();
    let (least, most) = declaration.word_counts();
    if given.len() < least || most.is_some_and(|most| given.len() > most) {
        return Ok(Parsed::Wrong(usage::wrong_count(name, declaration, given.len())));
    }
    Ok(Parsed::Run(arguments(lua, declaration, &given)?, flags(lua, declaration, &matches)?))
}

/// The help text of a command.
pub fn help(name: &str, declaration: &Declaration) -> String {
    clap_command(name, declaration, true).render_help().to_string()
}

fn clap_command(name: &str, declaration: &Declaration, shown: bool) -> Command {
    let mut command = Command::new(name.to_string())
        .no_binary_name(true)
        .about(format!("{}.", declaration.summary))
        .after_help(textwrap::fill(&declaration.details, WIDTH))
        // A line for each flag, however long.
        .term_width(0)
        .override_usage(format!("moonshell {name} {}", declaration.usage()))
        .help_template("{about}\n\nUsage: {usage}\n\nOptions:\n{options}{after-help}\n")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true);
    let mut help = Arg::new("help").long("help").action(ArgAction::Help).help("Print this");
    if declaration.flags.iter().all(|flag| flag.short != Some('h')) {
        help = help.short('h');
    }
    for flag in &declaration.flags {
        command = command.arg(argument(flag, shown));
    }
    command = command.arg(help);
    if !shown {
        let words = Arg::new(WORDS).num_args(0..).trailing_var_arg(declaration.flags_first);
        command = command.arg(words.action(ArgAction::Append));
    }
    command
}

fn argument(flag: &Flag, shown: bool) -> Arg {
    let mut arg = Arg::new(flag.long.clone())
        .long(flag.long.clone())
        .aliases(flag.aliases.clone())
        .conflicts_with_all(flag.conflicts.clone())
        .hide(flag.hidden)
        .help(flag.help.clone());
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    let Some(value) = &flag.value else {
        // `--rm=false` works, but help shows `--rm`.
        return match shown {
            true => arg.action(ArgAction::SetTrue),
            false => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(BoolishValueParser::new()),
        };
    };
    arg = arg.value_name(value.clone()).num_args(1).allow_negative_numbers(true).action(if flag.many {
        ArgAction::Append
    } else {
        ArgAction::Set
    });
    if flag.choices.is_empty() {
        return arg.value_parser(value_parser(flag.kind));
    }
    arg.value_parser(PossibleValuesParser::new(flag.choices.clone()))
}

fn value_parser(kind: Kind) -> ValueParser {
    let checked = |check: fn(&str) -> Result<(), String>| {
        ValueParser::from(move |text: &str| check(text).map(|()| text.to_string()))
    };
    let told = |error: Error| match error.hint() {
        Some(hint) => format!("{}; {hint}", error.message()),
        None => error.message().to_string(),
    };
    match kind {
        Kind::Text => ValueParser::string(),
        Kind::Integer => {
            ValueParser::from(|text: &str| text.parse::<i64>().map_err(|_| "not a whole number".to_string()))
        }
        Kind::Number => ValueParser::from(|text: &str| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err("not a number".to_string()),
        }),
        Kind::Size => ValueParser::from(move |text: &str| args::size_of(text).map(|_| text.to_string()).map_err(told)),
        Kind::SizeOrUnlimited => ValueParser::from(move |text: &str| match text {
            "-1" => Ok(text.to_string()),
            _ => args::size_of(text).map(|_| text.to_string()).map_err(told),
        }),
        Kind::Duration => {
            ValueParser::from(move |text: &str| args::duration_of(text).map(|_| text.to_string()).map_err(told))
        }
        Kind::Name => checked(|text| if text.is_empty() { Err("it is empty".into()) } else { Ok(()) }),
    }
}

/// All words by number, and each under its own name.
fn arguments(lua: &Lua, declaration: &Declaration, given: &[String]) -> Result<Table> {
    let table = lua.create_sequence_from(given.iter().map(String::as_str))?;
    for (index, word) in declaration.words.iter().enumerate() {
        if word.many {
            let rest = given.get(index..).unwrap_or_default();
            table.raw_set(word.name.as_str(), lua.create_sequence_from(rest.iter().map(String::as_str))?)?;
        } else {
            table.raw_set(word.name.as_str(), given.get(index).map(String::as_str))?;
        }
    }
    Ok(table)
}

/// The flags that were given, by their long names with underscores.
fn flags(lua: &Lua, declaration: &Declaration, matches: &ArgMatches) -> Result<Table> {
    let table = lua.create_table()?;
    for flag in &declaration.flags {
        if !matches.contains_id(&flag.long) {
            continue;
        }
        let values = values(lua, flag, matches)?;
        let value = match flag.many {
            true => Value::Table(lua.create_sequence_from(values)?),
            false => values.into_iter().next_back().unwrap_or(Value::Nil),
        };
        table.raw_set(flag.long.replace('-', "_"), value)?;
    }
    Ok(table)
}

fn values(lua: &Lua, flag: &Flag, matches: &ArgMatches) -> Result<Vec<Value>> {
    fn all<T: IntoLua + Clone + Send + Sync + 'static>(
        lua: &Lua,
        flag: &Flag,
        matches: &ArgMatches,
    ) -> Result<Vec<Value>> {
        let found = matches.get_many::<T>(&flag.long).into_iter().flatten();
        Ok(found.map(|value| value.clone().into_lua(lua)).collect::<mlua::Result<_>>()?)
    }
    match (&flag.value, flag.kind) {
        (None, _) => all::<bool>(lua, flag, matches),
        (Some(_), Kind::Integer) => all::<i64>(lua, flag, matches),
        (Some(_), Kind::Number) => all::<f64>(lua, flag, matches),
        _ => all::<String>(lua, flag, matches),
    }
}
