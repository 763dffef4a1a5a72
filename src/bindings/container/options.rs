//! The options of containers: what they are called, and how they become the engine's.

use std::os::fd::AsFd;
use std::sync::Arc;

use mlua::Value;

use super::super::api::{Param, Type, option};
use super::super::call::Call;
use super::super::{Options as LuaOptions, args};
use crate::engine::container::detach::{self, DetachKeys};
use crate::engine::container::options::{
    Command, Device, DeviceRule, HealthOptions, Input, Limits, Log, Mount, Network, Options, Restart, Seccomp, Share,
    Ulimit,
};
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::suggest::suggest;

const STRINGS: Type = Type::List(&Type::String);
/// `{"/dev/sda:10m", ...}`.
const RATES: &str = "`DEVICE:RATE`, such as `/dev/sda:10m`.";

/// What every container can be told.
pub fn all() -> Vec<Param> {
    [identity(), process(), isolation(), rights(), limits(), life()].into_iter().flatten().collect()
}

/// What only a container in the foreground can be told.
pub fn foreground() -> Vec<Param> {
    vec![
        option("input", Type::String, "What it reads on standard input."),
        option("capture", Type::Boolean, "Keep the output in the result. Default false."),
        option("check", Type::Boolean, "False: a status other than 0 is no error. Default true."),
        option("timeout", Type::Duration, "Kill it after this long."),
        option("detach_keys", Type::String, "Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal."),
        option("sig_proxy", Type::Boolean, "Pass signals on to it rather than end it by them. Default false."),
    ]
}

fn identity() -> Vec<Param> {
    vec![
        option("name", Type::String, "Its name; one is made up by default."),
        option("hostname", Type::String, "Host name. Default: the short id."),
        option("domainname", Type::String, "NIS domain name."),
        option("labels", Type::Map, "Labels, besides the image's."),
        option("annotations", Type::Map, "Annotations for its runtime specification."),
        option("cidfile", Type::String, "A file to write its id to; it must not exist."),
        option("platform", Type::String, "For which machine, such as `linux/arm64`. Default: this one's."),
        option("pull", Type::OneOf(&["missing", "always", "never"]), "When to ask the registry. Default `missing`."),
    ]
}

fn process() -> Vec<Param> {
    vec![
        option("entrypoint", Type::Command, "Replaces the image's entry point; `{}` takes it away."),
        option("env", Type::Map, "Variables; they win over the image's; false removes one."),
        option("env_file", STRINGS, "Files of `NAME=VALUE` lines; `env` wins over them."),
        option("workdir", Type::String, "Working folder; made if it is missing."),
        option("user", Type::String, "`USER[:GROUP]`, names of the image or numbers."),
        option("group_add", STRINGS, "Further groups, names of the image or numbers."),
        option("tty", Type::Boolean, "Give it a terminal. Default false."),
        option("interactive", Type::Boolean, "Keep its standard input open. Default false."),
        option("init", Type::Boolean, "Run it below a small first process that reaps orphans. Default false."),
        option("ulimits", STRINGS, "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
        option("stop_signal", Type::String, "The signal that asks it to stop. Default: the image's, or TERM."),
        option("stop_timeout", Type::Integer, "Seconds from that signal to its end. Default 10."),
    ]
}

fn isolation() -> Vec<Param> {
    vec![
        option("network", Type::String, "`none` (default): loopback only; `host`; `container:NAME`."),
        option("pid", Type::String, "Process ids: `private` (default), `host`, `container:NAME`."),
        option("ipc", Type::String, "Shared memory: `private` (default), `host`, `container:NAME`."),
        option("uts", Type::String, "Host name: `private` (default), `host`, `container:NAME`."),
        option("cgroupns", Type::String, "Control groups: `private` (default), `host`."),
        option("userns", Type::String, "`host` (default), or the first of 65,536 host ids its own are mapped to."),
        option("volumes", STRINGS, "`SOURCE:TARGET[:ro]`: folders or files of the host; `TARGET`: a data folder."),
        option("mounts", STRINGS, "`type=bind,source=...,target=...[,readonly]`, `type=tmpfs,target=...`."),
        option("tmpfs", STRINGS, "`TARGET[:OPTION,...]`: memory, such as `/tmp:size=64m`."),
        option("volumes_from", STRINGS, "`NAME[:ro]`: containers whose mounts it gets, too."),
        option("devices", STRINGS, "`HOST[:CONTAINER][:rwm]`: devices of the host."),
        option("read_only", Type::Boolean, "Refuse writes to the root file system. Default false."),
        option("shm_size", Type::Size, "Size of /dev/shm. Default 64m."),
        option("extra_hosts", Type::Map, "Names for its /etc/hosts and their addresses."),
        option("dns", STRINGS, "Name servers instead of the host's."),
        option("dns_search", STRINGS, "Search domains."),
        option("dns_options", STRINGS, "Options of the resolver."),
        option("sysctls", Type::Map, "Kernel parameters of its namespaces."),
    ]
}

fn rights() -> Vec<Param> {
    vec![
        option("privileged", Type::Boolean, "Every capability, no system call filter, nothing hidden. Default false."),
        option("cap_add", STRINGS, "Capabilities to add; `ALL` for every one."),
        option("cap_drop", STRINGS, "Capabilities to take away; `ALL` for every one."),
        option("no_new_privileges", Type::Boolean, "Refuse gaining privileges by setuid programs. Default false."),
        option("seccomp", Type::String, "`default`, `unconfined`, or a file with a profile in Docker's JSON form."),
        option(
            "security_opt",
            STRINGS,
            "`no-new-privileges`, `seccomp=FILE|unconfined`, `apparmor=NAME|unconfined`, `systempaths=unconfined`.",
        ),
        option("device_cgroup_rules", STRINGS, "Further rules for devices, such as `c 42:* rmw`."),
    ]
}

/// Limits, which an update can change, too.
pub fn limits() -> Vec<Param> {
    vec![
        option("memory", Type::Size, "Memory it may use."),
        option(
            "memory_swap",
            Type::AnyOf(&[Type::Size, Type::Integer]),
            "Memory and swap together; -1 for any amount.",
        ),
        option("memory_reservation", Type::Size, "Memory the kernel tries to leave to it."),
        option("memory_swappiness", Type::Integer, "0 to 100; hosts with cgroup v1 only."),
        option("oom_kill_disable", Type::Boolean, "Let it wait for memory rather than kill it; cgroup v1 only."),
        option("oom_score_adj", Type::Integer, "How readily the kernel kills it for memory: -1000 to 1000."),
        option("cpus", Type::Number, "Processors it may use, such as 1.5."),
        option("cpu_shares", Type::Integer, "Its weight when processors are scarce; 1024 is usual."),
        option("cpu_quota", Type::Integer, "Microseconds of processor time in each period."),
        option("cpu_period", Type::Integer, "The period, in microseconds."),
        option("cpuset_cpus", Type::String, "The processors it may use, such as `0-1,3`."),
        option("cpuset_mems", Type::String, "The memory nodes it may use."),
        option("pids_limit", Type::Integer, "Processes and threads it may have; -1 for any number."),
        option("blkio_weight", Type::Integer, "Its weight when disks are busy: 10 to 1000."),
        option("blkio_weight_device", STRINGS, "`DEVICE:WEIGHT`."),
        option("device_read_bps", STRINGS, RATES),
        option("device_write_bps", STRINGS, RATES),
        option("device_read_iops", STRINGS, RATES),
        option("device_write_iops", STRINGS, RATES),
        option("hugetlb", STRINGS, "`SIZE:BYTES`, such as `2MB:64m`."),
    ]
}

fn life() -> Vec<Param> {
    vec![
        option("rm", Type::Boolean, "Remove it when it has ended."),
        option("restart", Type::String, "`no` (default), `on-failure[:N]`, `always`, `unless-stopped`."),
        option(
            "health",
            Type::Table,
            "`{cmd=, interval=, timeout=, retries=, start_period=, start_interval=, disable=}`.",
        ),
        option("log_driver", Type::String, "`json-file` (default) or `none`."),
        option(
            "log_opts",
            Type::Map,
            "`max-size`, `max-file`; `labels`, `env`: names of what to write down with each line.",
        ),
    ]
}

/// Reads all of them.
pub fn read(opts: &LuaOptions) -> Result<Options> {
    let mut options = Options {
        name: opts.string("name")?,
        platform: opts.string("platform")?,
        cidfile: opts.string("cidfile")?.map(Into::into),
        entrypoint: entrypoint(opts)?,
        env: environment(opts)?,
        workdir: opts.string("workdir")?,
        user: opts.string("user")?,
        group_add: opts.strings("group_add")?,
        hostname: opts.string("hostname")?,
        domainname: opts.string("domainname")?,
        tty: opts.boolean("tty").unwrap_or(false),
        interactive: opts.boolean("interactive").unwrap_or(false),
        init: opts.boolean("init").unwrap_or(false),
        read_only: opts.boolean("read_only").unwrap_or(false),
        shm_bytes: opts.size("shm_size")?,
        hosts: opts.map("extra_hosts")?,
        dns: opts.strings("dns")?,
        dns_search: opts.strings("dns_search")?,
        dns_options: opts.strings("dns_options")?,
        sysctls: opts.map("sysctls")?,
        labels: opts.map("labels")?,
        annotations: opts.map("annotations")?,
        volumes_from: opts.strings("volumes_from")?,
        timeout: opts.duration("timeout")?,
        network: network(opts)?.unwrap_or_default(),
        ulimits: ulimits(opts)?,
        stop_signal: opts.string("stop_signal")?,
        stop_timeout: opts.integer("stop_timeout").map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX)),
        restart: opts.string("restart")?.map_or(Ok(Restart::No), |text| Restart::parse(&text))?,
        log: Log::parse(opts.string("log_driver")?.as_deref(), &opts.map("log_opts")?)?,
        health: health(opts)?,
        limits: read_limits(opts)?,
        oom_score_adj: opts.integer("oom_score_adj").map(|score| score.clamp(-9999, 9999) as i32),
        ..Options::default()
    };
    if let Some(name) = &options.stop_signal {
        crate::engine::container::signal::parse(name)?;
    }
    read_shares(opts, &mut options)?;
    read_rights(opts, &mut options)?;
    read_mounts(opts, &mut options)?;
    Ok(options)
}

fn read_shares(opts: &LuaOptions, options: &mut Options) -> Result<()> {
    let share = |key: &str| opts.string(key)?.map_or(Ok(Share::Private), |text| Share::parse(key, &text));
    options.pid = share("pid")?;
    options.ipc = share("ipc")?;
    options.uts = share("uts")?;
    options.cgroupns = share("cgroupns")?;
    options.userns = match opts.string("userns")?.as_deref() {
        None | Some("" | "host") => None,
        Some(text) => {
            let bad = || Error::invalid(format!("invalid userns '{text}': expected host, or the first host id"));
            Some(text.split(':').next().unwrap_or(text).parse::<u32>().map_err(|_| bad())?)
        }
    };
    Ok(())
}

fn read_rights(opts: &LuaOptions, options: &mut Options) -> Result<()> {
    options.privileged = opts.boolean("privileged").unwrap_or(false);
    options.cap_add = opts.strings("cap_add")?;
    options.cap_drop = opts.strings("cap_drop")?;
    options.no_new_privileges = opts.boolean("no_new_privileges").unwrap_or(false);
    if let Some(word) = opts.string("seccomp")? {
        options.seccomp = seccomp(&word)?;
    }
    for text in opts.strings("security_opt")? {
        let (name, value) = text.split_once(['=', ':']).unwrap_or((&text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => options.no_new_privileges = true,
            ("no-new-privileges", "false") => options.no_new_privileges = false,
            ("seccomp", word) => options.seccomp = seccomp(word)?,
            ("apparmor", "") => return Err(Error::invalid("security_opt apparmor names no profile")),
            ("apparmor", profile) => options.apparmor = Some(profile.into()),
            ("systempaths" | "unmask", _) => options.unmask = true,
            // SELinux labels: there is nothing to do on a host without it.
            ("label", _) => {}
            (other, _) => {
                let error = Error::invalid(format!("unknown security_opt '{text}'"));
                return Err(suggest(
                    error,
                    other,
                    ["no-new-privileges", "seccomp", "apparmor", "systempaths", "label"],
                ));
            }
        }
    }
    for text in opts.strings("devices")? {
        options.devices.push(Device::parse(&text)?);
    }
    for text in opts.strings("device_cgroup_rules")? {
        options.device_rules.push(DeviceRule::parse(&text)?);
    }
    Ok(())
}

fn seccomp(word: &str) -> Result<Seccomp> {
    match word {
        "default" | "builtin" => Ok(Seccomp::Default),
        "unconfined" => Ok(Seccomp::Unconfined),
        path => Ok(Seccomp::Profile(std::fs::read_to_string(path).os(|| format!("seccomp profile {path}"))?)),
    }
}

fn read_mounts(opts: &LuaOptions, options: &mut Options) -> Result<()> {
    for text in opts.strings("volumes")? {
        options.mounts.push(Mount::parse(&text)?);
    }
    for text in opts.strings("mounts")? {
        options.mounts.push(Mount::parse_long(&text)?);
    }
    for text in opts.strings("tmpfs")? {
        options.mounts.push(Mount::tmpfs(&text)?);
    }
    Ok(())
}

/// Reads the limits.
pub fn read_limits(opts: &LuaOptions) -> Result<Limits> {
    let positive = |key: &str| match opts.integer(key) {
        Some(number) if number < 0 => Err(Error::invalid(format!("{key} must not be negative, got {number}"))),
        other => Ok(other.map(|number| number as u64)),
    };
    let swap = match opts.integer("memory_swap") {
        Some(number) if number >= -1 => Some(number),
        Some(number) => return Err(Error::invalid(format!("memory_swap must be a size or -1, got {number}"))),
        None => opts.size("memory_swap")?.map(|bytes| bytes as i64),
    };
    let weight = positive("blkio_weight")?.map(|weight| u16::try_from(weight).unwrap_or(u16::MAX));
    Ok(Limits {
        memory_bytes: opts.size("memory")?.filter(|bytes| *bytes > 0),
        memory_swap: swap.filter(|bytes| *bytes != 0),
        memory_reservation: opts.size("memory_reservation")?.filter(|bytes| *bytes > 0),
        memory_swappiness: positive("memory_swappiness")?,
        oom_kill_disable: opts.boolean("oom_kill_disable"),
        cpus: opts.number("cpus").filter(|cpus| *cpus != 0.0),
        cpu_shares: positive("cpu_shares")?.filter(|shares| *shares > 0),
        cpu_quota: opts.integer("cpu_quota").filter(|quota| *quota != 0),
        cpu_period: positive("cpu_period")?.filter(|period| *period > 0),
        cpuset_cpus: opts.string("cpuset_cpus")?,
        cpuset_mems: opts.string("cpuset_mems")?,
        pids: opts.integer("pids_limit").filter(|number| *number != 0),
        blkio_weight: weight,
        blkio_weight_device: pairs(opts, "blkio_weight_device")?,
        device_read_bps: pairs(opts, "device_read_bps")?,
        device_write_bps: pairs(opts, "device_write_bps")?,
        device_read_iops: pairs(opts, "device_read_iops")?,
        device_write_iops: pairs(opts, "device_write_iops")?,
        hugetlb: pairs(opts, "hugetlb")?,
    })
}

/// `NAME:SIZE` each.
fn pairs(opts: &LuaOptions, key: &str) -> Result<Vec<(String, u64)>> {
    let one = |text: &String| {
        let bad = || Error::invalid(format!("{key} '{text}': expected NAME:NUMBER"));
        let (name, value) = text.rsplit_once(':').ok_or_else(bad)?;
        Ok((name.to_string(), crate::engine::size::parse(value).ok_or_else(bad)?))
    };
    opts.strings(key)?.iter().map(one).collect()
}

/// Files of variables, then variables.
fn environment(opts: &LuaOptions) -> Result<Vec<(String, Option<String>)>> {
    let mut list = Vec::new();
    for path in opts.strings("env_file")? {
        let text = std::fs::read_to_string(&path).os(|| format!("env_file {path}"))?;
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once('=') {
                Some((name, value)) => list.push((name.to_string(), Some(value.to_string()))),
                // A name alone is taken from our own environment, as container users know it.
                None => list.extend(std::env::var(line).ok().map(|value| (line.to_string(), Some(value)))),
            }
        }
    }
    list.extend(opts.changes("env")?);
    Ok(list)
}

/// The entry point; an empty vector takes the image's away.
fn entrypoint(opts: &LuaOptions) -> Result<Option<Vec<String>>> {
    match opts.value("entrypoint") {
        Value::Table(table) if table.is_empty() => Ok(Some(Vec::new())),
        Value::String(text) => {
            let word = text.to_string_lossy();
            Ok(Some(if word.is_empty() { Vec::new() } else { vec![word] }))
        }
        _ => opts.command("entrypoint", &[]),
    }
}

fn health(opts: &LuaOptions) -> Result<HealthOptions> {
    const KEYS: [&str; 7] = ["cmd", "interval", "timeout", "retries", "start_period", "start_interval", "disable"];
    let Value::Table(table) = opts.value("health") else { return Ok(HealthOptions::default()) };
    for pair in table.pairs::<String, Value>() {
        let (key, _) = pair?;
        if !KEYS.contains(&key.as_str()) {
            return Err(suggest(Error::invalid(format!("health: unknown key '{key}'")), &key, KEYS));
        }
    }
    let span = |key: &str| match table.get::<Value>(key)? {
        Value::Nil => Ok(None),
        value => args::duration(&value).map(Some).map_err(|e| e.context(format!("health.{key}"))),
    };
    Ok(HealthOptions {
        command: super::command(&table.get("cmd")?)?,
        interval: span("interval")?,
        timeout: span("timeout")?,
        retries: args::integer(&table.get("retries")?).map(|count| count.clamp(0, i64::from(u32::MAX)) as u32),
        start_period: span("start_period")?,
        start_interval: span("start_interval")?,
        disable: table.get::<Option<bool>>("disable")?.unwrap_or(false),
    })
}

/// Where the standard input of something in the foreground comes from.
pub fn input(opts: &LuaOptions) -> Result<Input> {
    if let Some(bytes) = opts.bytes("input")? {
        return Ok(Input::Bytes(bytes));
    }
    if !opts.boolean("interactive").unwrap_or(false) {
        return Ok(Input::Nothing);
    }
    own_input()
}

/// This program's own standard input.
pub fn own_input() -> Result<Input> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned().os(|| "standard input")?;
    Ok(Input::From(Arc::new(fd)))
}

/// The keys that leave a container running: only a terminal has them unless they are asked for.
pub fn detach_keys(opts: &LuaOptions, tty: bool) -> Result<Option<DetachKeys>> {
    match opts.string("detach_keys")? {
        Some(text) => DetachKeys::parse(&text),
        None if tty => DetachKeys::parse(detach::DEFAULT),
        None => Ok(None),
    }
}

/// The `network` option.
pub fn network(opts: &LuaOptions) -> Result<Option<Network>> {
    let Some(text) = opts.string("network")? else { return Ok(None) };
    match text.as_str() {
        "none" => Ok(Some(Network::None)),
        "host" => Ok(Some(Network::Host)),
        other => match other.strip_prefix("container:").filter(|name| !name.is_empty()) {
            Some(name) => Ok(Some(Network::Container(name.into()))),
            None => {
                let error = Error::invalid(format!("no network '{other}'"));
                Err(suggest(error, other, ["none", "host"]).with_hint("there are none, host and container:NAME"))
            }
        },
    }
}

/// The `ulimits` option.
pub fn ulimits(opts: &LuaOptions) -> Result<Vec<Ulimit>> {
    opts.strings("ulimits")?.iter().map(|text| Ulimit::parse(text)).collect()
}

/// A command argument of a call that must have one.
pub fn required_command(call: &Call, index: usize) -> Result<Command> {
    let missing = || Error::invalid(format!("{}: no command given", call.name()));
    super::command(&call.arg(index)).map_err(|e| call.named(e))?.ok_or_else(missing)
}
