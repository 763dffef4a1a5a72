//! The process of a specification: vector, environment, working folder, user, rights and limits.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Capability, LinuxCapabilitiesBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder,
    UserBuilder,
};

use super::super::super::error::{Error, Result};
use super::super::super::image::config::RunConfig;
use super::super::super::suggest::suggest;
use super::super::capabilities;
use super::super::options::{Command, Options};
use super::{DEFAULT_PATH, Facts, internal};

/// What [`PosixRlimitType`] knows, in the words of options.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Where the engine's own binary is seen by a container that asked for an init.
pub const INIT_PATH: &str = "/dev/init";

pub fn process(
    options: &Options,
    image: &RunConfig,
    command: Option<&Command>,
    facts: &Facts,
    hostname: &str,
) -> Result<Process> {
    let set = capabilities::resolve(options.privileged, &options.cap_add, &options.cap_drop)?;
    let user = UserBuilder::default()
        .uid(facts.identity.uid)
        .gid(facts.identity.gid)
        .additional_gids(facts.identity.groups.clone());
    let cwd = options.workdir.as_deref().filter(|dir| !dir.is_empty()).unwrap_or(&image.working_dir);
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let cwd = if cwd.starts_with('/') { PathBuf::from(cwd) } else { Path::new("/").join(cwd) };
    let mut process = ProcessBuilder::default()
        .terminal(options.tty)
        .user(user.build().map_err(internal)?)
        .args(with_init(options, arguments(options, image, command)?))
        .env(environment(options, image, facts, hostname)?)
        .cwd(cwd)
        .capabilities(capability_sets(set)?)
        .no_new_privileges(options.no_new_privileges)
        .rlimits(rlimits(options)?)
        .build()
        .map_err(internal)?;
    process.set_oom_score_adj(options.oom_score_adj);
    process.set_apparmor_profile(facts.apparmor.clone());
    Ok(process)
}

/// Puts the small init before the program, when one is wanted.
fn with_init(options: &Options, argv: Vec<String>) -> Vec<String> {
    if !options.init {
        return argv;
    }
    [INIT_PATH.to_string(), "--".to_string()].into_iter().chain(argv).collect()
}

/// The sets of a process with these capabilities: nothing inheritable, nothing ambient.
///
/// # Errors
/// None in practice.
pub fn capability_sets(set: HashSet<Capability>) -> Result<oci_spec::runtime::LinuxCapabilities> {
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
        .map_err(internal)
}

/// Entrypoint and command as Docker joins them: the command replaces the image's, the entrypoint stays unless it is
/// replaced, and a replaced entrypoint drops the image's command.
pub fn arguments(options: &Options, image: &RunConfig, command: Option<&Command>) -> Result<Vec<String>> {
    let image_command =
        || if options.entrypoint.is_some() { Vec::new() } else { image.cmd.clone().unwrap_or_default() };
    let entrypoint = options.entrypoint.clone().or(image.entrypoint.clone()).unwrap_or_default();
    let rest = match command {
        None => image_command(),
        Some(Command::Argv(argv)) => argv.clone(),
        Some(Command::Line(line)) => shell(image).into_iter().chain([line.clone()]).collect(),
    };
    let all: Vec<String> = entrypoint.into_iter().chain(rest).collect();
    if all.is_empty() {
        return Err(Error::invalid("no command given, and the image has none"));
    }
    Ok(all)
}

/// The image's shell, for commands that are one line.
pub fn shell(image: &RunConfig) -> Vec<String> {
    let own = image.shell.clone().filter(|shell| !shell.is_empty());
    own.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()])
}

fn environment(options: &Options, image: &RunConfig, facts: &Facts, hostname: &str) -> Result<Vec<String>> {
    let mut list: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: Option<&str>, replace: bool| {
        let at = list.iter().position(|(other, _)| other == name);
        match (at, value) {
            (Some(at), Some(value)) if replace => list[at].1 = value.to_string(),
            (Some(at), None) => drop(list.remove(at)),
            (None, Some(value)) => list.push((name.to_string(), value.to_string())),
            _ => {}
        }
    };
    set("PATH", Some(DEFAULT_PATH), true);
    set("HOSTNAME", Some(hostname), true);
    if options.tty {
        set("TERM", Some("xterm"), true);
    }
    for variable in &image.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(name, Some(value), true);
    }
    for (name, value) in &options.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::invalid(format!("invalid name of an environment variable: '{name}'")));
        }
        set(name, value.as_deref(), true);
    }
    set("HOME", Some(&facts.identity.home), false);
    Ok(list.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn rlimits(options: &Options) -> Result<Vec<PosixRlimit>> {
    let mut list = Vec::new();
    for limit in &options.ulimits {
        let name = serde_json::Value::String(format!("RLIMIT_{}", limit.name.to_uppercase()));
        let kind: PosixRlimitType = serde_json::from_value(name)
            .map_err(|_| suggest(Error::invalid(format!("unknown ulimit '{}'", limit.name)), &limit.name, ULIMITS))?;
        if limit.soft > limit.hard {
            let message = format!("ulimit '{}': the soft limit {} is above the hard one", limit.name, limit.soft);
            return Err(Error::invalid(message));
        }
        let limit = PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard);
        list.push(limit.build().map_err(internal)?);
    }
    Ok(list)
}
