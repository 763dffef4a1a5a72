//! `help` and `parallel`: functions that are globals.

use std::io::Write;

use mlua::{Lua, Value};

use super::api::{Function, Type};
use super::call::{Call, Outcome};
use super::{args, docs, install};
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::suggest::suggest;
use crate::runtime::api;

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("parallel", "Runs functions at the same time and returns when all have ended.", |_| {
            Err(Error::invalid("parallel is part of the prelude"))
        })
        .details(
            "Engine calls of different functions overlap; Lua code does not. The first error cancels the other \
             functions, whose `<close>` variables are closed, and is raised as it is. A list of functions returns a \
             list of results.",
        )
        .variadic("f", Type::AnyOf(&[Type::Function, Type::List(&Type::Function)]), "Functions, or one list of them.")
        .returns(Type::Any, "The first result of each function, in order.")
        .example("local a, b = parallel(function() return host.out(\"uname -r\") end, function() return 2 end)"),
        Function::new("help", "Prints what the reference says.", body)
            .optional("what", Type::Any, "A function, module, handle or name; default: everything, in short.")
            .errors(&["not_found"])
            .example("help(fs.read)\nhelp \"fs\""),
    ]
}

fn body(call: &Call) -> Result<Outcome> {
    let text = text(call.lua(), &call.arg(0))?;
    std::io::stdout().write_all(text.as_bytes()).os(|| "write help")?;
    call.value(())
}

/// The help text for a Lua value.
///
/// # Errors
/// `not_found` when there is none.
pub fn text(lua: &Lua, what: &Value) -> Result<String> {
    let name = match what {
        Value::Nil => return Ok(docs::overview(&api(lua))),
        Value::String(name) => name.to_string_lossy(),
        Value::UserData(_) => args::describe(what),
        other => install::name_of(lua, other).unwrap_or_else(|| format!("a {}", other.type_name())),
    };
    let rows = api(lua);
    docs::help(&rows, &name).ok_or_else(|| {
        let error = Error::not_found(format!("no help for '{name}'"));
        let names = docs::names(&rows);
        suggest(error, &name, names.iter().map(String::as_str))
    })
}
