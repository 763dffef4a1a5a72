//! Looking at a container: its processes and figures.

use serde_json::{Value, json};

use super::super::super::error::Result;
use super::super::cgroups::Stats;
use super::Record;

impl Record {
    /// The ids of its processes, as this process sees them.
    ///
    /// # Errors
    /// `not_found` when its cgroup is gone; `os`.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let list = self.need_cgroup()?.processes()?;
        Ok(list.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect())
    }

    /// What it uses, in the shape of an event of `events`.
    ///
    /// # Errors
    /// `not_found` when its cgroup is gone; `os`.
    pub fn stats_event(&self) -> Result<Value> {
        let stats = self.need_cgroup()?.stats()?;
        Ok(json!({ "type": "stats", "id": self.id, "data": shape(&stats) }))
    }

    /// How many processes were killed for lack of memory.
    ///
    /// # Errors
    /// `not_found` when its cgroup is gone; `os`.
    pub fn oom_kills(&self) -> Result<u64> {
        self.need_cgroup()?.oom_kills()
    }
}

/// The names that readers of such events expect.
fn shape(stats: &Stats) -> Value {
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let operation = |name: &str, value: u64| json!({ "op": name, "value": value });
    let huge: serde_json::Map<String, Value> = stats
        .hugetlb
        .iter()
        .map(|(size, pages)| {
            let max = pages.max_usage_bytes.unwrap_or(0);
            (size.clone(), json!({ "usage": pages.usage_bytes, "max": max, "failcnt": 0 }))
        })
        .collect();
    json!({
        "cpu": {
            "usage": { "total": cpu.total_ns, "kernel": cpu.system_ns, "user": cpu.user_ns },
            "throttling": {
                "periods": cpu.periods,
                "throttledPeriods": cpu.throttled_periods,
                "throttledTime": cpu.throttled_ns,
            },
        },
        "memory": {
            "cache": memory.cache_bytes,
            "usage": {
                "limit": memory.limit_bytes,
                "usage": memory.usage_bytes,
                "max": memory.max_usage_bytes.unwrap_or(0),
                "failcnt": 0,
            },
            "swap": { "usage": memory.swap_bytes, "limit": 0, "failcnt": 0 },
            "raw": {},
        },
        "pids": { "current": stats.pids.current, "limit": stats.pids.limit.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": [
                operation("Read", stats.blkio.read_bytes), operation("Write", stats.blkio.write_bytes),
            ],
            "ioServicedRecursive": [
                operation("Read", stats.blkio.read_operations), operation("Write", stats.blkio.write_operations),
            ],
        },
        "hugetlb": huge,
    })
}
