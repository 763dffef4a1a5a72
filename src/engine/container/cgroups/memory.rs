//! Limits of memory and swap.
//!
//! v1 limits memory, and memory and swap together; v2 limits the two apart. The runtime specification's `swap` is
//! both together. Source: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst.

use oci_spec::runtime::LinuxMemory;

use super::super::super::error::{Error, Kind, Result};
use super::hierarchy::Version;
use super::resources::{Before, Table, only_v1, or_max};

const LIMIT: &str = "memory.limit_in_bytes";
const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
/// At least this is what v1 says for no limit, in a page size of up to 64 KiB.
const UNLIMITED: i64 = i64::MAX - 65_536;

/// Adds the writes for memory.
///
/// # Errors
/// `invalid_argument` for values that contradict each other, `unsupported` for what this host does not limit.
pub(super) fn add(table: &mut Table<'_>, memory: &LinuxMemory) -> Result<()> {
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    let (limit, swap) = (given(memory.limit()), given(memory.swap()));
    if let (Some(limit), Some(swap)) = (limit, swap)
        && swap > 0
        && (limit < 0 || swap < limit)
    {
        let message =
            format!("memory_swap '{swap}': it counts memory as well, so it cannot be less than memory '{limit}'");
        return Err(Error::invalid(message));
    }
    if limit.is_some() || swap.is_some() {
        match table.version("memory", if limit.is_some() { "memory" } else { "memory_swap" })? {
            Version::V1 => limits_v1(table, limit, swap)?,
            Version::V2 => limits_v2(table, limit, swap, memory.check_before_update() == Some(true))?,
        }
    }
    if let Some(reservation) = given(memory.reservation()) {
        match table.version("memory", "memory_reservation")? {
            Version::V1 => table.set("memory", "memory_reservation", "memory.soft_limit_in_bytes", reservation),
            Version::V2 => table.set("memory", "memory_reservation", "memory.low", or_max(reservation)),
        };
    }
    rest(table, memory)
}

/// What v1 alone has.
fn rest(table: &mut Table<'_>, memory: &LinuxMemory) -> Result<()> {
    let given = |value: Option<i64>| value.filter(|value| *value != 0).map(|value| value.to_string());
    let list = [
        ("memory_swappiness", "memory.swappiness", memory.swappiness().map(|value| value.to_string())),
        ("kernel_memory", "memory.kmem.limit_in_bytes", given(memory.kernel())),
        ("kernel_memory_tcp", "memory.kmem.tcp.limit_in_bytes", given(memory.kernel_tcp())),
    ];
    for (option, file, value) in list {
        let Some(value) = value else { continue };
        if table.version("memory", option)? == Version::V2 {
            return Err(only_v1(option));
        }
        table.set("memory", option, file, value);
    }
    if let Some(disable) = memory.disable_oom_killer() {
        let version = table.target.version("memory");
        match version {
            // It is never disabled there.
            Ok(Version::V2) | Err(_) if !disable => {}
            Ok(Version::V2) => return Err(only_v1("oom_kill_disable")),
            _ => {
                table.version("memory", "oom_kill_disable")?;
                let setting = table.set("memory", "oom_kill_disable", "memory.oom_control", u8::from(disable));
                setting.before = Before::Field("oom_kill_disable");
            }
        }
    }
    if memory.use_hierarchy() == Some(true) && matches!(table.target.version("memory"), Ok(Version::V1)) {
        // Since Linux 5.11 always so.
        table.set("memory", "use_hierarchy", "memory.use_hierarchy", 1).optional = true;
    }
    Ok(())
}

/// Memory never exceeds memory and swap together, at no step.
fn limits_v1(table: &mut Table<'_>, limit: Option<i64>, swap: Option<i64>) -> Result<()> {
    let swap_now = match (limit, swap) {
        (Some(1..), None) => None,
        _ => table.number("memory", WITH_SWAP)?,
    };
    if swap.is_some_and(|swap| swap > 0) && swap_now.is_none() {
        return Err(no_swap_accounting());
    }
    if limit.is_none() && swap.is_some_and(|swap| swap > 0) {
        let memory_now = table.number("memory", LIMIT)?.unwrap_or(i64::MAX);
        refuse_alone(swap, memory_now >= UNLIMITED)?;
    }
    // Without swap accounting no limit on swap is what there is anyhow.
    let swap = match (limit, swap) {
        (Some(..0), None) | (_, Some(..0)) => swap_now.map(|_| -1),
        (_, swap) => swap,
    };
    let first = table.list.len();
    if let Some(limit) = limit {
        table.set("memory", "memory", LIMIT, limit);
    }
    if let Some(swap) = swap {
        table.set("memory", "memory_swap", WITH_SWAP, swap);
        let fits = |limit: i64| limit > 0 && swap_now.is_some_and(|now| limit <= now);
        if limit.is_some_and(|limit| !fits(limit)) {
            table.list[first..].reverse();
        }
    }
    Ok(())
}

fn limits_v2(table: &mut Table<'_>, limit: Option<i64>, swap: Option<i64>, check: bool) -> Result<()> {
    if let Some(limit) = limit.filter(|limit| check && *limit > 0) {
        let used = table.number("memory", "memory.current")?.unwrap_or(0);
        if used > limit {
            return Err(Error::new(Kind::InUse, format!("memory '{limit}': more than that is in use, {used} bytes")));
        }
    }
    let memory = match limit {
        Some(limit) => Some(limit),
        None => table.number("memory", "memory.max")?,
    };
    let value = match (swap, memory) {
        (Some(..0), _) | (None, Some(..0)) => Some(-1),
        (Some(swap), memory) => {
            refuse_alone(Some(swap), memory.is_none())?;
            let memory = memory.unwrap_or(0);
            if swap < memory {
                return Err(Error::invalid(format!("memory_swap '{swap}': it cannot be less than memory '{memory}'")));
            }
            Some(swap - memory)
        }
        (None, _) => None,
    };
    if let Some(limit) = limit {
        table.set("memory", "memory", "memory.max", or_max(limit)).shown = limit.to_string();
    }
    if let Some(value) = value {
        if swap.is_some_and(|swap| swap > 0) && table.target.now("memory", "memory.swap.max")?.is_none() {
            return Err(no_swap_accounting());
        }
        let setting = table.set("memory", "memory_swap", "memory.swap.max", or_max(value));
        setting.shown = swap.unwrap_or(-1).to_string();
        setting.optional = value < 0;
    }
    Ok(())
}

fn refuse_alone(swap: Option<i64>, unlimited: bool) -> Result<()> {
    match swap {
        Some(swap) if swap > 0 && unlimited => {
            let message = format!("memory_swap '{swap}': it counts memory as well, so memory must be limited, too");
            Err(Error::invalid(message))
        }
        _ => Ok(()),
    }
}

fn no_swap_accounting() -> Error {
    let message = "memory_swap: this kernel does not count swap";
    Error::new(Kind::Unsupported, message).with_hint("boot with swapaccount=1, or leave the option out")
}
