//! System call names to numbers, for each architecture.
//!
//! The tables are those of the `syscalls` crate. Added here: x32, which shares x86-64's numbers except for calls
//! whose structures differ; ARM's private calls; and names that differ from those profiles use.
//!
//! Source: arch/x86/entry/syscalls/syscall_64.tbl, arch/arm/include/uapi/asm/unistd.h.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use oci_spec::runtime::Arch;

use super::machine::X32_BIT;

type Table = HashMap<&'static str, u32>;

/// x32's own numbers, consecutive from 512.
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// x86-64 calls that x32 lacks.
const X32_LACKS: [&str; 11] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
];

/// ARM's private calls, and another name of one that the table has.
const ARM_OWN: [(&str, u32); 7] = [
    ("breakpoint", 0xf_0001),
    ("cacheflush", 0xf_0002),
    ("usr26", 0xf_0003),
    ("usr32", 0xf_0004),
    ("set_tls", 0xf_0005),
    ("get_tls", 0xf_0006),
    ("sync_file_range2", 341),
];

macro_rules! table {
    ($arch:ident) => {
        syscalls::$arch::Sysno::iter().map(|call| (call.name(), call.id() as u32)).collect::<Table>()
    };
}

static X86_64: LazyLock<Table> = LazyLock::new(|| table!(x86_64));

static X86: LazyLock<Table> = LazyLock::new(|| {
    let mut table = table!(x86);
    // A word of the language, so the table has it not.
    table.insert("break", 17);
    table
});

static X32: LazyLock<Table> = LazyLock::new(|| {
    let shared = X86_64.iter().filter(|(name, _)| !X32_LACKS.contains(name));
    let mut table: Table = shared.map(|(name, number)| (*name, X32_BIT | number)).collect();
    table.extend((512..).zip(X32_OWN).map(|(number, name)| (name, X32_BIT | number)));
    table
});

static AARCH64: LazyLock<Table> = LazyLock::new(|| {
    let mut table = table!(aarch64);
    table.insert("newfstatat", 79);
    table
});

static ARM: LazyLock<Table> = LazyLock::new(|| {
    let mut table = table!(arm);
    table.extend(ARM_OWN);
    table
});

static RISCV64: LazyLock<Table> = LazyLock::new(|| table!(riscv64));

/// The number of a call, if the architecture has one of this name.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let table: &Table = match arch {
        Arch::ScmpArchX86_64 => &X86_64,
        Arch::ScmpArchX86 => &X86,
        Arch::ScmpArchX32 => &X32,
        Arch::ScmpArchAarch64 => &AARCH64,
        Arch::ScmpArchArm => &ARM,
        Arch::ScmpArchRiscv64 => &RISCV64,
        _ => return None,
    };
    table.get(name).copied()
}

/// The architecture's own numbers, apart from the ascending ones under which every architecture gets new calls, so
/// that they say nothing about which call is newer: x32's and ARM's private ones.
pub fn apart(arch: Arch) -> Range<u32> {
    match arch {
        Arch::ScmpArchX32 => (X32_BIT | 512)..(X32_BIT | 512) + X32_OWN.len() as u32,
        Arch::ScmpArchArm => 0xf_0000..0xf_0007,
        _ => 0..0,
    }
}

/// The call of i386 that does the work of `name` too, with the number it takes as its first argument.
///
/// Source: socketcall(2), ipc(2); linux/net.h, linux/ipc.h.
pub fn multiplexer(arch: Arch, name: &str) -> Option<(&'static str, u32)> {
    if arch != Arch::ScmpArchX86 {
        return None;
    }
    Some(match name {
        "socket" => ("socketcall", 1),
        "bind" => ("socketcall", 2),
        "connect" => ("socketcall", 3),
        "listen" => ("socketcall", 4),
        "accept" => ("socketcall", 5),
        "getsockname" => ("socketcall", 6),
        "getpeername" => ("socketcall", 7),
        "socketpair" => ("socketcall", 8),
        "send" => ("socketcall", 9),
        "recv" => ("socketcall", 10),
        "sendto" => ("socketcall", 11),
        "recvfrom" => ("socketcall", 12),
        "shutdown" => ("socketcall", 13),
        "setsockopt" => ("socketcall", 14),
        "getsockopt" => ("socketcall", 15),
        "sendmsg" => ("socketcall", 16),
        "recvmsg" => ("socketcall", 17),
        "accept4" => ("socketcall", 18),
        "recvmmsg" => ("socketcall", 19),
        "sendmmsg" => ("socketcall", 20),
        "semop" => ("ipc", 1),
        "semget" => ("ipc", 2),
        "semctl" => ("ipc", 3),
        "semtimedop" => ("ipc", 4),
        "msgsnd" => ("ipc", 11),
        "msgrcv" => ("ipc", 12),
        "msgget" => ("ipc", 13),
        "msgctl" => ("ipc", 14),
        "shmat" => ("ipc", 21),
        "shmdt" => ("ipc", 22),
        "shmget" => ("ipc", 23),
        "shmctl" => ("ipc", 24),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_their_architecture() {
        for (arch, name, want) in [
            (Arch::ScmpArchX86_64, "write", Some(1)),
            (Arch::ScmpArchX86_64, "removexattrat", Some(466)),
            (Arch::ScmpArchX86_64, "socketcall", None),
            (Arch::ScmpArchX86, "write", Some(4)),
            (Arch::ScmpArchX86, "break", Some(17)),
            (Arch::ScmpArchX86, "socket", Some(359)),
            (Arch::ScmpArchX32, "write", Some(X32_BIT | 1)),
            (Arch::ScmpArchX32, "rt_sigaction", Some(X32_BIT | 512)),
            (Arch::ScmpArchX32, "getsockopt", Some(X32_BIT | 542)),
            (Arch::ScmpArchX32, "pwritev2", Some(X32_BIT | 547)),
            (Arch::ScmpArchX32, "uselib", None),
            (Arch::ScmpArchAarch64, "newfstatat", Some(79)),
            (Arch::ScmpArchAarch64, "open", None),
            (Arch::ScmpArchArm, "set_tls", Some(0xf_0005)),
            (Arch::ScmpArchArm, "write", Some(4)),
            (Arch::ScmpArchRiscv64, "riscv_flush_icache", Some(259)),
            (Arch::ScmpArchS390x, "write", None),
        ] {
            assert_eq!(number(arch, name), want, "{name} on {arch:?}");
        }
    }
}
