//! The `registry` module.

use super::api::{Function, Type};
use super::call::{Call, Outcome};
use crate::credentials;
use crate::engine::Credentials;
use crate::engine::error::{Error, Result};
use crate::engine::reference::Reference;
use crate::engine::registry::Access;
use crate::runtime::{Context, options};

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("registry.tags", "Lists the tags of a repository.", |call| {
            let repository: Reference = call.string(0)?.parse()?;
            call.work(move |at| at.engine()?.registry_tags(&repository, &Access::default()), |_, tags| Ok(tags))
        })
        .param("repository", Type::String, "The repository, such as `debian` or `ghcr.io/me/app`.")
        .returns(Type::List(&Type::String), "The tags.")
        .errors(&["not_found", "permission", "network", "interrupted"])
        .example("for _, tag in ipairs(registry.tags(\"127.0.0.1:5000/app\")) do print(tag) end"),
        Function::new("registry.login", "Remembers a user and password for a registry.", login)
            .details("They go into the file other container tools read too; only its owner can read it.")
            .param("host", Type::String, "The registry, such as `ghcr.io` or `127.0.0.1:5000`.")
            .required_option("username", Type::String, "The user.")
            .required_option("password", Type::String, "The password or token.")
            .option("check", Type::Boolean, "False: do not ask the registry whether it accepts them. Default true.")
            .errors(&["permission", "network"])
            .example("registry.login(\"ghcr.io\", {username=\"me\", password=host.env.TOKEN})"),
        Function::new("registry.logout", "Forgets the password for a registry.", logout)
            .param("host", Type::String, "The registry.")
            .returns(Type::Boolean, "False when none was remembered.")
            .errors(&["permission"])
            .example("registry.logout(\"ghcr.io\")"),
    ]
}

fn file(call: &Call) -> Result<std::path::PathBuf> {
    let none = || Error::invalid("no place to keep passwords").with_hint("set HOME or REGISTRY_AUTH_FILE");
    options(call.lua()).login_file.ok_or_else(none)
}

fn login(call: &Call) -> Result<Outcome> {
    let (file, host, opts) = (file(call)?, call.string(0)?, call.options());
    let username = opts.string("username")?.unwrap_or_default();
    let password = opts.string("password")?.unwrap_or_default();
    let check = opts.boolean("check").unwrap_or(true);
    let credentials = Credentials { username, password };
    let run = move |at: &Context| -> Result<()> {
        if check {
            at.engine()?.registry_check(&host, &credentials)?;
        }
        credentials::login(&file, &host, &credentials)
    };
    call.work(run, |_, ()| Ok(()))
}

fn logout(call: &Call) -> Result<Outcome> {
    let (file, host) = (file(call)?, call.string(0)?);
    call.work(move |_| credentials::logout(&file, &host), |_, known| Ok(known))
}
