//! The mounts, secrets and agents of steps, as Lua writes them.

use std::path::{Path, PathBuf};

use mlua::{Table, Value};

use super::super::api::{Param, Type, option};
use super::super::container::host_folder;
use super::super::{Options, args};
use super::StateHandle;
use crate::engine::build::mounts::reading::{Word, parse, read};
use crate::engine::build::mounts::{Kind, MountFrom, Secret, StepMount};
use crate::engine::error::{Error, Kind as ErrorKind, OsContext, Result};
use crate::engine::image::Image;
use crate::engine::suggest::suggest;

/// The option rows.
pub fn rows() -> Vec<Param> {
    vec![
        option(
            "mounts",
            Type::Table,
            "A list of `{type=, target=, ...}` or of a Dockerfile's `\"type=cache,target=/root/.cache\"`. Types: `bind` \
             (`from`, `source`, `rw`), `cache` (`id`, `sharing`, `from`, `source`, `mode`, `uid`, `gid`, `ro`), `tmpfs` \
             (`size`), `secret` (`id`, `env`, `required`, `mode`, `uid`, `gid`), `ssh` (`id`, `required`, ...), `file` \
             (`content`, `mode`).",
        ),
        option("tmpfs", Type::List(&Type::String), "`TARGET[:size=SIZE]`: memory, such as `/tmp:size=64m`."),
        option(
            "secrets",
            Type::Table,
            "For mounts that ask for them: `{ID={file=|env=|value=}}`, or a list of `\"id=ID,src=PATH\"`.",
        ),
        option(
            "ssh",
            Type::AnyOf(&[Type::String, Type::Table]),
            "Agents for mounts that ask for them: `{ID=\"socket\"}`, or a list of `\"default\"` and `\"ID=socket\"`.",
        ),
    ]
}

/// The `mounts` and `tmpfs` options.
pub fn mounts(opts: &Options) -> Result<Vec<StepMount>> {
    let folder = host_folder()?;
    let mut list = Vec::new();
    if let Value::Table(table) = opts.value("mounts") {
        for value in args::elements(&table, "mounts")? {
            list.push(match &value {
                Value::Table(table) => read(words(table)?, &folder)?,
                other => parse(&args::text(other)?, &folder)?,
            });
        }
    }
    for text in opts.strings("tmpfs")? {
        let (target, size) = match text.split_once(':') {
            None => (text.as_str(), None),
            Some((target, rest)) => {
                let bad = || Error::invalid(format!("invalid tmpfs '{text}': expected TARGET[:size=SIZE]"));
                let size = rest.strip_prefix("size=").ok_or_else(bad)?;
                (target, Some(crate::engine::size::parse(size).ok_or_else(bad)?))
            }
        };
        list.push(StepMount { target: Some(target.into()), kind: Kind::Memory { bytes: size } });
    }
    Ok(list)
}

fn words(table: &Table) -> Result<Vec<(String, Word)>> {
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = args::text(&key)?;
        let word = match &value {
            Value::UserData(handle) => Word::From(if let Ok(image) = handle.borrow::<Image>() {
                MountFrom::Image(Box::new(image.clone()))
            } else if let Ok(state) = handle.borrow::<StateHandle>() {
                MountFrom::State(state.0.clone())
            } else {
                return Err(Error::invalid(format!("mount: '{key}' cannot be {}", args::describe(&value))));
            }),
            Value::String(text) if key == "content" => Word::Content(text.as_bytes().to_vec()),
            // Lua has no octal numbers, so a number could only be misread.
            Value::Integer(_) | Value::Number(_) if key == "mode" => {
                let error = Error::invalid(format!("invalid mode '{}'", args::text(&value)?));
                return Err(error.with_hint("write octal digits in a string, such as \"0755\""));
            }
            other => Word::Text(args::text(other).map_err(|e| e.context(format!("mount: key '{key}'")))?),
        };
        list.push((key, word));
    }
    // A table has no order; messages about several keys should not change from run to run.
    list.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(list)
}

/// The `secrets` option. One whose variable is not set counts as not given.
pub fn secrets(opts: &Options) -> Result<Vec<(String, Secret)>> {
    let Value::Table(table) = opts.value("secrets") else { return Ok(Vec::new()) };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let (id, secret) = match (&key, &value) {
            (Value::Integer(_), value) => secret_line(&args::text(value)?)?,
            (_, Value::Table(parts)) => {
                let id = args::text(&key)?;
                let secret = secret_parts(&id, parts)?;
                (id, secret)
            }
            _ => {
                let id = args::text(&key)?;
                let error = Error::invalid(format!("secret '{id}' must be a table"));
                return Err(
                    error.with_hint(format!("write {id}={{file=\"path\"}}, {{env=\"NAME\"}} or {{value=\"text\"}}"))
                );
            }
        };
        list.extend(secret.map(|secret| (id, secret)));
    }
    list.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(list)
}

fn secret_parts(id: &str, parts: &Table) -> Result<Option<Secret>> {
    let mut found = None;
    for pair in parts.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = args::text(&key)?;
        if found.is_some() {
            return Err(Error::invalid(format!("secret '{id}' has more than one of file, env and value")));
        }
        found = Some(match (key.as_str(), &value) {
            ("file", value) => Some(Secret::File(absolute(&args::text(value)?)?)),
            ("env", value) => variable(&args::text(value)?),
            ("value", Value::String(text)) => Some(Secret::Value(text.as_bytes().to_vec())),
            ("value", _) => return Err(Error::invalid(format!("the value of secret '{id}' is no string"))),
            (other, _) => {
                let error = Error::invalid(format!("unknown key '{other}' of secret '{id}'"));
                return Err(suggest(error, other, ["file", "env", "value"]));
            }
        });
    }
    found.ok_or_else(|| Error::invalid(format!("secret '{id}' needs one of file, env and value")))
}

/// `id=ID[,src=PATH|,env=NAME]`; an id alone is a variable of that name, or a file.
fn secret_line(text: &str) -> Result<(String, Option<Secret>)> {
    let (mut id, mut file, mut env) = (None, None, None);
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            "id" => id = Some(value.to_string()),
            "src" | "source" => file = Some(value.to_string()),
            "env" => env = Some(value.to_string()),
            "type" if value == "file" || value == "env" => {}
            other => {
                let error = Error::invalid(format!("secret '{text}': unknown key '{other}'"));
                return Err(suggest(error, other, ["id", "src", "env", "type"]));
            }
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| Error::invalid(format!("secret '{text}' has no id")))?;
    let secret = match (file, env) {
        (Some(_), Some(_)) => return Err(Error::invalid(format!("secret '{text}' has both src and env"))),
        (Some(file), None) => Some(Secret::File(absolute(&file)?)),
        (None, Some(name)) => variable(&name),
        (None, None) => match variable(&id) {
            Some(secret) => Some(secret),
            None => Some(Secret::File(absolute(&id)?)),
        },
    };
    Ok((id, secret))
}

fn variable(name: &str) -> Option<Secret> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(|value| Secret::Value(value.into_vec()))
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(path).os(|| format!("path '{path}'"))
}

/// The `ssh` option.
pub fn agents(opts: &Options) -> Result<Vec<(String, PathBuf)>> {
    let lines = match opts.value("ssh") {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(table) => {
            let mut lines = Vec::new();
            for pair in table.pairs::<Value, Value>() {
                let (key, value) = pair?;
                lines.push(match key {
                    Value::Integer(_) => args::text(&value)?,
                    key => format!("{}={}", args::text(&key)?, args::text(&value)?),
                });
            }
            lines
        }
        single => vec![args::text(&single)?],
    };
    let mut list = lines.iter().map(|line| agent(line)).collect::<Result<Vec<_>>>()?;
    list.sort();
    Ok(list)
}

fn agent(line: &str) -> Result<(String, PathBuf)> {
    let (id, paths) = line.split_once('=').unwrap_or((line, ""));
    if paths.contains(',') {
        let error = Error::new(ErrorKind::Unsupported, format!("ssh '{id}': key files are not served"));
        return Err(error.with_hint("start ssh-agent, ssh-add the keys, and name its socket"));
    }
    if !paths.is_empty() {
        return Ok((id.into(), absolute(paths)?));
    }
    let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
    let missing = || Error::not_found(format!("ssh '{id}': SSH_AUTH_SOCK is not set"));
    let socket =
        socket.ok_or_else(|| missing().with_hint(format!("start ssh-agent, or name a socket: \"{id}=PATH\"")))?;
    Ok((id.into(), Path::new(&socket).to_path_buf()))
}
