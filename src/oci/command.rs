//! The commands: each reads its flags, calls the engine and prints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use oci_spec::runtime::{Process, Spec};
use serde_json::{Value, json};

use super::{log, resources, table};
use crate::engine::container::oci::{
    Create, ExecOptions, Override, Record, Relay, Runtime, Status, VERSION, check_preserved, features,
};
use crate::engine::container::signal;
use crate::engine::error::{Error, Kind, OsContext, Result};
use crate::engine::files;

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

fn path<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a Path> {
    text(matches, name).filter(|text| !text.is_empty()).map(Path::new)
}

/// Runs the command; returns the exit status.
pub fn run(all: &ArgMatches) -> Result<i32> {
    if all.get_flag("version") {
        // Engines read the first line's last word and the line about the specification.
        let text = format!("{} version {}\nspec: {VERSION}\n", super::NAME, env!("CARGO_PKG_VERSION"));
        return table::write(&text).map(|()| 0);
    }
    let Some((name, matches)) = all.subcommand() else {
        return Err(Error::invalid("no command given: --help lists them"));
    };
    let runtime = Runtime::new(root(all), log::warning);
    let id = matches.try_get_one::<String>("id").ok().flatten().map_or("", String::as_str);
    match name {
        "create" => create(&runtime, all, matches, true).map(|_| 0),
        "run" => run_through(&runtime, all, matches),
        "start" => runtime.start(id).map(|()| 0),
        "delete" => runtime.delete(id, matches.get_flag("force")).map(|()| 0),
        "kill" => {
            let signal = signal::parse(text(matches, "signal").unwrap_or("TERM"))?;
            runtime.kill(id, signal, matches.get_flag("all")).map(|()| 0)
        }
        "pause" => runtime.pause(id).map(|()| 0),
        "resume" => runtime.resume(id).map(|()| 0),
        "update" => runtime.update(id, &resources::read(matches)?).map(|()| 0),
        "exec" => exec(&runtime, matches, id),
        "state" => table::json(&runtime.get(id)?.to_json()?).map(|()| 0),
        "list" => list(&runtime, matches).map(|()| 0),
        "ps" => ps(&runtime.get(id)?, matches).map(|()| 0),
        "events" => events(&runtime.get(id)?, matches).map(|()| 0),
        "features" => table::json(&features()).map(|()| 0),
        "spec" => spec(matches).map(|()| 0),
        other => Err(Error::invalid(format!("unknown command '{other}'"))),
    }
}

/// Where states are: for root a folder that a reboot clears.
fn root(all: &ArgMatches) -> PathBuf {
    if let Some(root) = path(all, "root") {
        return std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root()) {
        Some(folder) => Path::new(&folder).join("moonshell-oci"),
        None => PathBuf::from("/run/moonshell-oci"),
    }
}

/// Descriptors to keep open: those asked for, and sockets that systemd passes.
fn preserved(matches: &ArgMatches) -> Result<(u32, u32)> {
    let preserved = matches.get_one::<u16>("preserve-fds").copied().unwrap_or(0).into();
    let listen = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u16>().ok()).unwrap_or(0).into();
    check_preserved(preserved + listen)?;
    Ok((preserved, listen))
}

fn create(
    runtime: &Runtime,
    all: &ArgMatches,
    matches: &ArgMatches,
    detached: bool,
) -> Result<crate::engine::container::oci::Created> {
    let (preserve_fds, listen_fds) = preserved(matches)?;
    runtime.create(&Create {
        id: text(matches, "id").unwrap_or(""),
        bundle: path(matches, "bundle").unwrap_or(Path::new(".")),
        config: path(matches, "config"),
        pid_file: path(matches, "pid-file"),
        console_socket: path(matches, "console-socket"),
        detached,
        systemd: all.get_flag("systemd-cgroup") || text(all, "cgroup-manager") == Some("systemd"),
        no_cgroup: text(all, "cgroup-manager") == Some("disabled"),
        no_pivot: matches.get_flag("no-pivot"),
        no_new_keyring: matches.get_flag("no-new-keyring"),
        preserve_fds,
        listen_fds,
    })
}

fn run_through(runtime: &Runtime, all: &ArgMatches, matches: &ArgMatches) -> Result<i32> {
    let detached = matches.get_flag("detach");
    let mut relay = if detached { None } else { Some(Relay::new()?) };
    let created = create(runtime, all, matches, detached || path(matches, "console-socket").is_some())?;
    let id = created.record.id.clone();
    if let Err(error) = runtime.start(&id) {
        created.child.abort();
        runtime.remove_ended(&created.record)?;
        return Err(error);
    }
    let Some(relay) = &mut relay else { return Ok(0) };
    let code = relay.wait(&created.child, created.master);
    if !matches.get_flag("keep") {
        runtime.remove_ended(&created.record)?;
    }
    code
}

fn exec(runtime: &Runtime, matches: &ArgMatches, id: &str) -> Result<i32> {
    let (preserve_fds, _) = preserved(matches)?;
    let detached = matches.get_flag("detach");
    let process = process(runtime, matches, id)?;
    let mut relay = if detached { None } else { Some(Relay::new()?) };
    let options = ExecOptions {
        console_socket: path(matches, "console-socket"),
        detached: detached || path(matches, "console-socket").is_some(),
        ignore_paused: matches.get_flag("ignore-paused"),
        preserve_fds,
    };
    let (child, master) = runtime.exec(id, &process, &options)?;
    if let Some(path) = path(matches, "pid-file") {
        files::write(path, child.pid.as_raw_nonzero().to_string().as_bytes(), Some(0o644))?;
    }
    relay.as_mut().map_or(Ok(0), |relay| relay.wait(&child, master))
}

fn process(runtime: &Runtime, matches: &ArgMatches, id: &str) -> Result<Process> {
    let list = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let args = list("command");
    let mut process = match path(matches, "process") {
        Some(_) if !args.is_empty() => return Err(Error::invalid("exec takes --process or a command, not both")),
        Some(file) => runtime.load_process(file)?,
        None if args.is_empty() => return Err(Error::invalid("exec needs a command")),
        None => runtime.get(id)?.process(Override {
            args,
            cwd: path(matches, "cwd").map(Path::to_path_buf),
            env: list("env"),
            user: text(matches, "user").map(String::from),
            groups: matches.get_many::<u32>("additional-gids").into_iter().flatten().copied().collect(),
            capabilities: list("cap"),
            terminal: false,
            no_new_privileges: matches.get_flag("no-new-privs").then_some(true),
            apparmor: text(matches, "apparmor").map(String::from),
            label: text(matches, "process-label").map(String::from),
        })?,
    };
    if matches.get_flag("tty") {
        process.set_terminal(Some(true));
    }
    Ok(process)
}

fn list(runtime: &Runtime, matches: &ArgMatches) -> Result<()> {
    let records = runtime.list()?;
    if matches.get_flag("quiet") {
        return table::write(&records.iter().map(|record| format!("{}\n", record.id)).collect::<String>());
    }
    let states = records.iter().map(Record::to_json).collect::<Result<Vec<_>>>()?;
    if text(matches, "format") == Some("json") {
        return table::json(&Value::Array(states));
    }
    let cell = |state: &Value, key: &str| match &state[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys = ["id", "pid", "status", "bundle", "created", "owner"];
    let rows = states.iter().map(|state| keys.iter().map(|key| cell(state, key)).collect()).collect();
    table::print(&keys.map(str::to_uppercase).each_ref().map(String::as_str), rows)
}

fn ps(record: &Record, matches: &ArgMatches) -> Result<()> {
    let pids = record.processes()?;
    if text(matches, "format") == Some("json") {
        return table::json(&json!(pids));
    }
    table::print(&["PID"], pids.iter().map(|pid| vec![pid.to_string()]).collect())
}

fn events(record: &Record, matches: &ArgMatches) -> Result<()> {
    if record.status()? == Status::Stopped {
        return Err(Error::invalid("container not running"));
    }
    let line = |value: &Value| table::write(&format!("{value}\n"));
    if matches.get_flag("stats") {
        return line(&record.stats_event()?);
    }
    let interval = humantime::parse_duration(text(matches, "interval").unwrap_or("5s"))
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(1))
        .ok_or_else(|| Error::invalid("--interval is not a time such as 5s"))?;
    let mut killed = record.oom_kills()?;
    loop {
        match record.stats_event() {
            Ok(event) => line(&event)?,
            // It has ended.
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
        let Some(pidfd) = record.pidfd()? else { return Ok(()) };
        let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        let time =
            rustix::event::Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
        let ended = rustix::event::poll(&mut fds, Some(&time)).os(|| "wait")? > 0;
        let now = record.oom_kills().unwrap_or(killed);
        if now > killed {
            killed = now;
            line(&json!({ "type": "oom", "id": record.id }))?;
        }
        if ended {
            return Ok(());
        }
    }
}

fn spec(matches: &ArgMatches) -> Result<()> {
    let file = path(matches, "bundle").unwrap_or(Path::new(".")).join("config.json");
    if file.exists() {
        return Err(Error::new(Kind::AlreadyExists, format!("{} exists already", file.display())));
    }
    let spec = match matches.get_flag("rootless") {
        true => Spec::rootless(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        false => Spec::default(),
    };
    let text = serde_json::to_string_pretty(&spec)
        .map_err(|e| Error::new(Kind::Internal, format!("runtime specification: {e}")))?;
    files::write(&file, format!("{text}\n").as_bytes(), Some(0o644))
}
