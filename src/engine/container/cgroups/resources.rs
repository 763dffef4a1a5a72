//! Limits as a list of control files to write: the runtime specification's resources, for v1 and for v2.
//!
//! Nothing is written here. A value of 0 means "leave it", as engines send it for what nobody asked for. Source:
//! runtime-spec config-linux.md, Documentation/admin-guide/cgroup-v1/{memory,cpusets,hugetlb,pids,net_cls,net_prio}.rst,
//! cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.

use std::borrow::Cow;
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma, LinuxResources};

use super::super::super::error::{Error, Kind, Result};
use super::hierarchy::Version::{self, V1, V2};
use super::{blkio, control, memory};

/// How to find the value a write replaces, to put it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// The file holds the value.
    Whole,
    /// One line of the file, known by its first word; without that line `unset` takes the value away.
    Line { key: String, unset: String },
    /// The number after this word.
    Field(&'static str),
}

/// One control file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The controller, by its v1 name.
    pub controller: &'static str,
    /// The option that asked for it, for messages.
    pub option: &'static str,
    /// The option's value as its author knows it.
    pub shown: String,
    pub file: Cow<'static, str>,
    pub value: String,
    pub before: Before,
    /// Whether a kernel without the file does without.
    pub optional: bool,
}

/// What the table needs to know of the cgroup it is made for.
pub(super) trait Target {
    /// The interface of a controller.
    ///
    /// # Errors
    /// `unsupported` or `permission` when the cgroup has no such controller.
    fn version(&self, controller: &str) -> Result<Version>;
    /// What a control file says, `None` when there is none.
    ///
    /// # Errors
    /// `os`.
    fn now(&self, controller: &str, file: &str) -> Result<Option<String>>;
}

/// A list of settings being made for a target.
pub(super) struct Table<'a> {
    pub target: &'a dyn Target,
    pub list: Vec<Setting>,
}

impl Table<'_> {
    /// The interface of a controller an option needs.
    ///
    /// # Errors
    /// As [`Target::version`], naming the option.
    pub fn version(&self, controller: &str, option: &str) -> Result<Version> {
        self.target.version(controller).map_err(|error| {
            let kind = error.kind();
            Error::new(kind, format!("{option}: {}", error.message()))
        })
    }

    /// What a control file says now, as a number; `None` for no file and for no limit.
    ///
    /// # Errors
    /// `os`.
    pub fn number(&self, controller: &str, file: &str) -> Result<Option<i64>> {
        Ok(self.target.now(controller, file)?.and_then(|text| text.trim().parse().ok()))
    }

    /// Adds a write of a whole file.
    pub fn set(
        &mut self,
        controller: &'static str,
        option: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> &mut Setting {
        let value = value.to_string();
        let setting = Setting {
            controller,
            option,
            shown: value.clone(),
            file: file.into(),
            value,
            before: Before::Whole,
            optional: false,
        };
        self.list.push(setting);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }
}

/// The error for an option v2 has nothing for.
pub(super) fn only_v1(option: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{option}: cgroup v2 has no such limit"))
}

/// `max` for what v2 does not limit, else the number.
pub(super) fn or_max(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}

/// Controllers beyond those every cgroup gets.
pub(super) fn extra_controllers(resources: &LinuxResources) -> Vec<&'static str> {
    let mut list = Vec::new();
    let mut need = |condition: bool, controller| {
        if condition && !list.contains(&controller) {
            list.push(controller);
        }
    };
    let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    need(resources.devices().as_ref().is_some_and(|rules| !rules.is_empty()), "devices");
    need(resources.cpu().as_ref().is_some_and(|cpu| some(cpu.cpus()) || some(cpu.mems())), "cpuset");
    need(resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()), "hugetlb");
    need(resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()), "rdma");
    if let Some(network) = resources.network() {
        need(network.class_id().is_some_and(|id| id != 0), "net_cls");
        need(network.priorities().as_ref().is_some_and(|list| !list.is_empty()), "net_prio");
    }
    for key in resources.unified().iter().flat_map(|map| map.keys()) {
        let name = key.split('.').next().unwrap_or_default();
        ["cpuset", "hugetlb", "rdma"].into_iter().for_each(|controller| need(name == controller, controller));
    }
    list
}

/// Every write the resources ask for, in an order in which each is valid; devices have a file of their own.
///
/// # Errors
/// `invalid_argument` for values that cannot be meant, `unsupported` for what this host does not limit.
pub(super) fn settings(resources: &LinuxResources, target: &dyn Target) -> Result<Vec<Setting>> {
    let mut table = Table { target, list: Vec::new() };
    if let Some(limits) = resources.memory() {
        memory::add(&mut table, limits)?;
    }
    if let Some(limits) = resources.cpu() {
        cpu(&mut table, limits)?;
        cpuset(&mut table, limits)?;
    }
    if let Some(limits) = resources.pids() {
        pids(&mut table, limits)?;
    }
    if let Some(limits) = resources.block_io() {
        blkio::add(&mut table, limits)?;
    }
    hugetlb(&mut table, resources.hugepage_limits().as_deref().unwrap_or_default())?;
    if let Some(limits) = resources.network() {
        network(&mut table, limits)?;
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        rdma(&mut table, device, limits)?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        unified(&mut table, file, value)?;
    }
    Ok(table.list)
}

fn cpu(table: &mut Table<'_>, cpu: &LinuxCpu) -> Result<()> {
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    let shares = cpu.shares().filter(|shares| *shares != 0);
    let real_time = (cpu.realtime_runtime().filter(|time| *time != 0), cpu.realtime_period().filter(|time| *time != 0));
    if let Some(shares) = shares {
        match table.version("cpu", "cpu_shares")? {
            V1 => table.set("cpu", "cpu_shares", "cpu.shares", shares),
            V2 => table.set("cpu", "cpu_shares", "cpu.weight", weight(shares)),
        };
    }
    if quota.is_some() || period.is_some() || cpu.burst().is_some() {
        match table.version("cpu", "cpu_quota")? {
            V1 => bandwidth_v1(table, quota, period, cpu.burst())?,
            V2 => bandwidth_v2(table, quota, period, cpu.burst())?,
        }
    }
    if let Some(idle) = cpu.idle() {
        table.version("cpu", "cpu_idle")?;
        table.set("cpu", "cpu_idle", "cpu.idle", idle);
    }
    if real_time != (None, None) {
        if table.version("cpu", "cpu_rt_runtime")? == V2 {
            return Err(only_v1("cpu_rt_runtime"));
        }
        // The period bounds the time within it, so it goes first.
        if let Some(period) = real_time.1 {
            table.set("cpu", "cpu_rt_period", "cpu.rt_period_us", period);
        }
        if let Some(runtime) = real_time.0 {
            table.set("cpu", "cpu_rt_runtime", "cpu.rt_runtime_us", runtime);
        }
    }
    Ok(())
}

/// The runtime specification's conversion: 2..262144 shares to 1..10000 weight.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// The quota is valid with its period and at least as long as the burst, at every step.
fn bandwidth_v1(table: &mut Table<'_>, quota: Option<i64>, period: Option<u64>, burst: Option<u64>) -> Result<()> {
    let first = table.list.len();
    if let Some(quota) = quota {
        table.set("cpu", "cpu_quota", "cpu.cfs_quota_us", quota);
    }
    if let Some(period) = period {
        let longer = match quota {
            Some(_) => table.number("cpu", "cpu.cfs_period_us")?.is_none_or(|now| now.unsigned_abs() <= period),
            None => false,
        };
        table.set("cpu", "cpu_period", "cpu.cfs_period_us", period);
        // A longer period makes less of the same quota, which the parent's share always covers.
        if longer {
            table.list[first..].reverse();
        }
    }
    if let Some(burst) = burst {
        let now = table.number("cpu", "cpu.cfs_burst_us")?.unwrap_or(0);
        table.set("cpu", "cpu_burst", "cpu.cfs_burst_us", burst);
        if quota.is_some_and(|quota| quota >= 0 && now > quota) {
            table.list[first..].rotate_right(1);
        }
    }
    Ok(())
}

fn bandwidth_v2(table: &mut Table<'_>, quota: Option<i64>, period: Option<u64>, burst: Option<u64>) -> Result<()> {
    let first = table.list.len();
    if quota.is_some() || period.is_some() {
        let now = table.target.now("cpu", "cpu.max")?.unwrap_or_default();
        let mut words = now.split_whitespace();
        let (now_quota, now_period) = (words.next().unwrap_or("max"), words.next().unwrap_or("100000"));
        let quota_text = quota.map_or_else(|| now_quota.to_string(), or_max);
        let period_text = period.map_or_else(|| now_period.to_string(), |period| period.to_string());
        let option = if quota.is_some() { "cpu_quota" } else { "cpu_period" };
        let setting = table.set("cpu", option, "cpu.max", format!("{quota_text} {period_text}"));
        setting.shown = quota.map_or(period_text, |quota| quota.to_string());
    }
    if let Some(burst) = burst {
        let now = table.number("cpu", "cpu.max.burst")?.unwrap_or(0);
        table.set("cpu", "cpu_burst", "cpu.max.burst", burst);
        if quota.is_some_and(|quota| quota >= 0 && now > quota) {
            table.list[first..].rotate_right(1);
        }
    }
    Ok(())
}

fn cpuset(table: &mut Table<'_>, cpu: &LinuxCpu) -> Result<()> {
    let of_machine = [
        ("cpuset_cpus", "cpuset.cpus", cpu.cpus(), "/sys/devices/system/cpu", "processors"),
        ("cpuset_mems", "cpuset.mems", cpu.mems(), "/sys/devices/system/node", "memory nodes"),
    ];
    for (option, file, value, folder, things) in of_machine {
        let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { continue };
        let Some(asked) = control::list(value) else {
            return Err(Error::invalid(format!("{option} '{value}': expected a list such as 0-3,7")));
        };
        // A kernel without memory nodes has no such file; then it judges itself.
        if let Some(present) = control::read(Path::new(folder), "online")? {
            let known = control::list(&present).unwrap_or_default();
            if asked.iter().any(|number| !known.contains(number)) {
                let present = present.trim();
                return Err(Error::invalid(format!("{option} '{value}': this machine has {things} {present}")));
            }
        }
        table.version("cpuset", option)?;
        table.set("cpuset", option, file, value);
    }
    Ok(())
}

fn pids(table: &mut Table<'_>, limits: &LinuxPids) -> Result<()> {
    if limits.limit() != 0 {
        table.version("pids", "pids_limit")?;
        table.set("pids", "pids_limit", "pids.max", or_max(limits.limit()));
    }
    Ok(())
}

fn hugetlb(table: &mut Table<'_>, limits: &[LinuxHugepageLimit]) -> Result<()> {
    for limit in limits {
        let size = limit.page_size();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid(format!("hugepages '{size}': expected a page size such as 2MB")));
        }
        let (ending, value) = match table.version("hugetlb", "hugepages")? {
            V1 => ("limit_in_bytes", limit.limit().to_string()),
            V2 => ("max", or_max(limit.limit())),
        };
        let shown = format!("{size}={}", limit.limit());
        table.set("hugetlb", "hugepages", format!("hugetlb.{size}.{ending}"), &value).shown = shown.clone();
        // Linux 5.7 counts what is reserved apart.
        let reserved = table.set("hugetlb", "hugepages", format!("hugetlb.{size}.rsvd.{ending}"), value);
        (reserved.shown, reserved.optional) = (shown, true);
    }
    Ok(())
}

fn network(table: &mut Table<'_>, network: &LinuxNetwork) -> Result<()> {
    if let Some(class) = network.class_id().filter(|class| *class != 0) {
        table.version("net_cls", "net_class_id")?;
        table.set("net_cls", "net_class_id", "net_cls.classid", class);
    }
    for priority in network.priorities().iter().flatten() {
        let (name, number) = (priority.name(), priority.priority());
        table.version("net_prio", "net_priority")?;
        let setting = table.set("net_prio", "net_priority", "net_prio.ifpriomap", format!("{name} {number}"));
        setting.before = Before::Line { key: name.clone(), unset: format!("{name} 0") };
    }
    Ok(())
}

fn rdma(table: &mut Table<'_>, device: &str, limits: &LinuxRdma) -> Result<()> {
    let words = [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())];
    let words: Vec<String> =
        words.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
    if words.is_empty() {
        return Ok(());
    }
    table.version("rdma", "rdma")?;
    let setting = table.set("rdma", "rdma", "rdma.max", format!("{device} {}", words.join(" ")));
    let unset = format!("{device} hca_handle=max hca_object=max");
    setting.before = Before::Line { key: device.into(), unset };
    Ok(())
}

/// A file of v2 by its own name, written line by line.
fn unified(table: &mut Table<'_>, file: &str, value: &str) -> Result<()> {
    let name = file.split('.').next().unwrap_or_default();
    let well_formed = file.contains('.') && name != "cgroup" && !file.contains('/');
    if !well_formed {
        return Err(Error::invalid(format!("unified '{file}': expected the name of a controller's file")));
    }
    let known = super::hierarchy::CONTROLLERS.into_iter().find(|known| super::hierarchy::v2_name(known) == name);
    // A controller this program does not know may have its files in the folder of any other.
    let controller = known.unwrap_or("freezer");
    if table.version(controller, "unified")? != V2 {
        return Err(Error::new(Kind::Unsupported, format!("unified '{file}': this host has cgroup v1")));
    }
    for line in value.lines() {
        let setting = table.set(controller, "unified", file.to_string(), line);
        setting.shown = format!("{file}={line}");
        if let Some((key, _)) = line.split_once(' ').filter(|(key, _)| key.contains(':')) {
            setting.before = Before::Line { key: key.into(), unset: format!("{key} default") };
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
