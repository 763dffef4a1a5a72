//! Programs that judge a cgroup's accesses to devices: bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE` (Linux 4.15).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

// Numbers of linux/bpf.h.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
/// The kernel takes no more programs in one cgroup.
const MOST_PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct Query {
    cgroup: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    _unused: u32,
}

/// Calls bpf(2) with a structure that starts `union bpf_attr`; the kernel takes the rest of it for zeros.
fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the structures above have the layout of the command's part of `union bpf_attr`, and their pointers are
    // to memory that outlives the call (see the callers); the size given is theirs.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(result: libc::c_long) -> OwnedFd {
    // SAFETY: the command returned a new descriptor that nothing else owns.
    unsafe { OwnedFd::from_raw_fd(result as i32) }
}

/// Loads a program of eight-byte instructions. Its descriptor is closed on exec.
///
/// # Errors
/// The kernel's: EINVAL when its checks refuse the program, EPERM without CAP_BPF or CAP_SYS_ADMIN.
pub fn load_device_program(instructions: &[[u8; 8]]) -> io::Result<OwnedFd> {
    let mut load = Load {
        program_type: PROG_TYPE_CGROUP_DEVICE,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        ..Load::default()
    };
    match call(PROG_LOAD, &mut load) {
        // Before Linux 5.11 programs count as locked memory, of which little is allowed by default.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
            let limit = getrlimit(Resource::Memlock);
            setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?;
            let outcome = call(PROG_LOAD, &mut load);
            setrlimit(Resource::Memlock, limit)?;
            outcome.map(descriptor)
        }
        other => other.map(descriptor),
    }
}

/// Attaches a program to a cgroup, beside those that are there.
///
/// # Errors
/// The kernel's: E2BIG for more than 64, EPERM when a cgroup above does not let them be several.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    attachment(PROG_ATTACH, cgroup, program, ALLOW_MULTI)
}

/// Takes a program away from a cgroup.
///
/// # Errors
/// The kernel's: ENOENT when it is not attached.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    attachment(PROG_DETACH, cgroup, program, 0)
}

fn attachment(command: libc::c_int, cgroup: impl AsFd, program: impl AsFd, flags: u32) -> io::Result<()> {
    let mut attach = Attach {
        cgroup: cgroup.as_fd().as_raw_fd() as u32,
        program: program.as_fd().as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        flags,
    };
    call(command, &mut attach).map(drop)
}

/// The ids of the programs attached to a cgroup itself.
///
/// # Errors
/// The kernel's.
pub fn device_programs(cgroup: impl AsFd) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; MOST_PROGRAMS];
    let mut query = Query {
        cgroup: cgroup.as_fd().as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: MOST_PROGRAMS as u32,
        _unused: 0,
    };
    call(PROG_QUERY, &mut query)?;
    ids.truncate(query.count as usize);
    Ok(ids)
}

/// Opens a loaded program.
///
/// # Errors
/// The kernel's: ENOENT when it is gone, EPERM without CAP_SYS_ADMIN.
pub fn open_program(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = [id, 0, 0];
    call(PROG_GET_FD_BY_ID, &mut attributes).map(descriptor)
}
