//! The default seccomp filter: which system calls a container's programs may make.
//!
//! An allow list with the field's reach: everything ordinary programs use; not what changes the kernel, the host's
//! clock, modules, other namespaces or keyrings, unless a capability that was given says so. A refused call fails
//! with EPERM, one this list does not know with ENOSYS, so that C libraries fall back to older ones, and so does a
//! call of another architecture (32-bit, x32). Source: seccomp(2), syscalls(2).

use std::collections::{BTreeMap, HashSet};

use super::super::error::{Error, Kind, Result};
use super::bpf::{Answer, Machine, compile};
use oci_spec::runtime::Capability;

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

const FILES: &[i64] = calls! {
    SYS_chdir SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchmodat2 SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync
    SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate
    SYS_getcwd SYS_getdents64 SYS_getxattr SYS_ioctl SYS_lgetxattr SYS_linkat SYS_listxattr SYS_llistxattr
    SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_mkdirat SYS_mknodat SYS_name_to_handle_at SYS_newfstatat SYS_openat
    SYS_openat2 SYS_pipe2 SYS_pread64 SYS_preadv SYS_preadv2 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read
    SYS_readahead SYS_readlinkat SYS_readv SYS_removexattr SYS_renameat SYS_renameat2 SYS_sendfile SYS_setxattr
    SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs SYS_tee SYS_truncate SYS_umask
    SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_write SYS_writev
};

const EVENTS_AND_TIME: &[i64] = calls! {
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_fanotify_mark
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_io_destroy SYS_io_getevents
    SYS_io_setup SYS_io_submit SYS_ppoll SYS_pselect6 SYS_signalfd4 SYS_timerfd_create SYS_timerfd_gettime
    SYS_timerfd_settime SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_adjtimex SYS_getitimer
    SYS_gettimeofday SYS_nanosleep SYS_setitimer SYS_timer_create SYS_timer_delete SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_clock_adjtime
};

const MEMORY: &[i64] = calls! {
    SYS_brk SYS_madvise SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mlock SYS_mlock2 SYS_mlockall
    SYS_mmap SYS_mprotect SYS_mremap SYS_mseal SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_pkey_alloc
    SYS_pkey_free SYS_pkey_mprotect SYS_process_madvise SYS_remap_file_pages SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget
};

const PROCESSES: &[i64] = calls! {
    SYS_capget SYS_capset SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_futex SYS_futex_waitv
    SYS_get_robust_list SYS_getcpu SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getpgid SYS_getpid SYS_getppid
    SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit SYS_getrusage SYS_getsid SYS_gettid
    SYS_getuid SYS_ioprio_get SYS_ioprio_set SYS_kill SYS_landlock_add_rule SYS_landlock_create_ruleset
    SYS_landlock_restrict_self SYS_personality SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl SYS_prlimit64
    SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_restart_syscall SYS_rseq
    SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend
    SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_get_priority_max SYS_sched_get_priority_min
    SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_getscheduler SYS_sched_rr_get_interval
    SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp
    SYS_set_robust_list SYS_set_tid_address SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setpgid
    SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setrlimit SYS_setsid SYS_setuid
    SYS_sigaltstack SYS_sysinfo SYS_tgkill SYS_times SYS_tkill SYS_uname SYS_wait4 SYS_waitid
};

const SOCKETS_AND_IPC: &[i64] = calls! {
    SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_getpeername SYS_getsockname SYS_getsockopt SYS_listen SYS_recvfrom
    SYS_recvmmsg SYS_recvmsg SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setsockopt SYS_shutdown SYS_socket SYS_socketpair
    SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_msgctl SYS_msgget
    SYS_msgrcv SYS_msgsnd SYS_semctl SYS_semget SYS_semop SYS_semtimedop
};

/// Calls that only x86-64 still has beside their newer forms, and its own.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[i64] = calls! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_get_thread_area SYS_getdents SYS_getpgrp
    SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe
    SYS_poll SYS_readlink SYS_rename SYS_renameat SYS_rmdir SYS_select SYS_set_thread_area SYS_signalfd SYS_stat
    SYS_symlink SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[i64] = &[];

/// Calls newer than the constants at hand; their numbers are the same on every architecture: cachestat, futex_wake,
/// futex_wait, futex_requeue, setxattrat, getxattrat, listxattrat, removexattrat.
const NEWER: &[i64] = &[451, 454, 455, 456, 463, 464, 465, 466];

/// Calls that exist, are understood, and are refused with EPERM; each with the capability that opens it, if one does.
const GUARDED: &[(Option<Capability>, &[i64])] = &[
    (
        Some(Capability::SysAdmin),
        calls! {
            SYS_bpf SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_lookup_dcookie SYS_mount
            SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open SYS_quotactl SYS_quotactl_fd
            SYS_setdomainname SYS_sethostname SYS_setns SYS_syslog SYS_umount2 SYS_unshare
        },
    ),
    (Some(Capability::SysBoot), calls! { SYS_reboot }),
    (Some(Capability::SysChroot), calls! { SYS_chroot }),
    (Some(Capability::SysModule), calls! { SYS_delete_module SYS_finit_module SYS_init_module }),
    (Some(Capability::SysNice), calls! { SYS_get_mempolicy SYS_mbind SYS_set_mempolicy SYS_set_mempolicy_home_node }),
    (Some(Capability::SysPacct), calls! { SYS_acct }),
    (Some(Capability::SysPtrace), calls! { SYS_kcmp SYS_pidfd_getfd }),
    (Some(Capability::SysTime), calls! { SYS_clock_settime SYS_settimeofday }),
    (Some(Capability::SysTtyConfig), calls! { SYS_vhangup }),
    (Some(Capability::DacReadSearch), calls! { SYS_open_by_handle_at }),
    #[cfg(target_arch = "x86_64")]
    (Some(Capability::SysRawio), calls! { SYS_ioperm SYS_iopl }),
    (
        None,
        calls! {
            SYS_add_key SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_kexec_load SYS_kexec_file_load
            SYS_keyctl SYS_migrate_pages SYS_move_pages SYS_nfsservctl SYS_pivot_root SYS_request_key SYS_swapoff
            SYS_swapon SYS_userfaultfd
        },
    ),
    #[cfg(target_arch = "x86_64")]
    (None, calls! { SYS__sysctl SYS_sysfs SYS_uselib SYS_ustat }),
];

/// Flags of clone(2) that make namespaces: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;

/// Execution domains that are allowed: Linux, with 32-bit layout, with the old 3 GB limit, and 'only asking'.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// Socket families that reach the kernel's crypto code and the hypervisor: AF_ALG, AF_VSOCK.
const REFUSED_FAMILIES: [u32; 2] = [38, 40];

const EPERM: u16 = libc::EPERM as u16;

/// The default filter for a process with these capabilities in its bounding set, as a classic BPF program.
///
/// # Errors
/// `unsupported` on architectures other than x86-64, aarch64 and riscv64.
pub fn default_filter(capabilities: &HashSet<Capability>) -> Result<Vec<u8>> {
    let has = |capability: Capability| capabilities.contains(&capability);
    let mut answers = BTreeMap::new();
    for call in [FILES, EVENTS_AND_TIME, MEMORY, PROCESSES, SOCKETS_AND_IPC, LEGACY, NEWER].into_iter().flatten() {
        answers.insert(*call, Answer::Allow);
    }
    for (guard, calls) in GUARDED {
        let answer = if guard.is_some_and(has) { Answer::Allow } else { Answer::Errno(EPERM) };
        answers.extend(calls.iter().map(|call| (*call, answer.clone())));
    }
    if has(Capability::SysAdmin) {
        answers.insert(libc::SYS_clone3, Answer::Allow);
    } else {
        // clone3's flags are in memory, where no filter can look: it stays unknown, and C libraries use clone.
        answers.insert(libc::SYS_clone, Answer::RefuseBits { bits: NAMESPACE_FLAGS, errno: EPERM });
    }
    answers.insert(libc::SYS_personality, Answer::OnlyValues { values: PERSONALITIES.to_vec(), errno: EPERM });
    answers.insert(libc::SYS_socket, Answer::RefuseValues { values: REFUSED_FAMILIES.to_vec(), errno: EPERM });
    Ok(compile(machine()?, &answers, libc::ENOSYS as u16))
}

fn machine() -> Result<Machine> {
    if cfg!(target_arch = "x86_64") {
        Ok(Machine { audit: 0xc000_003e, end_of_numbers: Some(0x4000_0000) })
    } else if cfg!(target_arch = "aarch64") {
        Ok(Machine { audit: 0xc000_00b7, end_of_numbers: None })
    } else if cfg!(target_arch = "riscv64") {
        Ok(Machine { audit: 0xc000_00f3, end_of_numbers: None })
    } else {
        Err(Error::new(Kind::Unsupported, "no seccomp filter for this architecture")
            .with_hint("run with seccomp=\"unconfined\" to go without"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_guarded() {
        let open: HashSet<i64> =
            [FILES, EVENTS_AND_TIME, MEMORY, PROCESSES, SOCKETS_AND_IPC, LEGACY, NEWER].concat().into_iter().collect();
        for (_, calls) in GUARDED {
            assert!(calls.iter().all(|call| !open.contains(call)));
        }
    }

    #[test]
    fn the_program_is_small_and_capabilities_change_it() {
        let plain = default_filter(&HashSet::new()).unwrap();
        let admin = default_filter(&HashSet::from([Capability::SysAdmin])).unwrap();
        assert_ne!(plain, admin);
        // The kernel tries it on every call number when it is loaded.
        assert!(plain.len() / 8 < 300, "{} instructions", plain.len() / 8);
    }
}
