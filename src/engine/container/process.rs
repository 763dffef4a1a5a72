//! What a container's process is apart from its namespaces and file systems: its limits, priorities, labels, user,
//! groups, capabilities and filter. The same for a first process and for one that joins later.
//!
//! Source: OCI runtime specification 1.2, config.md ("Process"); credentials(7), prctl(2), setrlimit(2).

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, PosixRlimit,
    PosixRlimitType, Process,
};
use rustix::process::{Pid, Resource, Rlimit};

use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::birth::Line;
use super::capabilities;
use super::procfs::Proc;
use super::wire::Note;

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

fn limit_name(limit: &PosixRlimit) -> String {
    format!("{:?}", limit.typ()).trim_start_matches("Rlimit").to_lowercase()
}

/// The kernel's largest number means no limit.
fn limit_value(number: u64) -> Option<u64> {
    if number == u64::MAX { None } else { Some(number) }
}

/// Sets the limits of another process, with the rights of this one.
///
/// # Errors
/// `permission` where this process may not raise one; `os`.
pub fn set_limits_of(pid: Pid, process: &Process) -> Result<()> {
    for limit in process.rlimits().iter().flatten() {
        let wanted = Rlimit { current: limit_value(limit.soft()), maximum: limit_value(limit.hard()) };
        rustix::process::prlimit(Some(pid), resource(limit.typ()), wanted)
            .os(|| format!("set limit {}", limit_name(limit)))?;
    }
    Ok(())
}

/// Sets this process's limits.
///
/// # Errors
/// `os`.
pub fn set_limits(process: &Process, line: &Line) -> Result<()> {
    process.rlimits().iter().flatten().try_for_each(|limit| set_limit(limit, line))
}

/// Sets one limit. Without CAP_SYS_RESOURCE a hard limit cannot be raised: it then stays, with a warning.
fn set_limit(limit: &PosixRlimit, line: &Line) -> Result<()> {
    let name = limit_name(limit);
    let kind = resource(limit.typ());
    let wanted = Rlimit { current: limit_value(limit.soft()), maximum: limit_value(limit.hard()) };
    match rustix::process::setrlimit(kind, wanted) {
        Err(rustix::io::Errno::PERM) => {}
        other => return other.os(|| format!("set limit {name}")),
    }
    let hard = rustix::process::getrlimit(kind).maximum;
    let capped = |number: Option<u64>| number.unwrap_or(u64::MAX).min(hard.unwrap_or(u64::MAX));
    let soft = capped(wanted.current);
    let fallback = Rlimit { current: limit_value(soft), maximum: hard };
    rustix::process::setrlimit(kind, fallback).os(|| format!("set limit {name}"))?;
    let message = format!("limit {name} stays at {soft}: this user may not raise it");
    line.tell(&Note::Warning(message), None);
    Ok(())
}

/// Sets scheduling policy and input/output priority.
///
/// # Errors
/// `invalid_argument` for what the specification does not allow; `permission`, `os`.
pub fn set_priorities(process: &Process) -> Result<()> {
    if let Some(priority) = process.io_priority() {
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = u32::try_from(priority.priority())
            .ok()
            .filter(|level| *level <= 7)
            .ok_or_else(|| Error::invalid(format!("ioPriority {} is out of range: 0 to 7", priority.priority())))?;
        sys::schedule::set_io_priority(class, level).map_err(|e| from_io(e, "set the input/output priority"))?;
    }
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => libc::SCHED_OTHER,
        LinuxSchedulerPolicy::SchedFifo => libc::SCHED_FIFO,
        LinuxSchedulerPolicy::SchedRr => libc::SCHED_RR,
        LinuxSchedulerPolicy::SchedBatch => libc::SCHED_BATCH,
        LinuxSchedulerPolicy::SchedIdle => libc::SCHED_IDLE,
        LinuxSchedulerPolicy::SchedDeadline => libc::SCHED_DEADLINE,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(Error::new(Kind::Unsupported, "scheduler policy SCHED_ISO is in no kernel"));
        }
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let priority = scheduler.priority().unwrap_or(0);
    let attributes = sys::schedule::Attributes {
        policy: policy as u32,
        flags: scheduler.flags().iter().flatten().map(flag).sum(),
        nice: scheduler.nice().unwrap_or(0),
        priority: u32::try_from(priority)
            .map_err(|_| Error::invalid(format!("scheduler priority {priority} is negative")))?,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
        ..Default::default()
    };
    sys::schedule::set_scheduler(attributes).map_err(|e| from_io(e, format!("set scheduler {}", scheduler.policy())))
}

/// Binds this process to the processors of a list such as `0-3,7`.
///
/// # Errors
/// `invalid_argument` for a malformed list or processors that are not there.
pub fn set_affinity(list: &str) -> Result<()> {
    let bad = || Error::invalid(format!("malformed list of processors '{list}'"));
    let mut set = rustix::thread::CpuSet::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first > last || last >= rustix::thread::CpuSet::MAX_CPU {
            return Err(bad());
        }
        (first..=last).for_each(|processor| set.set(processor));
    }
    match rustix::thread::sched_setaffinity(None, &set) {
        Err(rustix::io::Errno::INVAL) => {
            Err(Error::invalid(format!("none of the processors '{list}' is there for this container")))
        }
        other => other.os(|| format!("bind to processors {list}")),
    }
}

/// Sets the execution domain.
///
/// # Errors
/// `os`.
pub fn set_personality(personality: &LinuxPersonality) -> Result<()> {
    // PER_LINUX and PER_LINUX32 of linux/personality.h.
    let domain = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    sys::schedule::set_personality(domain).map_err(|e| from_io(e, "set the personality"))
}

/// Leaves the parent's session keyring. A kernel without keyrings, or a filter that refuses the call, has nothing to
/// leave.
///
/// # Errors
/// `os`.
pub fn leave_keyring() -> Result<()> {
    match sys::schedule::join_new_session_keyring() {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES)) => Ok(()),
        other => other.map_err(|e| from_io(e, "join a new session keyring")),
    }
}

/// Labels that a security module gives the program when it is executed.
pub struct Labels(Vec<(File, String)>);

impl Labels {
    /// Opens the files the labels are written to, while `/proc` is the host's.
    ///
    /// # Errors
    /// `unsupported` when the kernel has no such module.
    pub fn open(process: &Process) -> Result<Labels> {
        let mut list = Vec::new();
        if let Some(profile) = process.apparmor_profile().as_deref().filter(|name| !name.is_empty()) {
            let file = Proc::open()?.writer("self/attr/apparmor/exec").map_err(|e| missing(e, "AppArmor", profile))?;
            list.push((file, format!("exec {profile}")));
        }
        if let Some(label) = process.selinux_label().as_deref().filter(|label| !label.is_empty()) {
            if !is_selinux_on() {
                return Err(missing(Error::not_found("selinuxfs is not mounted"), "SELinux", label));
            }
            let file = Proc::open()?.writer("self/attr/exec").map_err(|e| missing(e, "SELinux", label))?;
            list.push((file, label.to_string()));
        }
        Ok(Labels(list))
    }

    /// Sets them.
    ///
    /// # Errors
    /// `not_found` for a profile that is not loaded; `permission`, `os`.
    pub fn apply(self) -> Result<()> {
        for (mut file, label) in self.0 {
            file.write_all(label.as_bytes()).map_err(|e| match e.raw_os_error() {
                Some(libc::ENOENT) => {
                    let name = label.strip_prefix("exec ").unwrap_or(&label);
                    Error::not_found(format!("security profile '{name}' is not loaded on this host"))
                }
                _ => from_io(e, format!("set security label '{label}'")),
            })?;
        }
        Ok(())
    }
}

fn missing(error: Error, module: &str, label: &str) -> Error {
    let message = format!("'{label}' is asked for, but {module} is not active in this kernel");
    Error::new(Kind::Unsupported, message).caused_by(error)
}

/// True where SELinux decides.
pub fn is_selinux_on() -> bool {
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|stat| stat.f_type == libc::SELINUX_MAGIC)
}

/// Becomes root of a user namespace, as far as its mappings have a root.
///
/// # Errors
/// `os`.
pub fn become_root() -> Result<()> {
    let (uid, gid) = (nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    for done in
        [nix::unistd::setgroups(&[]), nix::unistd::setresgid(gid, gid, gid), nix::unistd::setresuid(uid, uid, uid)]
    {
        match done {
            // EINVAL: root is not mapped. EPERM: setgroups was given up for a mapping without privilege.
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EPERM) => {}
            Err(e) => return Err(e).os(|| "become root of the user namespace"),
        }
    }
    Ok(())
}

/// Standard streams, as the program finds them.
///
/// # Errors
/// `invalid_argument` for a list that is not of three; `os`.
pub fn take_streams(stdio: Vec<OwnedFd>, uid: u32) -> Result<()> {
    let streams = <[OwnedFd; 3]>::try_from(stdio)
        .map_err(|list| Error::invalid(format!("a process has three standard streams, not {}", list.len())))?;
    for stream in &streams {
        give_to(stream, uid)?;
    }
    let [stdin, stdout, stderr] = streams;
    rustix::stdio::dup2_stdin(&stdin).os(|| "dup2")?;
    rustix::stdio::dup2_stdout(&stdout).os(|| "dup2")?;
    rustix::stdio::dup2_stderr(&stderr).os(|| "dup2")
}

/// Lets a user other than root open a pipe or terminal again, as `/dev/stdout`.
pub(super) fn give_to(stream: &OwnedFd, uid: u32) -> Result<()> {
    if uid == 0 {
        return Ok(());
    }
    let stat = rustix::fs::fstat(stream).os(|| "stat a standard stream")?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    let ours = kind == rustix::fs::FileType::Fifo || rustix::termios::isatty(stream);
    if !ours || stat.st_uid == uid {
        return Ok(());
    }
    match rustix::fs::fchown(stream.as_fd(), Some(rustix::fs::Uid::from_raw(uid)), None) {
        // A stream from outside a user namespace, or from a read-only place: it works, it only cannot be reopened.
        Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL | rustix::io::Errno::ROFS) => Ok(()),
        Err(e) => Err(e).os(|| "give a standard stream to the user"),
    }
}

/// A compiled seccomp program; empty for none.
pub struct Filter<'a> {
    /// Instructions in the kernel's form.
    pub program: &'a [u8],
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

impl Filter<'_> {
    /// Loads it for this process and hands its listener, if it has one, to the parent.
    fn load(&self, line: &Line) -> Result<()> {
        if self.program.is_empty() {
            return Ok(());
        }
        let listener =
            sys::seccomp::load(self.program, self.flags).map_err(|e| from_io(e, "load the seccomp filter"))?;
        if let Some(listener) = &listener {
            line.tell(&Note::Listener, Some(listener.as_fd()));
        }
        Ok(())
    }
}

/// Filter, user, groups and capabilities, in the order in which each still may do the next. With no_new_privs any
/// process may load a filter, so that comes later: [`load_last`].
///
/// # Errors
/// `permission`, `os`.
pub fn drop_privileges(process: &Process, labels: Labels, filter: &Filter<'_>, line: &Line) -> Result<()> {
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true).os(|| "set no_new_privs")?;
    }
    labels.apply()?;
    // Without no_new_privs only CAP_SYS_ADMIN may load a filter, and that is about to go.
    if !no_new_privileges {
        filter.load(line)?;
    }
    let sets = capabilities::Sets::from_spec(process.capabilities().as_ref());
    capabilities::limit_bounding(&sets)?;
    // Changing to a user other than root keeps what is permitted until `apply` says what stays.
    rustix::thread::set_keep_capabilities(true).os(|| "keep capabilities")?;
    set_user(process)?;
    capabilities::apply(&sets, line)
}

/// Loads the filter of a process that [`drop_privileges`] left without, as the last thing before its program: what
/// comes after has to get along with it.
///
/// # Errors
/// `os`.
pub fn load_last(process: &Process, filter: &Filter<'_>, line: &Line) -> Result<()> {
    if process.no_new_privileges().unwrap_or(false) { filter.load(line) } else { Ok(()) }
}

fn set_user(process: &Process) -> Result<()> {
    let user = process.user();
    let groups: Vec<nix::unistd::Gid> =
        user.additional_gids().iter().flatten().map(|gid| nix::unistd::Gid::from_raw(*gid)).collect();
    match nix::unistd::setgroups(&groups) {
        // Given up for a mapping without privilege; then nobody has groups to lose either.
        Err(nix::errno::Errno::EPERM) if groups.is_empty() => {}
        Err(nix::errno::Errno::EINVAL) => return Err(Error::invalid("a group of the process is not mapped")),
        other => other.os(|| "set groups")?,
    }
    let unmapped = |what: String| Error::invalid(format!("{what} is not mapped in the user namespace"));
    let (uid, gid) = (nix::unistd::Uid::from_raw(user.uid()), nix::unistd::Gid::from_raw(user.gid()));
    match nix::unistd::setresgid(gid, gid, gid) {
        Err(nix::errno::Errno::EINVAL) => return Err(unmapped(format!("group {gid}"))),
        other => other.os(|| format!("become group {gid}"))?,
    }
    match nix::unistd::setresuid(uid, uid, uid) {
        Err(nix::errno::Errno::EINVAL) => Err(unmapped(format!("user {uid}"))),
        other => other.os(|| format!("become user {uid}")),
    }
}

/// Sets the mask of new files: the specification's, else what everybody expects.
pub fn set_umask(process: &Process) {
    rustix::process::umask(rustix::fs::Mode::from(process.user().umask().unwrap_or(0o022) & 0o777));
}
