//! The `host` module: programs and facts of the machine the script runs on.

use mlua::{Lua, Table};

use super::api::{Function, Param, Type, option};
use super::class::{Class, object};
use super::{Call, Outcome};
use crate::engine::container::apparmor::{self, Support};
use crate::engine::error::Result;
use crate::engine::host::{RunOptions, RunResult, run};

const SHELL: &[&str] = &["/bin/sh", "-c"];

fn run_options() -> Vec<Param> {
    vec![
        option("env", Type::Map, "Variables set besides the inherited ones."),
        option("cwd", Type::String, "Working folder."),
        option("input", Type::String, "What the program reads."),
        option("check", Type::Boolean, "False: a status other than 0 is no error. Default true."),
        option("timeout", Type::Duration, "Stop the program after this long."),
    ]
}

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("host.run", "Runs a program of the host and waits for it.", run_body)
            .details(
                "A string goes to /bin/sh, a table is an argument vector. Output goes to the terminal unless `capture` \
                 is set. Ctrl-C stops the program and all it started.",
            )
            .param("cmd", Type::Command, "The command.")
            .options(run_options())
            .option("capture", Type::Boolean, "Keep the output in the result. Default false.")
            .returns(Type::Handle("Result"), "How it ended.")
            .errors(&["not_found", "permission", "exit", "timeout", "interrupted"])
            .example("host.run(\"make -j4\", {cwd=\"src\"})")
            .flushes(),
        Function::new(
            "host.out",
            "Runs a program of the host and returns its output without the last line end.",
            out_body,
        )
        .param("cmd", Type::Command, "The command.")
        .options(run_options())
        .returns(Type::String, "Its standard output.")
        .errors(&["not_found", "permission", "exit", "timeout", "interrupted"])
        .example("local commit = host.out(\"git rev-parse HEAD\")"),
        Function::new("host.info", "Describes the machine.", |call| {
            call.work(|at| info(at.config().root.display().to_string()), facts_table)
        })
        .returns(Type::Table, "`hostname`, `kernel`, `cpus`, `memory` (bytes), `cgroup` (1 or 2), `apparmor` (the profile of containers; nil without one), `warnings` (what they lack), `user`, `root`.")
        .example("print(host.info().kernel)"),
        Function::new("host.hostname", "Returns the machine's name.", |call| {
            call.value(rustix::system::uname().nodename().to_string_lossy().into_owned())
        })
        .returns(Type::String, "The name.")
        .example("print(host.hostname())"),
    ]
}

/// The `Result` class: how a program ended.
pub fn result_class() -> Class {
    Class::new::<RunResult>("Result", "How a program ended.")
        .field("exit_code", Type::Integer, "Its status; 128+n for signal n.", |_, r: &RunResult| Ok(r.exit_code))
        .field("ok", Type::Boolean, "Whether the status is 0.", |_, r: &RunResult| Ok(r.exit_code == 0))
        .field("stdout", Type::String, "Captured output.", |lua, r: &RunResult| lua.create_string(&r.stdout))
        .field("stderr", Type::String, "Captured error output.", |lua, r: &RunResult| lua.create_string(&r.stderr))
        .show(|r: &RunResult| format!("Result(exit_code={}, {} bytes of output)", r.exit_code, r.stdout.len()))
        .key(|r: &RunResult| format!("{r:?}"))
}

fn read(call: &Call) -> Result<RunOptions> {
    let opts = call.options();
    Ok(RunOptions {
        argv: call.command(0, SHELL)?,
        env: opts.map("env")?,
        unset: Vec::new(),
        cwd: opts.string("cwd")?.map(Into::into),
        input: opts.bytes("input")?,
        capture: opts.boolean("capture").unwrap_or(false),
        check: opts.boolean("check").unwrap_or(true),
        timeout: opts.duration("timeout")?,
    })
}

fn run_body(call: &Call) -> Result<Outcome> {
    let options = read(call)?;
    call.work(move |at| run(&options, at.cancel()), object)
}

fn out_body(call: &Call) -> Result<Outcome> {
    let options = RunOptions { capture: true, ..read(call)? };
    call.work(
        move |at| run(&options, at.cancel()),
        |lua, result| lua.create_string(result.stdout.strip_suffix(b"\n").unwrap_or(&result.stdout)),
    )
}

struct Facts {
    memory: u64,
    cgroup: u8,
    cpus: usize,
    apparmor: Support,
    root: String,
}

fn info(root: String) -> Result<Facts> {
    let memory = rustix::system::sysinfo();
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    #[allow(clippy::useless_conversion)] // the fields' width differs between architectures
    let memory = u64::from(memory.totalram) * u64::from(memory.mem_unit);
    Ok(Facts { memory, cgroup: if unified { 2 } else { 1 }, cpus, apparmor: apparmor::support(), root })
}

fn facts_table(lua: &Lua, facts: Facts) -> mlua::Result<Table> {
    let names = rustix::system::uname();
    let table = lua.create_table()?;
    table.raw_set("hostname", names.nodename().to_string_lossy())?;
    table.raw_set("kernel", names.release().to_string_lossy())?;
    table.raw_set("arch", names.machine().to_string_lossy())?;
    table.raw_set("cpus", facts.cpus)?;
    table.raw_set("memory", facts.memory)?;
    table.raw_set("cgroup", facts.cgroup)?;
    if let Support::Ready(_) = facts.apparmor {
        table.raw_set("apparmor", apparmor::DEFAULT)?;
    }
    table.raw_set("warnings", lua.create_sequence_from(facts.apparmor.warning())?)?;
    table.raw_set("user", rustix::process::geteuid().as_raw())?;
    table.raw_set("root", facts.root)?;
    Ok(table)
}

/// `host.env`: the environment's variables as they were at the start.
///
/// # Errors
/// When memory is short.
pub fn environment(lua: &Lua) -> mlua::Result<Table> {
    let variables = lua.create_table()?;
    for (name, value) in std::env::vars_os() {
        use std::os::unix::ffi::OsStrExt;
        variables.raw_set(lua.create_string(name.as_bytes())?, lua.create_string(value.as_bytes())?)?;
    }
    Ok(variables)
}
