//! Limits as callers write them: of the container as a whole (cgroup) and of its processes (setrlimit).

use serde::{Deserialize, Serialize};

use super::super::super::error::{Error, Result};

/// Below this not even a static program starts.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;
/// The kernel's least quota is 1 ms of a period of 100.
const LEAST_CPUS: f64 = 0.01;

/// What to limit. Sizes in bytes; `None` for no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory and swap together, in bytes; -1 for any amount of swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<i64>,
    /// Memory the kernel tries to leave to it when memory is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<u64>,
    /// 0 to 100; only on hosts with cgroup v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<u64>,
    /// Stop processes that ask for more rather than kill one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill_disable: Option<bool>,
    /// Processors, 1.5 meaning one and a half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Relative weight, 1024 being the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in each period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// The period, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<u64>,
    /// The processors it may use, such as `0-1,3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset_cpus: Option<String>,
    /// The memory nodes it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset_mems: Option<String>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
    /// Relative weight for disks, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_weight: Option<u16>,
    /// The same for single devices: path and weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blkio_weight_device: Vec<(String, u64)>,
    /// Bytes per second read from a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_bps: Vec<(String, u64)>,
    /// Bytes per second written to a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_bps: Vec<(String, u64)>,
    /// Operations per second reading from a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_iops: Vec<(String, u64)>,
    /// Operations per second writing to a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_iops: Vec<(String, u64)>,
    /// Huge pages: size (`2MB`) and bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hugetlb: Vec<(String, u64)>,
}

impl Limits {
    /// Refuses limits under which nothing could run, and those that contradict each other.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self) -> Result<()> {
        if let Some(bytes) = self.memory_bytes.filter(|bytes| *bytes < LEAST_MEMORY_BYTES) {
            return Err(Error::invalid(format!("memory limit of {bytes} bytes is too small: the least is 1m")));
        }
        // Not `cpus <= 0.0`: a NaN is no number of processors either.
        if let Some(cpus) = self.cpus.filter(|cpus| !cpus.is_finite() || *cpus < LEAST_CPUS) {
            return Err(Error::invalid(format!("cpus must be at least {LEAST_CPUS}, got {cpus}")));
        }
        if self.cpus.is_some() && (self.cpu_quota.is_some() || self.cpu_period.is_some()) {
            return Err(Error::invalid("cpus and cpu_quota or cpu_period say the same thing: give one of them"));
        }
        self.check_memory()?;
        if let Some(weight) = self.blkio_weight.filter(|weight| *weight != 0 && !(10..=1000).contains(weight)) {
            return Err(Error::invalid(format!("blkio_weight must be from 10 to 1000, got {weight}")));
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<()> {
        match (self.memory_bytes, self.memory_swap) {
            (None, Some(swap)) if swap > 0 => {
                return Err(Error::invalid("memory_swap is memory and swap together: give memory, too"));
            }
            (Some(memory), Some(swap)) if swap > 0 && (swap as u64) < memory => {
                return Err(Error::invalid(format!("memory_swap of {swap} bytes is less than memory's {memory}")));
            }
            _ => {}
        }
        if let (Some(memory), Some(reserved)) = (self.memory_bytes, self.memory_reservation)
            && reserved > memory
        {
            return Err(Error::invalid(format!(
                "memory_reservation of {reserved} bytes is more than memory's {memory}"
            )));
        }
        match self.memory_swappiness {
            Some(value) if value > 100 => {
                Err(Error::invalid(format!("memory_swappiness must be from 0 to 100, got {value}")))
            }
            _ => Ok(()),
        }
    }

    /// True when nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// These limits with those of `change` over them.
    pub fn with(&self, change: &Limits) -> Limits {
        let mut all = self.clone();
        macro_rules! take {
            ($($field:ident)*) => { $(if change.$field.is_some() { all.$field = change.$field.clone(); })* };
        }
        take! { memory_bytes memory_swap memory_reservation memory_swappiness oom_kill_disable cpus cpu_shares cpu_quota
        cpu_period cpuset_cpus cpuset_mems pids blkio_weight }
        if change.cpus.is_some() {
            (all.cpu_quota, all.cpu_period) = (None, None);
        } else if change.cpu_quota.is_some() {
            all.cpus = None;
        }
        all
    }
}

/// A resource limit of processes (setrlimit).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The kernel's name in lower case without `RLIMIT_`: `nofile`, `core`, ...
    pub name: String,
    /// What counts.
    pub soft: u64,
    /// What an unprivileged process may raise it to.
    pub hard: u64,
}

impl Ulimit {
    /// Parses `NAME=SOFT[:HARD]`; `-1` or `unlimited` for no limit.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn parse(text: &str) -> Result<Ulimit> {
        let bad = || Error::invalid(format!("invalid ulimit '{text}': expected NAME=SOFT[:HARD]"));
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            text => text.parse::<u64>().map_err(|_| bad()),
        };
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        Ok(Ulimit { name: name.to_lowercase(), soft: number(soft)?, hard: number(hard)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits() {
        assert_eq!(Ulimit::parse("nofile=1024").unwrap(), Ulimit { name: "nofile".into(), soft: 1024, hard: 1024 });
        assert_eq!(Ulimit::parse("core=0:-1").unwrap().hard, u64::MAX);
        assert!(Ulimit::parse("nofile").is_err() && Ulimit::parse("nofile=x").is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        let good = Limits { memory_bytes: Some(8 << 20), memory_swap: Some(16 << 20), ..Limits::default() };
        assert!(good.check().is_ok());
        let bad = [
            Limits { memory_swap: Some(1 << 20), ..Limits::default() },
            Limits { memory_swap: Some(1 << 20), ..good.clone() },
            Limits { memory_reservation: Some(1 << 30), ..good.clone() },
            Limits { cpus: Some(1.0), cpu_quota: Some(1000), ..Limits::default() },
            Limits { blkio_weight: Some(5), ..Limits::default() },
        ];
        assert!(bad.iter().all(|limits| limits.check().is_err()));
    }

    #[test]
    fn a_change_wins_over_what_was() {
        let was = Limits { cpu_quota: Some(50_000), pids: Some(5), ..Limits::default() };
        let now = was.with(&Limits { cpus: Some(2.0), ..Limits::default() });
        assert_eq!((now.cpus, now.cpu_quota, now.pids), (Some(2.0), None, Some(5)));
    }
}
