//! Limits on block devices: weights and throttles.
//!
//! The files depend on the scheduler the kernel has: BFQ's since Linux 5.0, CFQ's before, and v2's own cost model.
//! Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, cgroup-v2.rst, Documentation/block/bfq-iosched.rst.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice, LinuxWeightDevice};

use super::super::super::error::{Error, Kind, Result};
use super::hierarchy::Version;
use super::resources::{Before, Table};

/// Adds the writes for block devices.
///
/// # Errors
/// `invalid_argument` for a weight out of range, `unsupported` for what this host does not limit.
pub(super) fn add(table: &mut Table<'_>, limits: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = limits.weight().filter(|weight| *weight != 0) {
        let version = table.version("blkio", "blkio_weight")?;
        let (file, scale) = weight_file(table, version, "blkio_weight")?;
        let value = scale(checked("blkio_weight", weight)?);
        let setting = table.set("blkio", "blkio_weight", file, value);
        setting.shown = weight.to_string();
        if version == Version::V2 {
            // The file has a line of devices each beside it.
            setting.before = Before::Line { key: "default".into(), unset: "default 100".into() };
        }
    }
    if limits.leaf_weight().is_some_and(|weight| weight != 0) {
        let message = "blkio_leaf_weight: no kernel since Linux 5.0 has it";
        return Err(Error::new(Kind::Unsupported, message));
    }
    for device in limits.weight_device().iter().flatten() {
        weight_device(table, device)?;
    }
    let throttles = [
        ("device_read_bps", "blkio.throttle.read_bps_device", "rbps", limits.throttle_read_bps_device()),
        ("device_write_bps", "blkio.throttle.write_bps_device", "wbps", limits.throttle_write_bps_device()),
        ("device_read_iops", "blkio.throttle.read_iops_device", "riops", limits.throttle_read_iops_device()),
        ("device_write_iops", "blkio.throttle.write_iops_device", "wiops", limits.throttle_write_iops_device()),
    ];
    for (option, file, word, devices) in throttles {
        for device in devices.iter().flatten() {
            throttle(table, option, file, word, device)?;
        }
    }
    Ok(())
}

/// From an option's weight to a file's.
type Scale = fn(u16) -> u64;

/// The file that takes weights, and how it scales them.
fn weight_file(table: &Table<'_>, version: Version, option: &str) -> Result<(&'static str, Scale)> {
    let same: Scale = u64::from;
    let candidates: [(&'static str, Scale); 2] = match version {
        Version::V1 => [("blkio.bfq.weight", same), ("blkio.weight", same)],
        Version::V2 => [("io.bfq.weight", same), ("io.weight", scaled)],
    };
    for (file, scale) in candidates {
        if table.target.now("blkio", file)?.is_some() {
            return Ok((file, scale));
        }
    }
    Err(Error::new(Kind::Unsupported, format!("{option}: this kernel has no scheduler with weights")))
}

/// 10..1000 to 1..10000.
fn scaled(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1_000) - 10) * 9_999 / 990
}

fn checked(option: &str, weight: u16) -> Result<u16> {
    match weight {
        10..=1_000 => Ok(weight),
        _ => Err(Error::invalid(format!("{option} '{weight}': it must be from 10 to 1000"))),
    }
}

fn weight_device(table: &mut Table<'_>, device: &LinuxWeightDevice) -> Result<()> {
    const OPTION: &str = "blkio_weight_device";
    let key = format!("{}:{}", device.major(), device.minor());
    let Some(weight) = device.weight().filter(|weight| *weight != 0) else { return Ok(()) };
    let version = table.version("blkio", OPTION)?;
    let (file, scale) = weight_file(table, version, OPTION)?;
    let value = scale(checked(OPTION, weight)?);
    let (file, unset) = match version {
        Version::V1 => (format!("{file}_device"), format!("{key} 0")),
        Version::V2 => (file.to_string(), format!("{key} default")),
    };
    let setting = table.set("blkio", OPTION, file, format!("{key} {value}"));
    setting.shown = format!("{key}={weight}");
    setting.before = Before::Line { key, unset };
    Ok(())
}

fn throttle(
    table: &mut Table<'_>,
    option: &'static str,
    file: &'static str,
    word: &str,
    device: &LinuxThrottleDevice,
) -> Result<()> {
    let key = format!("{}:{}", device.major(), device.minor());
    let rate = device.rate();
    let (file, value, unset) = match table.version("blkio", option)? {
        // 0 takes the limit away.
        Version::V1 => (file, format!("{key} {rate}"), format!("{key} 0")),
        Version::V2 => {
            let value = if rate == 0 { "max".into() } else { rate.to_string() };
            ("io.max", format!("{key} {word}={value}"), format!("{key} rbps=max wbps=max riops=max wiops=max"))
        }
    };
    let setting = table.set("blkio", option, file, value);
    setting.shown = format!("{key}={rate}");
    setting.before = Before::Line { key, unset };
    Ok(())
}
