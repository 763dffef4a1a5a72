//! What a cgroup uses, for `stats`: the same figures from v1 and from v2.
//!
//! Memory is shown without the page cache that would be dropped first, as is customary. Source: cgroup-v1/{memory,
//! cpuacct,blkio-controller,hugetlb,pids}.rst, cgroup-v2.rst.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::super::error::{OsContext, Result};
use super::hierarchy::Version::{V1, V2};
use super::{Cgroup, control};

/// What a cgroup uses; figures of controllers it lacks are 0 or missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory and swap.
    pub memory: MemoryStats,
    /// Processes and threads.
    pub pids: PidStats,
    /// Block devices, all together.
    pub blkio: BlockStats,
    /// Huge pages by their size, such as `2MB`.
    pub hugetlb: BTreeMap<String, HugePageStats>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuStats {
    /// Used in all.
    pub total_ns: u64,
    /// Used by programs.
    pub user_ns: u64,
    /// Used by the kernel for them.
    pub system_ns: u64,
    /// Held back by the limit.
    pub throttled_ns: u64,
    /// Periods of the limit in which something ran.
    pub periods: u64,
    /// Periods in which the limit was reached.
    pub throttled_periods: u64,
    /// Processors the machine has running.
    pub online: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// In use, without inactive files.
    pub usage_bytes: u64,
    /// The limit; the machine's memory where there is none.
    pub limit_bytes: u64,
    /// The most ever in use, with files; `None` where the kernel does not keep it.
    pub max_usage_bytes: Option<u64>,
    /// Files held in memory.
    pub cache_bytes: u64,
    /// Swap in use.
    pub swap_bytes: u64,
    /// The machine's memory.
    pub host_bytes: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PidStats {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `None` for no limit.
    pub limit: Option<u64>,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockStats {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub read_operations: u64,
    /// Write operations.
    pub write_operations: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HugePageStats {
    /// In use.
    pub usage_bytes: u64,
    /// The most ever in use; v1 only.
    pub max_usage_bytes: Option<u64>,
    /// The limit; `None` for no limit.
    pub limit_bytes: Option<u64>,
}

impl Cgroup {
    /// What it uses now.
    ///
    /// # Errors
    /// `os`.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats { memory: self.memory_stats()?, ..Stats::default() };
        self.cpu_stats(&mut stats.cpu)?;
        if let Some(folder) = self.folder("pids") {
            let current = control::number(&folder.path, "pids.current")?.unwrap_or(0);
            stats.pids = PidStats { current, limit: control::number(&folder.path, "pids.max")? };
        }
        if let Some(folder) = self.folder("blkio") {
            stats.blkio = match folder.hierarchy.version {
                V1 => block_v1(&folder.path)?,
                V2 => block_v2(&control::read(&folder.path, "io.stat")?.unwrap_or_default()),
            };
        }
        if let Some(folder) = self.folder("hugetlb") {
            stats.hugetlb = huge_pages(&folder.path, folder.hierarchy.version == V2)?;
        }
        Ok(stats)
    }

    fn cpu_stats(&self, stats: &mut CpuStats) -> Result<()> {
        let online = control::read(Path::new("/sys/devices/system/cpu"), "online")?.unwrap_or_default();
        stats.online = control::list(&online).unwrap_or_default().len() as u64;
        if let Some(folder) = self.folder("cpu") {
            let text = control::read(&folder.path, "cpu.stat")?.unwrap_or_default();
            let field = |word| control::field(&text, word).unwrap_or(0);
            (stats.periods, stats.throttled_periods) = (field("nr_periods"), field("nr_throttled"));
            stats.throttled_ns = field("throttled_time") + field("throttled_usec") * 1_000;
        }
        let Some(folder) = self.folder("cpuacct") else { return Ok(()) };
        match folder.hierarchy.version {
            V1 => {
                let number = |file| control::number(&folder.path, file).map(Option::unwrap_or_default);
                stats.total_ns = number("cpuacct.usage")?;
                stats.user_ns = number("cpuacct.usage_user")?;
                stats.system_ns = number("cpuacct.usage_sys")?;
            }
            V2 => {
                let text = control::read(&folder.path, "cpu.stat")?.unwrap_or_default();
                let field = |word| control::field(&text, word).unwrap_or(0) * 1_000;
                (stats.total_ns, stats.user_ns) = (field("usage_usec"), field("user_usec"));
                stats.system_ns = field("system_usec");
            }
        }
        Ok(())
    }

    fn memory_stats(&self) -> Result<MemoryStats> {
        let system = rustix::system::sysinfo();
        let host_bytes = system.totalram as u64 * u64::from(system.mem_unit);
        let none = MemoryStats { host_bytes, limit_bytes: host_bytes, ..MemoryStats::default() };
        let Some(folder) = self.folder("memory") else { return Ok(none) };
        let details = control::read(&folder.path, "memory.stat")?.unwrap_or_default();
        let field = |word| control::field(&details, word).unwrap_or(0);
        let number = |file| control::number(&folder.path, file);
        let (usage, limit, max, cache, inactive, swap) = match folder.hierarchy.version {
            V1 => (
                number("memory.usage_in_bytes")?,
                number("memory.limit_in_bytes")?,
                number("memory.max_usage_in_bytes")?,
                field("total_cache"),
                field("total_inactive_file"),
                field("total_swap"),
            ),
            V2 => (
                number("memory.current")?,
                number("memory.max")?,
                number("memory.peak")?,
                field("file"),
                field("inactive_file"),
                number("memory.swap.current")?.unwrap_or(0),
            ),
        };
        Ok(MemoryStats {
            usage_bytes: usage.unwrap_or(0).saturating_sub(inactive),
            // No limit is a huge one on v1.
            limit_bytes: limit.map_or(host_bytes, |limit| limit.min(host_bytes)),
            max_usage_bytes: max,
            cache_bytes: cache,
            swap_bytes: swap,
            host_bytes,
        })
    }
}

fn block_v1(folder: &Path) -> Result<BlockStats> {
    let read = |file: &str| -> Result<String> {
        // Those of nested cgroups are counted since Linux 4.16 only.
        let text = match control::read(folder, &format!("{file}_recursive"))? {
            Some(text) => Some(text),
            None => control::read(folder, file)?,
        };
        Ok(text.unwrap_or_default())
    };
    let bytes = read("blkio.throttle.io_service_bytes")?;
    let operations = read("blkio.throttle.io_serviced")?;
    Ok(BlockStats {
        read_bytes: by_device(&bytes, "Read"),
        write_bytes: by_device(&bytes, "Write"),
        read_operations: by_device(&operations, "Read"),
        write_operations: by_device(&operations, "Write"),
    })
}

/// Sums up the lines `MAJOR:MINOR WORD NUMBER`.
fn by_device(text: &str, word: &str) -> u64 {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(word)).then(|| words.next()?.parse::<u64>().ok()).flatten()
    });
    lines.sum()
}

/// Sums up the lines `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N ...`.
fn block_v2(text: &str) -> BlockStats {
    let mut stats = BlockStats::default();
    for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        let sum = match name {
            "rbytes" => &mut stats.read_bytes,
            "wbytes" => &mut stats.write_bytes,
            "rios" => &mut stats.read_operations,
            "wios" => &mut stats.write_operations,
            _ => continue,
        };
        *sum += value.parse::<u64>().unwrap_or(0);
    }
    stats
}

fn huge_pages(folder: &Path, v2: bool) -> Result<BTreeMap<String, HugePageStats>> {
    let (usage, limit) = if v2 { ("current", "max") } else { ("usage_in_bytes", "limit_in_bytes") };
    let mut list = BTreeMap::new();
    for entry in fs::read_dir(folder).os(|| format!("list {}", folder.display()))? {
        let name = entry.os(|| format!("list {}", folder.display()))?.file_name();
        let size = name.to_str().and_then(|name| name.strip_prefix("hugetlb.")?.strip_suffix(usage)?.strip_suffix('.'));
        // What is reserved is counted apart.
        let Some(size) = size.filter(|size| !size.contains('.')) else { continue };
        let number = |file: &str| control::number(folder, &format!("hugetlb.{size}.{file}"));
        let stats = HugePageStats {
            usage_bytes: number(usage)?.unwrap_or(0),
            max_usage_bytes: if v2 { None } else { number("max_usage_in_bytes")? },
            // No limit is a huge one on v1.
            limit_bytes: number(limit)?.filter(|limit| *limit < i64::MAX as u64 >> 1),
        };
        list.insert(size.to_string(), stats);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_summed_up() {
        let text = "8:0 Read 100\n8:0 Write 5\n8:0 Sync 7\n8:16 Read 11\nTotal 123\n";
        assert_eq!((by_device(text, "Read"), by_device(text, "Write")), (111, 5));
        let stats = block_v2("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wios=3\n");
        let expected = BlockStats { read_bytes: 11, write_bytes: 20, read_operations: 1, write_operations: 5 };
        assert_eq!(stats, expected);
    }
}
