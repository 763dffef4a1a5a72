//! The container's first process, from its birth in fresh namespaces to the moment it becomes the user's program.
//!
//! A flat list of steps. It reads nothing but its [`Birth`], and reports what goes wrong as a note (kind, message,
//! errno) to its parent.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use rustix::process::{DumpableBehavior, Signal};

use super::super::error::{Error, OsContext, Result, from_io};
use super::super::sys;
use super::birth::{Birth, Line, Oci, lift};
use super::exec::join_cgroups;
use super::hooks::{self, Turn};
use super::mounts::{self, OwnCgroups, Root, Sources};
use super::namespaces::Plan;
use super::process::{self, Filter, Labels};
use super::procfs::Proc;
use super::program::Program;
use super::wire::Note;
use super::{gate, sysctl, terminal};

/// Becomes the program. If it cannot, says why and ends.
pub fn run(birth: Birth<'_>, sources: Sources, plan: Plan, mut line: Line) -> ! {
    let Err(error) = become_program(birth, sources, plan, &mut line);
    line.fail(&error);
    sys::process::exit_now(125)
}

fn become_program(mut birth: Birth<'_>, mut sources: Sources, mut plan: Plan, line: &mut Line) -> Result<Infallible> {
    let spec = birth.spec;
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("the specification has no process"))?;
    keep_only_ours(&mut birth, &mut sources, &mut plan, line)?;
    if birth.bound {
        die_with_parent()?;
    }
    join_cgroups(std::mem::take(&mut birth.cgroup))?;
    line.wait()?;
    // Whoever shares a namespace with it, and be it another container's root, shall not look into it or trace it. Its
    // program can be again.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).os(|| "prctl PR_SET_DUMPABLE")?;
    plan.join_rest()?;
    let labels = Labels::open(process)?;
    if plan.has_user() {
        process::become_root()?;
    }
    let cgroups = own_cgroups(spec)?;
    // Where it is now becomes the root of the cgroups it sees.
    if plan.makes_cgroup() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).os(|| "create a cgroup namespace")?;
    }
    rustix::process::setsid().os(|| "setsid")?;
    if !birth.oci.no_new_keyring {
        process::leave_keyring()?;
    }
    set_names(spec)?;
    if plan.makes(LinuxNamespaceType::Network) {
        start_loopback()?;
    }
    sysctl::apply(spec)?;
    let pid = if birth.oci.state.is_some() { Some(Proc::open()?.own_pid()?) } else { None };
    let rootfs = if birth.oci.clones_root { mounts::folder(birth.mount_point)? } else { birth.rootfs };
    let mut root = mount_root(birth.mount_point, rootfs)?;
    let slave = mount_all(&mut root, spec, sources, &cgroups, line)?;
    run_hooks_of_creation(&birth.oci, spec, pid, line)?;
    finish(&root, spec)?;
    let uid = process.user().uid();
    match slave {
        Some(slave) => terminal::take(slave, uid)?,
        None => process::take_streams(birth.stdio, uid)?,
    }
    enter(&root, birth.oci.no_pivot)?;
    set_root_propagation(spec)?;
    set_process(spec, process, &plan, line)?;
    let cwd = open_cwd(process)?;
    drop(root);
    let program = Program::new(process)?;
    let filter = Filter { program: &birth.seccomp, flags: birth.seccomp_flags };
    process::drop_privileges(process, labels, &filter, line)?;
    if birth.bound {
        // Changing the user has cleared it; whoever lost its parent meanwhile has not heard of that.
        die_with_parent()?;
        if !line.is_heard() {
            return Err(Error::interrupted());
        }
    }
    rustix::process::fchdir(&cwd).os(|| format!("working folder {}", process.cwd().display()))?;
    drop(cwd);
    process::set_umask(process);
    sys::fd::keep_on_exec(3, birth.preserve_fds).map_err(|e| from_io(e, "preserve descriptors"))?;
    if birth.gate.is_some() {
        program.look()?;
    }
    sys::process::reset_signals();
    process::load_last(process, &filter, line)?;
    let start = || {
        if let Some(state) = birth.oci.state {
            hooks::run(spec, Turn::StartContainer, state, pid)?;
        }
        program.execute()
    };
    match birth.gate {
        None => start(),
        Some(gate) => {
            line.tell(&Note::Ready, None);
            gate::wait(&gate)?;
            gate::pass(birth.oci.report.as_ref(), start)
        }
    }
}

/// Where this process is in the host's cgroups, if the container mounts any.
fn own_cgroups(spec: &Spec) -> Result<OwnCgroups> {
    match spec.mounts().iter().flatten().any(|mount| mount.typ().as_deref() == Some("cgroup")) {
        true => Proc::open()?.read("self/cgroup").map(|text| OwnCgroups::parse(&text)),
        false => Ok(OwnCgroups::default()),
    }
}

/// The parent's hooks, then those in the container's namespaces.
fn run_hooks_of_creation(oci: &Oci<'_>, spec: &Spec, pid: Option<i32>, line: &Line) -> Result<()> {
    let Some(state) = oci.state else { return Ok(()) };
    if [Turn::Prestart, Turn::CreateRuntime].iter().any(|turn| !hooks::of(spec, *turn).is_empty()) {
        line.tell(&Note::Mounted, None);
        line.wait()?;
    }
    hooks::run(spec, Turn::CreateContainer, state, pid)
}

/// Closes whatever of the parent's is open here but was not given to this process.
fn keep_only_ours(birth: &mut Birth<'_>, sources: &mut Sources, plan: &mut Plan, line: &mut Line) -> Result<()> {
    // It was for the clone.
    drop(birth.cgroup_v2.take());
    let mut list: Vec<&mut OwnedFd> = vec![&mut birth.rootfs, line.descriptor()];
    list.extend(birth.stdio.iter_mut().chain(&mut birth.cgroup).chain(&mut birth.gate).chain(&mut birth.oci.report));
    list.extend(sources.descriptors().chain(plan.descriptors()));
    lift(list.iter_mut().map(|fd| &mut **fd))?;
    let mut keep: Vec<_> = list.iter().map(|fd| fd.as_raw_fd()).collect();
    sys::fd::close_all_but(3 + birth.preserve_fds as i32, &mut keep).map_err(|e| from_io(e, "close descriptors"))
}

fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).os(|| "prctl PR_SET_PDEATHSIG")
}

fn set_names(spec: &Spec) -> Result<()> {
    if let Some(name) = spec.hostname() {
        rustix::system::sethostname(name.as_bytes()).os(|| format!("set host name {name}"))?;
    }
    if let Some(name) = spec.domainname() {
        rustix::system::setdomainname(name.as_bytes()).os(|| format!("set domain name {name}"))?;
    }
    Ok(())
}

/// A network namespace begins with its loopback interface down.
fn start_loopback() -> Result<()> {
    match sys::interface::loopback_up() {
        // A root without CAP_NET_ADMIN has containers without loopback rather than none.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(()),
        other => other.map_err(|e| from_io(e, "switch the loopback interface on")),
    }
}

/// Puts the root file system where this mount namespace can see it.
fn mount_root(at: &Path, rootfs: OwnedFd) -> Result<Root> {
    use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).os(|| "make mounts private")?;
    let attach = |at: &Path| {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&rootfs, "", rustix::fs::CWD, at, flags)
    };
    match attach(at) {
        // The root of a user namespace may not enter the folders that lead there. Over the host's root it is as well
        // out of sight, and nearer.
        Err(rustix::io::Errno::ACCESS) => attach(Path::new("/")),
        other => other,
    }
    .os(|| format!("mount the root file system on {}", at.display()))?;
    Ok(Root::new(rootfs))
}

/// All mounts of the specification, devices, masks; returns the terminal's slave side if one is wanted.
fn mount_all(
    root: &mut Root,
    spec: &Spec,
    sources: Sources,
    cgroups: &OwnCgroups,
    line: &Line,
) -> Result<Option<OwnedFd>> {
    root.mount_everything(spec, sources, cgroups)?;
    let process = spec.process().as_ref().filter(|process| process.terminal().unwrap_or(false));
    let slave = process.map(|process| terminal::open(root.fd(), process, line)).transpose()?;
    if let Some(slave) = &slave {
        root.console(slave)?;
    }
    if let Some(linux) = spec.linux() {
        let none = Vec::new();
        let masked = linux.masked_paths().as_ref().unwrap_or(&none);
        let read_only = linux.readonly_paths().as_ref().unwrap_or(&none);
        root.protect(masked, read_only)?;
    }
    Ok(slave)
}

/// What hooks may still have needed to change.
fn finish(root: &Root, spec: &Spec) -> Result<()> {
    match spec.root().as_ref().and_then(|root| root.readonly()) {
        Some(true) => sys::mount::set_attributes(root.fd(), false, libc::MOUNT_ATTR_RDONLY, 0, 0)
            .os(|| "make the root file system read-only"),
        _ => Ok(()),
    }
}

/// Makes the root file system `/` and lets go of the host's.
fn enter(root: &Root, no_pivot: bool) -> Result<()> {
    rustix::process::fchdir(root.fd()).os(|| "enter the root file system")?;
    if no_pivot {
        return enter_without_pivot(root);
    }
    rustix::process::pivot_root(".", ".").os(|| "pivot_root")?;
    // The old root is stacked on the new one; "." is still the new one's.
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH).os(|| "let go of the host's file systems")?;
    rustix::process::chdir("/").os(|| "chdir /")
}

/// Where the host's root is a ramfs, which cannot be exchanged, the new root is moved over it. The host's `/proc` and
/// `/sys` are taken away first: a copy of them that shows everything would let a user namespace in the container mount
/// its own.
fn enter_without_pivot(root: &Root) -> Result<()> {
    use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
    for path in ["/proc", "/sys"] {
        match unmount(path, UnmountFlags::DETACH) {
            // Not mounted there.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e).os(|| format!("let go of {path}")),
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root.fd(), "", rustix::fs::CWD, "/", flags).os(|| "move the root file system to /")?;
    rustix::process::chroot(".").os(|| "chroot")?;
    rustix::process::chdir("/").os(|| "chdir /")
}

fn set_root_propagation(spec: &Spec) -> Result<()> {
    use rustix::mount::MountPropagationFlags;
    let propagation = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    // Also with `r` only the root itself: each mount below has the propagation it was given.
    let flags = match propagation.map_or("", |word| word.strip_prefix('r').unwrap_or(word)) {
        "" => return Ok(()),
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "private" => MountPropagationFlags::PRIVATE,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        other => return Err(Error::invalid(format!("unknown rootfsPropagation '{other}'"))),
    };
    rustix::mount::mount_change("/", flags).os(|| "set the root's propagation")
}

/// What can be set of the process while it still has all rights.
fn set_process(spec: &Spec, process: &Process, plan: &Plan, line: &Line) -> Result<()> {
    // In a user namespace its parent has done it.
    if !plan.has_user() {
        process::set_limits(process, line)?;
    }
    process::set_priorities(process)?;
    match spec.linux().as_ref().and_then(|linux| linux.personality().as_ref()) {
        Some(personality) => process::set_personality(personality),
        None => Ok(()),
    }
}

/// Opens the working folder inside the new root; one that is missing is made, as container users expect.
///
/// No magic link is followed, so that none can lead out through a descriptor of the engine (CVE-2024-21626).
fn open_cwd(process: &Process) -> Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, rustix::fs::Mode::empty()).os(|| "open /")?;
    Root::new(root)
        .folder(process.cwd())
        .map_err(|e| e.context(format!("cannot use working folder {}", process.cwd().display())))
}
