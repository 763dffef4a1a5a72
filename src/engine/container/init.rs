//! The container's first process, from its birth in fresh namespaces to the moment it becomes the user's program.
//!
//! A flat list of steps. It reads nothing but the OCI specification in its request, and reports what goes wrong as a
//! note (kind, message, errno) to its monitor.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, PosixRlimit, PosixRlimitType, Process, Spec};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::pty::OpenptFlags;

use super::super::error::{Error, ExitDetail, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::capabilities;
use super::mounts::Root;
use super::wire::{Failure, Note, Report, Request, reads_notes, send, wait_for_go, write_note};

/// What a monitor hands to its child.
pub struct Start {
    /// The request.
    pub request: Request,
    /// The root of the overlay, not mounted anywhere yet.
    pub rootfs: OwnedFd,
    /// The seccomp program; empty for none.
    pub seccomp: Vec<u8>,
    /// Standard input, output and error; empty for a terminal.
    pub stdio: Vec<OwnedFd>,
}

/// Becomes the program. If it cannot, says why on `notes` and ends.
pub fn run(start: Start, control: &OwnedFd, notes: &OwnedFd, go: OwnedFd) -> ! {
    let Err(error) = become_program(start, control, notes, go);
    write_note(notes, &Note::Failed(Failure::from(&error)));
    sys::process::exit_now(125)
}

fn become_program(start: Start, control: &OwnedFd, notes: &OwnedFd, go: OwnedFd) -> Result<Infallible> {
    let spec = &start.request.spec;
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("the specification has no process"))?;
    sys::fd::close_on_exec_from(3).map_err(|e| from_io(e, "close descriptors"))?;
    die_with_monitor()?;
    if !wait_for_go(go) {
        return Err(Error::interrupted());
    }
    // The monitor has moved this process into its cgroup by now, which becomes the root of what it sees.
    if has_namespace(spec, LinuxNamespaceType::Cgroup) {
        let flags = nix::sched::CloneFlags::CLONE_NEWCGROUP;
        nix::sched::unshare(flags).os(|| "create a cgroup namespace")?;
    }
    rustix::process::setsid().os(|| "setsid")?;
    set_host_name(spec)?;
    start_loopback(spec)?;
    let mut root = mount_root(&start.request, start.rootfs)?;
    let slave = mount_all(&mut root, &start.request, control)?;
    let seccomp = &start.seccomp;
    match slave {
        Some(slave) => take_terminal(slave)?,
        None => take_streams(start.stdio)?,
    }
    enter(&root, spec)?;
    set_limits(process, notes)?;
    let cwd = open_cwd(process)?;
    drop(root);
    drop_privileges(process, seccomp)?;
    // Changing the user has cleared it; whoever lost its monitor meanwhile has not heard of that.
    die_with_monitor()?;
    if !reads_notes(notes) {
        return Err(Error::interrupted());
    }
    rustix::process::fchdir(&cwd).os(|| format!("working folder {}", process.cwd().display()))?;
    drop(cwd);
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    sys::process::reset_signals();
    execute(process)
}

fn die_with_monitor() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).os(|| "prctl PR_SET_PDEATHSIG")
}

fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    list.is_some_and(|list| list.iter().any(|namespace| namespace.typ() == kind))
}

fn set_host_name(spec: &Spec) -> Result<()> {
    match spec.hostname() {
        Some(name) if has_namespace(spec, LinuxNamespaceType::Uts) => {
            rustix::system::sethostname(name.as_bytes()).os(|| format!("set host name {name}"))
        }
        _ => Ok(()),
    }
}

/// A network namespace begins with its loopback interface down.
fn start_loopback(spec: &Spec) -> Result<()> {
    if !has_namespace(spec, LinuxNamespaceType::Network) {
        return Ok(());
    }
    match sys::interface::loopback_up() {
        // A root without CAP_NET_ADMIN has containers without loopback rather than none.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(()),
        other => other.map_err(|e| from_io(e, "switch the loopback interface on")),
    }
}

/// Puts the overlay where this mount namespace can see it.
fn mount_root(request: &Request, rootfs: OwnedFd) -> Result<Root> {
    use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).os(|| "make mounts private")?;
    let at = &request.rootfs.mount_point;
    move_mount(&rootfs, "", rustix::fs::CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .os(|| format!("mount the root file system on {}", at.display()))?;
    Ok(Root::new(rootfs))
}

/// All mounts of the specification, devices, masks; returns the terminal's slave side if one is wanted.
fn mount_all(root: &mut Root, request: &Request, control: &OwnedFd) -> Result<Option<OwnedFd>> {
    let spec = &request.spec;
    // Devices belong onto the fresh /dev, before anything that may be mounted below it.
    for mount in spec.mounts().iter().flatten() {
        root.mount(mount)?;
        if mount.destination() == Path::new("/dev") {
            root.populate_dev(&request.devices)?;
        }
    }
    let terminal = spec.process().as_ref().and_then(Process::terminal).unwrap_or(false);
    let slave = if terminal { Some(open_terminal(root, control)?) } else { None };
    if let Some(slave) = &slave {
        root.console(slave)?;
    }
    if let Some(linux) = spec.linux() {
        let none = Vec::new();
        let masked = linux.masked_paths().as_ref().unwrap_or(&none);
        let read_only = linux.readonly_paths().as_ref().unwrap_or(&none);
        root.protect(masked, read_only)?;
    }
    let read_only = spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false);
    if read_only {
        sys::mount::set_attributes(root.fd(), false, libc::MOUNT_ATTR_RDONLY, 0, 0)
            .os(|| "make the root file system read-only")?;
    }
    Ok(slave)
}

/// A new terminal of the container's own devpts; its master goes to the engine.
fn open_terminal(root: &Root, control: &OwnedFd) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let master = openat2(root.fd(), "/dev/pts/ptmx", flags, Mode::empty(), inside).os(|| "open a terminal")?;
    let is_devpts = rustix::fs::fstatfs(&master).is_ok_and(|stat| stat.f_type == libc::DEVPTS_SUPER_MAGIC);
    if !is_devpts {
        return Err(Error::integrity("/dev/pts of the container is not a devpts file system"));
    }
    rustix::pty::unlockpt(&master).os(|| "unlock a terminal")?;
    let slave_flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, slave_flags).os(|| "open a terminal")?;
    send(control, &Report::Terminal, Some(&master)).map_err(|e| from_io(e, "hand over the terminal"))?;
    Ok(slave)
}

fn take_terminal(slave: OwnedFd) -> Result<()> {
    rustix::process::ioctl_tiocsctty(&slave).os(|| "take the terminal")?;
    rustix::stdio::dup2_stdin(&slave).os(|| "dup2")?;
    rustix::stdio::dup2_stdout(&slave).os(|| "dup2")?;
    rustix::stdio::dup2_stderr(&slave).os(|| "dup2")
}

fn take_streams(stdio: Vec<OwnedFd>) -> Result<()> {
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(stdio)
        .map_err(|list| Error::invalid(format!("request has {} standard streams", list.len())))?;
    rustix::stdio::dup2_stdin(&stdin).os(|| "dup2")?;
    rustix::stdio::dup2_stdout(&stdout).os(|| "dup2")?;
    rustix::stdio::dup2_stderr(&stderr).os(|| "dup2")
}

/// Makes the root file system `/` and lets go of the host's.
fn enter(root: &Root, spec: &Spec) -> Result<()> {
    rustix::process::fchdir(root.fd()).os(|| "enter the root file system")?;
    rustix::process::pivot_root(".", ".").os(|| "pivot_root")?;
    // The old root is stacked on the new one; "." is still the new one's.
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH).os(|| "let go of the host's file systems")?;
    rustix::process::chdir("/").os(|| "chdir /")?;
    let propagation = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().clone());
    let flags = match propagation.as_deref() {
        Some("shared") => rustix::mount::MountPropagationFlags::SHARED,
        Some("slave") => rustix::mount::MountPropagationFlags::DOWNSTREAM,
        _ => return Ok(()),
    };
    rustix::mount::mount_change("/", flags).os(|| "set the root's propagation")
}

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

fn set_limits(process: &Process, notes: &OwnedFd) -> Result<()> {
    for limit in process.rlimits().iter().flatten() {
        set_limit(limit, notes)?;
    }
    Ok(())
}

/// Sets one limit. Without CAP_SYS_RESOURCE a hard limit cannot be raised: it then stays, with a warning.
fn set_limit(limit: &PosixRlimit, notes: &OwnedFd) -> Result<()> {
    let value = |number: u64| if number == u64::MAX { None } else { Some(number) };
    let name = format!("{:?}", limit.typ()).trim_start_matches("Rlimit").to_lowercase();
    let kind = resource(limit.typ());
    let wanted = Rlimit { current: value(limit.soft()), maximum: value(limit.hard()) };
    match rustix::process::setrlimit(kind, wanted) {
        Err(rustix::io::Errno::PERM) => {}
        other => return other.os(|| format!("set limit {name}")),
    }
    let hard = rustix::process::getrlimit(kind).maximum;
    let capped = |number: Option<u64>| number.unwrap_or(u64::MAX).min(hard.unwrap_or(u64::MAX));
    let soft = capped(wanted.current);
    let fallback = Rlimit { current: value(soft), maximum: hard };
    rustix::process::setrlimit(kind, fallback).os(|| format!("set limit {name}"))?;
    let message = format!("limit {name} stays at {soft}: this user may not raise it");
    write_note(notes, &Note::Warning(message));
    Ok(())
}

/// Opens the working folder inside the new root; one that is missing is made, as container users expect.
///
/// No magic link is followed, so that none can lead out through a descriptor of the engine (CVE-2024-21626).
fn open_cwd(process: &Process) -> Result<OwnedFd> {
    let root = rustix::fs::open("/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .os(|| "open /")?;
    Root::new(root)
        .folder(process.cwd())
        .map_err(|e| e.context(format!("cannot use working folder {}", process.cwd().display())))
}

/// Filter, user, groups and capabilities, in the order in which each still may do the next.
fn drop_privileges(process: &Process, seccomp: &[u8]) -> Result<()> {
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true).os(|| "set no_new_privs")?;
    }
    // With no_new_privs any process may load a filter, so it can come last; without, it needs CAP_SYS_ADMIN.
    let load = || sys::seccomp::load(seccomp, 0).map(drop).map_err(|e| from_io(e, "load the seccomp filter"));
    if !seccomp.is_empty() && !no_new_privileges {
        load()?;
    }
    let sets = capabilities::Sets::from_spec(process.capabilities().as_ref());
    capabilities::limit_bounding(&sets)?;
    let user = process.user();
    let groups: Vec<nix::unistd::Gid> =
        user.additional_gids().iter().flatten().map(|gid| nix::unistd::Gid::from_raw(*gid)).collect();
    nix::unistd::setgroups(&groups).os(|| "set groups")?;
    let (uid, gid) = (nix::unistd::Uid::from_raw(user.uid()), nix::unistd::Gid::from_raw(user.gid()));
    nix::unistd::setresgid(gid, gid, gid).os(|| format!("become group {gid}"))?;
    nix::unistd::setresuid(uid, uid, uid).os(|| format!("become user {uid}"))?;
    capabilities::apply(&sets, uid.is_root())?;
    if !seccomp.is_empty() && no_new_privileges {
        load()?;
    }
    Ok(())
}

const NO_SHELL: &str = "without a shell in the image, give the command as a list: {\"/program\", \"argument\"}";

/// Executes the program: a name with a slash as it is, else the first match in the container's own PATH.
fn execute(process: &Process) -> Result<Infallible> {
    let text = |text: &str| CString::new(text).map_err(|_| Error::invalid("an argument holds a NUL"));
    let none = Vec::new();
    let argv = process.args().as_ref().unwrap_or(&none).iter().map(|arg| text(arg)).collect::<Result<Vec<_>>>()?;
    let list = process.env().as_ref().unwrap_or(&none);
    let env = list.iter().map(|variable| text(variable)).collect::<Result<Vec<_>>>()?;
    let name = process.args().as_ref().and_then(|args| args.first()).map_or("", String::as_str);
    if name.is_empty() {
        return Err(Error::invalid("no command given, and the image has none"));
    }
    let path = list.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("");
    let candidates: Vec<String> = if name.contains('/') {
        vec![name.to_string()]
    } else {
        path.split(':').map(|dir| format!("{}/{name}", if dir.is_empty() { "." } else { dir })).collect()
    };
    let mut seen = libc::ENOENT;
    for candidate in &candidates {
        let Err(errno) = nix::unistd::execve(&text(candidate)?, &argv, &env);
        match errno as i32 {
            libc::ENOENT | libc::ENOTDIR => {}
            other => seen = other,
        }
    }
    let is_line = argv.len() == 3 && argv[1].as_bytes() == b"-c";
    let error = exec_error(name, &candidates, seen);
    // A line for a shell that is not there: the commonest surprise with images made from nothing.
    if is_line && error.kind() == Kind::NotFound && name.ends_with("sh") {
        return Err(error.with_hint(NO_SHELL));
    }
    Err(error)
}

fn exec_error(name: &str, candidates: &[String], errno: i32) -> Error {
    let (kind, code, why) = match errno {
        libc::ENOENT if candidates.iter().any(|path| Path::new(path).exists()) => {
            (Kind::NotFound, 127, "its interpreter or loader is not in the image".to_string())
        }
        libc::ENOENT if name.contains('/') => (Kind::NotFound, 127, "no such file in the image".to_string()),
        libc::ENOENT => (Kind::NotFound, 127, "not found in the image's PATH".to_string()),
        libc::ENOEXEC => (Kind::InvalidArgument, 126, "not a program this machine can run".to_string()),
        other => (Kind::from_errno(other), 126, Error::os(other, "x").message().trim_start_matches("x: ").to_string()),
    };
    let verb = if code == 127 { "command not found" } else { "cannot execute" };
    Error::new(kind, format!("{verb}: {name}: {why}")).with_exit(ExitDetail { code, stderr: String::new() })
}
