//! What a running container uses right now, and its processes.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use super::super::Engine;
use super::super::error::{Error, Result};
use super::cgroups::Cgroup;
pub use super::cgroups::Stats;
use super::record::{Record, Time};

/// Figures of one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// When they were read.
    pub time: Time,
    /// What the control group counts.
    #[serde(flatten)]
    pub group: Stats,
    /// Bytes received on all interfaces but loopback.
    pub net_rx_bytes: u64,
    /// Bytes sent on all interfaces but loopback.
    pub net_tx_bytes: u64,
}

/// One process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessRow {
    /// User id, as the host sees it.
    pub uid: u32,
    /// Process id on the host.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// One letter, as in proc_pid_stat(5).
    pub state: String,
    /// Its terminal; `?` for none.
    pub tty: String,
    /// Processor time used, in seconds.
    pub cpu_seconds: u64,
    /// Seconds since 1970 at which it began.
    pub started: u64,
    /// Memory that is resident, in bytes.
    pub rss_bytes: u64,
    /// Its command line.
    pub command: String,
}

impl Engine {
    /// What a running container uses now.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` when it does not run; `unsupported` without control groups.
    pub fn container_stats(&self, name: &str) -> Result<Figures> {
        let (record, pid) = self.live(name, "read figures of")?;
        let (net_rx_bytes, net_tx_bytes) = network_bytes(pid);
        Ok(Figures { time: Time::now(), group: self.group_of(&record)?.stats()?, net_rx_bytes, net_tx_bytes })
    }

    /// The processes of a running container, read from the host's side: nothing in the container is executed.
    ///
    /// # Errors
    /// As [`Engine::container_stats`].
    pub fn container_top(&self, name: &str) -> Result<Vec<ProcessRow>> {
        let (record, _) = self.live(name, "list the processes of")?;
        let boot = boot_seconds();
        let pids = self.group_of(&record)?.processes()?;
        // One may end while it is looked at.
        let mut rows: Vec<ProcessRow> = pids.iter().filter_map(|pid| row(pid.as_raw_nonzero().get(), boot)).collect();
        rows.sort_by_key(|row| row.pid);
        Ok(rows)
    }

    fn live(&self, name: &str, what: &str) -> Result<(Record, i32)> {
        let record = self.container(name)?;
        let state = self.container_state(&record.id)?;
        if !state.status.is_live() {
            let message = format!("cannot {what} container '{}': it is {}", record.name, state.status.name());
            return Err(Error::invalid(message));
        }
        Ok((record, state.pid))
    }

    fn group_of(&self, record: &Record) -> Result<Cgroup> {
        let missing = || Error::not_found(format!("container '{}' has no control group", record.name));
        Cgroup::open(&format!("/moonshell/{}", record.id))?.ok_or_else(missing)
    }
}

/// Received and sent bytes of the interfaces that a process sees: proc_pid_net(5). None when it has just ended.
fn network_bytes(pid: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let number = |field: Option<&&str>| field.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo").fold(
        (0, 0),
        |(rx, tx), (_, rest)| {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            (rx + number(fields.first()), tx + number(fields.get(8)))
        },
    )
}

fn boot_seconds() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

/// Reads proc_pid_stat(5) and proc_pid_status(5).
fn row(pid: i32, boot: u64) -> Option<ProcessRow> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let status: BTreeMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let uid = status.get("Uid").and_then(|text| text.split_whitespace().next()?.parse().ok())?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // The kernel counts in hundredths of a second for programs, whatever it uses itself (time(7), USER_HZ).
    let ticks = 100;
    Some(ProcessRow {
        uid,
        pid,
        ppid: number(1) as i32,
        state: fields.first()?.to_string(),
        tty: terminal_name(number(4) as u32),
        cpu_seconds: (number(11) + number(12)) / ticks,
        started: boot + number(19) / ticks,
        rss_bytes: status
            .get("VmRSS")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
            << 10,
        command: if words.is_empty() { format!("[{name}]") } else { words.join(" ") },
    })
}

/// `pts/N` from a device number as proc_pid_stat(5) packs it.
fn terminal_name(device: u32) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    match major {
        0 => "?".into(),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        _ => format!("{major}:{minor}"),
    }
}
