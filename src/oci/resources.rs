//! Limits on a command line, for `update`.

use std::io::Read;

use clap::{Arg, ArgAction, ArgMatches};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxMemory, LinuxPids, LinuxPidsBuilder, LinuxResources,
};

use crate::engine::error::{Error, Kind, OsContext, Result};

/// Name, what it is.
const FLAGS: [(&str, &str); 15] = [
    ("blkio-weight", "weight of block input and output, 10 to 1000"),
    ("cpu-period", "length of a period, in microseconds"),
    ("cpu-quota", "time in a period, in microseconds; -1 for no limit"),
    ("cpu-burst", "time that may be saved up, in microseconds"),
    ("cpu-share", "relative weight"),
    ("cpu-rt-period", "length of a real-time period, in microseconds"),
    ("cpu-rt-runtime", "real-time in a period, in microseconds"),
    ("cpu-idle", "1 for work that only fills gaps"),
    ("cpuset-cpus", "processors, such as 0-3,7"),
    ("cpuset-mems", "memory nodes"),
    ("memory", "memory, such as 512m; -1 for no limit"),
    ("memory-reservation", "memory below which nothing is taken back"),
    ("memory-swap", "memory and swap together; -1 for no limit"),
    ("pids-limit", "processes; -1 for no limit"),
    ("resources", "a file of limits as JSON, - for standard input"),
];

/// The flags of `update`.
pub fn flags() -> Vec<Arg> {
    let flag = |(name, help): (&'static str, &'static str)| {
        let arg = Arg::new(name).long(name).value_name("VALUE").action(ArgAction::Set).allow_hyphen_values(true);
        let arg = arg.help(help);
        if name == "resources" { arg.short('r') } else { arg }
    };
    FLAGS.into_iter().map(flag).collect()
}

/// Reads the limits that were given.
pub fn read(matches: &ArgMatches) -> Result<LinuxResources> {
    if let Some(file) = matches.get_one::<String>("resources") {
        return from_file(file);
    }
    let text = |name: &str| matches.get_one::<String>(name).filter(|text| !text.is_empty());
    let number = |name: &str| text(name).map(|text| integer(name, text)).transpose();
    let positive = |name: &str| number(name).and_then(|value| value.map(|value| unsigned(name, value)).transpose());
    let bytes = |name: &str| text(name).map(|text| size(name, text)).transpose();
    let mut cpu = LinuxCpu::default();
    cpu.set_period(positive("cpu-period")?)
        .set_quota(number("cpu-quota")?)
        .set_burst(positive("cpu-burst")?)
        .set_shares(positive("cpu-share")?)
        .set_realtime_period(positive("cpu-rt-period")?)
        .set_realtime_runtime(number("cpu-rt-runtime")?)
        .set_idle(number("cpu-idle")?)
        .set_cpus(text("cpuset-cpus").cloned())
        .set_mems(text("cpuset-mems").cloned());
    let mut memory = LinuxMemory::default();
    memory.set_limit(bytes("memory")?).set_reservation(bytes("memory-reservation")?).set_swap(bytes("memory-swap")?);
    let mut resources = LinuxResources::default();
    resources.set_cpu(Some(cpu).filter(|cpu| *cpu != LinuxCpu::default()));
    resources.set_memory(Some(memory).filter(|memory| *memory != LinuxMemory::default()));
    resources.set_pids(number("pids-limit")?.map(pids).transpose()?);
    resources.set_block_io(positive("blkio-weight")?.map(weight).transpose()?);
    resources.set_devices(None);
    if resources == nothing() {
        return Err(Error::invalid("update needs at least one limit"));
    }
    Ok(resources)
}

fn nothing() -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    resources
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("limits: {error}"))
}

fn pids(limit: i64) -> Result<LinuxPids> {
    LinuxPidsBuilder::default().limit(limit).build().map_err(internal)
}

fn weight(weight: u64) -> Result<LinuxBlockIo> {
    let weight = u16::try_from(weight).map_err(|_| Error::invalid(format!("blkio-weight {weight} is out of range")))?;
    LinuxBlockIoBuilder::default().weight(weight).build().map_err(internal)
}

fn from_file(file: &str) -> Result<LinuxResources> {
    let mut text = Vec::new();
    match file {
        "-" => std::io::stdin().read_to_end(&mut text).os(|| "read standard input")?,
        path => {
            std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text)).os(|| format!("read {path}"))?
        }
    };
    serde_json::from_slice(&text).map_err(|e| Error::invalid(format!("malformed limits: {e}")))
}

fn integer(name: &str, text: &str) -> Result<i64> {
    text.trim().parse().map_err(|_| Error::invalid(format!("--{name} '{text}' is not a number")))
}

fn unsigned(name: &str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::invalid(format!("--{name} {value} is negative")))
}

/// A number of bytes, with a unit of powers of 1024 or without.
fn size(name: &str, text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("--{name} '{text}' is not a size"));
    let lower = text.trim().to_ascii_lowercase();
    let word = lower.strip_suffix('b').unwrap_or(&lower);
    let word = word.strip_suffix('i').unwrap_or(word);
    let (number, shift) = match word.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => {
            let power = "kmgtp".find(unit).ok_or_else(bad)? as u32 + 1;
            (&word[..at], 10 * power)
        }
        _ => (word, 0),
    };
    let number: i64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| size("memory", text);
        assert_eq!(size("1024").unwrap(), 1024);
        assert_eq!(size("512m").unwrap(), 512 << 20);
        assert_eq!(size("2GiB").unwrap(), 2 << 30);
        assert_eq!(size("-1").unwrap(), -1);
        for bad in ["", "x", "5x", "1.5g", "9999999999g", "m"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
