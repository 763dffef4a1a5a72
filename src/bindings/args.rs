//! Reads Lua values as the types of the API rows, and says clearly what is wrong with them.

use std::time::Duration;

use mlua::{Table, Value};

use super::api::{Function, Type};
use crate::engine::error::{Error, Result};

/// `image.pull`, or `Image:push` for a method.
pub fn function_name(class: Option<&'static str>, row: &Function) -> String {
    match class {
        Some(class) => format!("{class}:{}", row.name),
        None => row.name.to_string(),
    }
}

/// What a value is, for messages: `nil`, `string`, `Image`.
pub fn describe(value: &Value) -> String {
    match value {
        Value::UserData(data) => data.type_name().map_or("userdata".into(), |name| name.to_string_lossy()),
        Value::Integer(_) | Value::Number(_) => "number".into(),
        other => other.type_name().into(),
    }
}

/// A type with its article, for messages.
pub fn article(ty: Type) -> String {
    match ty {
        Type::Integer => "an integer".into(),
        Type::OneOf(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            format!("one of {}", quoted.join(", "))
        }
        Type::AnyOf(types) => {
            let parts: Vec<String> = types.iter().map(|ty| article(*ty)).collect();
            parts.join(" or ")
        }
        Type::Command => "a command line (string) or an argument vector (table)".into(),
        Type::Size => "a size (an integer, or a string such as \"512m\")".into(),
        Type::Duration => "a duration (seconds, or a string such as \"1.5s\")".into(),
        Type::Handle(name) if name.starts_with(['A', 'E', 'I', 'O']) => format!("an {name}"),
        Type::List(item) => format!("a list of {}s", plain(*item)),
        Type::Any => "a value".into(),
        other => format!("a {}", plain(other)),
    }
}

/// A type's name in a word.
pub fn plain(ty: Type) -> String {
    match ty {
        Type::String => "string".into(),
        Type::Integer => "integer".into(),
        Type::Number => "number".into(),
        Type::Boolean => "boolean".into(),
        Type::List(item) => format!("{}[]", plain(*item)),
        Type::Map | Type::Table => "table".into(),
        Type::Command => "command".into(),
        Type::Size => "size".into(),
        Type::Duration => "duration".into(),
        Type::Handle(name) => name.into(),
        Type::Function => "function".into(),
        Type::OneOf(_) => "string".into(),
        Type::AnyOf(types) => types.iter().map(|ty| plain(*ty)).collect::<Vec<_>>().join("|"),
        Type::Any => "any".into(),
    }
}

/// Whether `value` is of type `ty`. Elements of lists are checked when they are read.
pub fn matches(value: &Value, ty: Type) -> bool {
    match ty {
        Type::String => matches!(value, Value::String(_) | Value::Integer(_) | Value::Number(_)),
        Type::Integer => integer(value).is_some(),
        Type::Number => matches!(value, Value::Integer(_) | Value::Number(_)),
        Type::Boolean => value.is_boolean(),
        Type::List(_) | Type::Map | Type::Table => value.is_table(),
        Type::Command => matches!(value, Value::String(_) | Value::Table(_)),
        Type::Size => matches!(value, Value::String(_)) || integer(value).is_some(),
        Type::Duration => matches!(value, Value::String(_) | Value::Integer(_) | Value::Number(_)),
        Type::Handle(name) => value.is_userdata() && describe(value) == name,
        Type::Function => value.is_function(),
        Type::OneOf(words) => value.as_string().is_some_and(|s| words.iter().any(|w| s.as_bytes() == w.as_bytes())),
        Type::AnyOf(types) => types.iter().any(|ty| matches(value, *ty)),
        Type::Any => !value.is_nil(),
    }
}

/// Checks a call's arguments against its row, before the body runs.
///
/// # Errors
/// `invalid_argument`, naming the argument.
pub fn check(class: Option<&'static str>, row: &Function, args: &[Value]) -> Result<()> {
    let name = || function_name(class, row);
    let mut args = args;
    if let Some(class) = class {
        match args.split_first() {
            Some((this, rest)) if matches(this, Type::Handle(class)) => args = rest,
            _ => {
                let error = Error::invalid(format!("{} must be called on {}", name(), article(Type::Handle(class))));
                return Err(error.with_hint(format!("write a colon: x:{}(...)", row.name)));
            }
        }
    }
    for (index, param) in row.params.iter().enumerate() {
        let value = args.get(index).unwrap_or(&Value::Nil);
        if matches(value, param.ty) || (value.is_nil() && !param.required) {
            continue;
        }
        let (position, got) = (index + 1, shown(value, param.ty));
        let must = format!("argument {position} '{}' must be {}, got {got}", param.name, article(param.ty));
        return Err(Error::invalid(format!("{}: {must}", name())));
    }
    if let Some(param) = &row.variadic {
        for (index, value) in args.iter().enumerate().skip(row.params.len()) {
            let last_options = index + 1 == args.len() && !row.options.is_empty() && value.is_table();
            if !matches(value, param.ty) && !last_options {
                let must = format!("must be {}, got {}", article(param.ty), shown(value, param.ty));
                return Err(Error::invalid(format!("{}: argument {} '{}' {must}", name(), index + 1, param.name)));
            }
        }
        return match args.last() {
            Some(Value::Table(_)) if !row.options.is_empty() => check_options(&name, row, args.last()),
            _ => Ok(()),
        };
    }
    check_options(&name, row, args.get(row.params.len()))?;
    let most = row.params.len() + usize::from(!row.options.is_empty());
    if args.len() > most && args[most..].iter().any(|value| !value.is_nil()) {
        let plural = if most == 1 { "" } else { "s" };
        return Err(Error::invalid(format!("{}: takes {most} argument{plural}, got {}", name(), args.len())));
    }
    Ok(())
}

/// What a wrong value is, for messages: the word itself where one of a few words was expected.
pub fn shown(value: &Value, ty: Type) -> String {
    match (value, ty) {
        (Value::String(text), Type::OneOf(_)) => format!("'{}'", text.to_string_lossy()),
        (Value::Number(number), Type::Integer) => number.to_string(),
        _ => describe(value),
    }
}

fn check_options(name: &dyn Fn() -> String, row: &Function, value: Option<&Value>) -> Result<()> {
    let table = match value {
        None | Some(Value::Nil) => None,
        Some(Value::Table(table)) if !row.options.is_empty() => Some(table),
        Some(_) if row.options.is_empty() => return Ok(()),
        Some(other) => {
            let position = row.params.len() + 1;
            let text = format!("{}: argument {position} must be a table of options, got {}", name(), describe(other));
            return Err(Error::invalid(text));
        }
    };
    if let Some(table) = table {
        super::opts::check(name, &row.options, table)?;
    }
    for option in row.options.iter().filter(|option| option.required) {
        if table.is_none_or(|table| table.get::<Value>(option.name).is_ok_and(|value| value.is_nil())) {
            return Err(Error::invalid(format!("{}: option '{}' is required", name(), option.name)));
        }
    }
    Ok(())
}

/// Text in UTF-8. Numbers are accepted as Lua accepts them.
///
/// # Errors
/// `invalid_argument`.
pub fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => {
            let text = text.to_str().map_err(|_| Error::invalid("text is not valid UTF-8"))?.to_string();
            if text.contains('\0') { Err(Error::invalid("text contains a zero byte")) } else { Ok(text) }
        }
        Value::Integer(number) => Ok(number.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(Error::invalid(format!("expected a string, got {}", describe(other)))),
    }
}

/// A whole number, also when written as a float.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        _ => None,
    }
}

/// The elements of a list, in order. `what` names the list in messages.
///
/// # Errors
/// `invalid_argument` for a hole.
pub fn elements(table: &Table, what: &str) -> Result<Vec<Value>> {
    let mut last = 0;
    let mut count = 0;
    for pair in table.pairs::<Value, Value>() {
        match integer(&pair?.0) {
            Some(index) if index >= 1 => {
                last = last.max(index);
                count += 1;
            }
            _ => return Err(Error::invalid(format!("{what} must be a list, not a table with named fields"))),
        }
    }
    if count < last {
        for index in 1..=last {
            if table.raw_get::<Value>(index)?.is_nil() {
                let error = Error::invalid(format!("{what} has no element {index} (nil)"));
                return Err(error.with_hint("a variable in the list is probably misspelt or not set"));
            }
        }
    }
    (1..=last).map(|index| Ok(table.raw_get(index)?)).collect()
}

/// A list of strings.
///
/// # Errors
/// `invalid_argument` for a hole or an element that is no string.
pub fn strings(value: &Value, what: &str) -> Result<Vec<String>> {
    let table = match value {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(table) => table,
        single => return Ok(vec![text(single)?]),
    };
    let mut list = Vec::new();
    for (index, element) in elements(table, what)?.iter().enumerate() {
        let named = |e: Error| Error::invalid(format!("{what}: element {}: {}", index + 1, e.message()));
        list.push(text(element).map_err(named)?);
    }
    Ok(list)
}

/// Names with values, sorted by name; `false` means 'none'. A list of `"NAME=VALUE"` is accepted too.
///
/// # Errors
/// `invalid_argument`.
pub fn changes(value: &Value) -> Result<Vec<(String, Option<String>)>> {
    let Value::Table(table) = value else { return Err(Error::invalid("expected a table of names and values")) };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        list.push(match (&name, value) {
            (Value::Integer(_), value) => {
                let line = text(&value)?;
                let bad = || Error::invalid(format!("'{line}' is not NAME=VALUE"));
                let (name, value) = line.split_once('=').ok_or_else(bad)?;
                (name.to_string(), Some(value.to_string()))
            }
            (_, Value::Boolean(false)) => (text(&name)?, None),
            (_, value) => (text(&name)?, Some(text(&value)?)),
        });
    }
    list.sort();
    Ok(list)
}

/// A command as an argument vector: a string becomes `shell` and the string.
///
/// # Errors
/// `invalid_argument` for a hole, an empty vector or an element that is no string.
pub fn command(value: &Value, shell: &[&str]) -> Result<Vec<String>> {
    if let Value::Table(_) = value {
        let vector = strings(value, "argument vector")?;
        return if vector.is_empty() { Err(Error::invalid("argument vector is empty")) } else { Ok(vector) };
    }
    let line = text(value)?;
    Ok(shell.iter().map(|word| word.to_string()).chain([line]).collect())
}

/// Bytes from an integer or a string such as `"512m"`, `"1.5g"`, `"10kb"`.
///
/// # Errors
/// `invalid_argument`.
pub fn size(value: &Value) -> Result<u64> {
    if let Some(number) = integer(value) {
        return u64::try_from(number).map_err(|_| Error::invalid(format!("size {number} is negative")));
    }
    size_of(&text(value)?)
}

/// Bytes from a string such as `"512m"`, `"1.5g"`, `"10kb"`.
///
/// # Errors
/// `invalid_argument`.
pub fn size_of(text: &str) -> Result<u64> {
    let bad =
        || Error::invalid(format!("invalid size '{text}'")).with_hint("write bytes, or a number with k, m, g or t");
    crate::engine::size::parse(text).ok_or_else(bad)
}

/// A time span from seconds or a string such as `"1.5s"`, `"200ms"`, `"1m30s"`, `"2h"`.
///
/// # Errors
/// `invalid_argument`.
pub fn duration(value: &Value) -> Result<Duration> {
    let from = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|_| bad_duration(&seconds.to_string()));
    match value {
        Value::Integer(seconds) => from(*seconds as f64),
        Value::Number(seconds) => from(*seconds),
        _ => duration_of(&text(value)?),
    }
}

fn bad_duration(shown: &str) -> Error {
    Error::invalid(format!("invalid duration '{shown}'")).with_hint("write 1.5s, 200ms or 1m30s")
}

/// A time span from a string such as `"1.5s"`, `"200ms"`, `"1m30s"`, `"2h"`.
///
/// # Errors
/// `invalid_argument`.
pub fn duration_of(text: &str) -> Result<Duration> {
    let bad = || bad_duration(text);
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let scale = match &rest[..letters] {
            "" | "s" => 1.0,
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(bad()),
        };
        total += number * scale;
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let lua = mlua::Lua::new();
        let read = |text: &str| size(&Value::String(lua.create_string(text).unwrap())).map_err(|e| e.to_string());
        assert_eq!(read("512m"), Ok(512 << 20));
        assert_eq!(read("1.5g"), Ok(3 << 29));
        assert_eq!(read("10KiB"), Ok(10 << 10));
        assert_eq!(read("7"), Ok(7));
        assert_eq!(read("much"), Err("invalid size 'much'".into()));
        assert_eq!(size(&Value::Integer(3)).unwrap(), 3);
        assert!(size(&Value::Integer(-1)).is_err());
    }

    #[test]
    fn durations() {
        let lua = mlua::Lua::new();
        let read = |text: &str| duration(&Value::String(lua.create_string(text).unwrap())).map_err(|e| e.to_string());
        assert_eq!(read("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(read("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(read("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(read("soon"), Err("invalid duration 'soon'".into()));
        assert_eq!(read(""), Err("invalid duration ''".into()));
        assert!(duration(&Value::Number(-1.0)).is_err());
    }
}
