//! Limits of options in the words of the runtime specification.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType,
    LinuxHugepageLimitBuilder, LinuxMemory, LinuxPidsBuilder, LinuxResources, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};

use super::super::super::error::{Error, OsContext, Result};
use super::super::cgroups::default_devices;
use super::super::options::{Limits, Options};
use super::internal;

const PERIOD_US: f64 = 100_000.0;

/// The resources of a container: its limits, and what it may do with devices.
///
/// # Errors
/// `invalid_argument` for a device that is none.
pub fn resources(options: &Options, devices: &[LinuxDevice]) -> Result<LinuxResources> {
    let mut all = limits(&options.limits)?;
    all.set_devices(Some(if options.privileged { vec![everything()] } else { rules(options, devices) }));
    Ok(all)
}

/// The limits alone, as an update applies them.
///
/// # Errors
/// `invalid_argument` for a device that is none.
pub fn limits(limits: &Limits) -> Result<LinuxResources> {
    let mut all = LinuxResources::default();
    all.set_devices(None);
    all.set_memory(memory(limits));
    all.set_cpu(cpu(limits));
    all.set_block_io(block_io(limits)?);
    if let Some(pids) = limits.pids {
        all.set_pids(Some(LinuxPidsBuilder::default().limit(pids).build().map_err(internal)?));
    }
    if !limits.hugetlb.is_empty() {
        let one = |(size, bytes): &(String, u64)| {
            LinuxHugepageLimitBuilder::default().page_size(size.as_str()).limit(*bytes as i64).build().map_err(internal)
        };
        all.set_hugepage_limits(Some(limits.hugetlb.iter().map(one).collect::<Result<_>>()?));
    }
    Ok(all)
}

fn memory(limits: &Limits) -> Option<LinuxMemory> {
    let mut memory = LinuxMemory::default();
    memory.set_limit(limits.memory_bytes.map(|bytes| bytes as i64));
    memory.set_swap(limits.memory_swap);
    memory.set_reservation(limits.memory_reservation.map(|bytes| bytes as i64));
    memory.set_swappiness(limits.memory_swappiness);
    memory.set_disable_oom_killer(limits.oom_kill_disable);
    (memory != LinuxMemory::default()).then_some(memory)
}

fn cpu(limits: &Limits) -> Option<LinuxCpu> {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(limits.cpu_shares);
    cpu.set_quota(limits.cpus.map(|cpus| (cpus * PERIOD_US).round() as i64).or(limits.cpu_quota));
    cpu.set_period(limits.cpus.map(|_| PERIOD_US as u64).or(limits.cpu_period));
    cpu.set_cpus(limits.cpuset_cpus.clone());
    cpu.set_mems(limits.cpuset_mems.clone());
    (cpu != LinuxCpu::default()).then_some(cpu)
}

fn block_io(limits: &Limits) -> Result<Option<LinuxBlockIo>> {
    let mut block = LinuxBlockIoBuilder::default().build().map_err(internal)?;
    let empty = block.clone();
    block.set_weight(limits.blkio_weight.filter(|weight| *weight != 0));
    if !limits.blkio_weight_device.is_empty() {
        let one = |(path, weight): &(String, u64)| {
            let (major, minor) = numbers(path)?;
            let weight = u16::try_from(*weight)
                .map_err(|_| Error::invalid(format!("weight {weight} of {path} is too large")))?;
            LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight).build().map_err(internal)
        };
        block.set_weight_device(Some(limits.blkio_weight_device.iter().map(one).collect::<Result<_>>()?));
    }
    block.set_throttle_read_bps_device(throttle(&limits.device_read_bps)?);
    block.set_throttle_write_bps_device(throttle(&limits.device_write_bps)?);
    block.set_throttle_read_iops_device(throttle(&limits.device_read_iops)?);
    block.set_throttle_write_iops_device(throttle(&limits.device_write_iops)?);
    Ok((block != empty).then_some(block))
}

fn throttle(list: &[(String, u64)]) -> Result<Option<Vec<LinuxThrottleDevice>>> {
    if list.is_empty() {
        return Ok(None);
    }
    let one = |(path, rate): &(String, u64)| {
        let (major, minor) = numbers(path)?;
        LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(*rate).build().map_err(internal)
    };
    list.iter().map(one).collect::<Result<_>>().map(Some)
}

fn numbers(path: &str) -> Result<(i64, i64)> {
    let stat = rustix::fs::stat(path).os(|| format!("device {path}"))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::BlockDevice {
        return Err(Error::invalid(format!("{path} is not a block device")));
    }
    Ok((rustix::fs::major(stat.st_rdev).into(), rustix::fs::minor(stat.st_rdev).into()))
}

fn everything() -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true).set_typ(Some(LinuxDeviceType::A)).set_access(Some("rwm".into()));
    rule
}

fn rules(options: &Options, devices: &[LinuxDevice]) -> Vec<LinuxDeviceCgroup> {
    let mut list = default_devices();
    for device in devices {
        let asked = options.devices.iter().find(|asked| device.path().starts_with(&asked.container));
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(true)
            .set_typ(Some(device.typ()))
            .set_major(Some(device.major()))
            .set_minor(Some(device.minor()))
            .set_access(Some(asked.map_or("rwm".into(), |asked| asked.access.clone())));
        list.push(rule);
    }
    for asked in &options.device_rules {
        let mut rule = LinuxDeviceCgroup::default();
        let kind = match asked.kind {
            'b' => LinuxDeviceType::B,
            'c' => LinuxDeviceType::C,
            _ => LinuxDeviceType::A,
        };
        rule.set_allow(true)
            .set_typ(Some(kind))
            .set_major(asked.major)
            .set_minor(asked.minor)
            .set_access(Some(asked.access.clone()));
        list.push(rule);
    }
    list
}
