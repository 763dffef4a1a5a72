//! What the kernel answers to programs under the default system call filter, of each interface it offers them.

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine_support;

use std::fs;
use std::path::Path;
use std::process::Command;

use engine_support::{Host, busybox_root, host};
use moonshell::engine::container::options::{Command as Program, Options};
use moonshell::engine::container::run::Base;
use moonshell::engine::container::streams::Ending;
use moonshell::engine::image::config::RunConfig;

const EPERM: i32 = libc::EPERM;
const ENOSYS: i32 = libc::ENOSYS;

/// A program without a library that makes calls and writes down what each returned.
const SOURCE: &str = r#"
struct call { long number, first, second; };
static const struct call calls[] = { CALLS };
static int results[sizeof calls / sizeof *calls];

static long ask(long number, long a, long b, long c) {
    long result;
#ifdef __i386__
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
#else
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#endif
    return result;
}

#ifdef __i386__
enum { WRITE = 4, EXIT = 1 };
#else
enum { WRITE = 1, EXIT = 60 };
#endif

void _start(void) {
    static long memory[4], pair[2];
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        long second = calls[i].second;
#ifdef __i386__
        /* socketcall: the second argument is where the others are: family, SOCK_SEQPACKET, no protocol, a pair. */
        if (calls[i].number == 102) {
            memory[0] = second, memory[1] = 5, memory[3] = (long)pair;
            second = (long)memory;
        }
#endif
        results[i] = ask(calls[i].number, calls[i].first, second, 0);
    }
    ask(WRITE, 1, (long)results, sizeof results);
    ask(EXIT, 0, 0, 0);
}
"#;

/// Names, numbers and two arguments of calls, with the errno they fail with, or 0.
type Calls<'a> = &'a [(&'a str, u32, u32, u32, i32)];

/// Compiles the program; false where that cannot be.
fn compile(to: &Path, calls: Calls<'_>, word: &str) -> bool {
    let rows: String = calls.iter().map(|(_, number, a, b, _)| format!("{{ {number}u, {a}u, {b}u }},")).collect();
    let source = to.with_extension("c");
    fs::write(&source, SOURCE.replace("CALLS", &rows)).unwrap();
    let flags = [word, "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O1"];
    match Command::new("cc").args(flags).arg("-o").arg(to).arg(&source).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("skipped: cc {word}: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            eprintln!("skipped: no C compiler: {error}");
            false
        }
    }
}

fn run(host: &Host, options: &Options) -> (Ending, Vec<u8>) {
    let mut out = Vec::new();
    let lowers = [host.dir.path().join("root")];
    let base = Base { lowers: &lowers, config: &RunConfig::default() };
    let program = Program::Argv(vec!["/bin/calls".into()]);
    let mut sink = |_, bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    let area = host.engine.store().workspace().unwrap();
    (host.engine.run_in(&area, base, Some(&program), options, &mut sink).unwrap(), out)
}

/// Makes the calls in a container and compares what they return.
fn check(calls: Calls<'_>, word: &str, options: &Options) {
    let host = host();
    let root = host.dir.path().join("root");
    busybox_root(&root);
    let program = root.join("bin/calls");
    if !cfg!(target_arch = "x86_64") || !compile(&program, calls, word) {
        return;
    }
    if let Err(error) = Command::new(&program).output() {
        eprintln!("skipped: this kernel does not run {word} programs: {error}");
        return;
    }
    let (ending, out) = run(&host, options);
    assert_eq!(ending.code, 0, "{word}");
    let results: Vec<i32> = out.chunks_exact(4).map(|bytes| i32::from_ne_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(results.len(), calls.len());
    for ((name, number, a, b, errno), result) in calls.iter().zip(results) {
        let failed = if result < 0 { -result } else { 0 };
        assert_eq!(failed, *errno, "{name} ({number:#x}) of {word} with {a:#x}, {b:#x}");
    }
}

/// Bit in the numbers of x32.
const X32: u32 = 0x4000_0000;

const CALLS_64: Calls<'static> = &[
    ("getpid", 39, 0, 0, 0),
    ("socket AF_UNIX", 41, 1, 1, 0),
    ("socket AF_ALG", 41, 38, 5, EPERM),
    ("socket AF_VSOCK", 41, 40, 1, EPERM),
    ("keyctl", 250, 0, 0, EPERM),
    ("add_key", 248, 0, 0, EPERM),
    ("request_key", 249, 0, 0, EPERM),
    ("bpf", 321, 0, 0, EPERM),
    ("userfaultfd", 323, 1, 0, EPERM),
    ("io_uring_setup", 425, 1, 0, EPERM),
    ("io_uring_enter", 426, 0, 0, EPERM),
    ("io_uring_register", 427, 0, 0, EPERM),
    ("clone3", 435, 0, 0, ENOSYS),
    ("clone CLONE_NEWUSER", 56, 0x1000_0000, 0, EPERM),
    ("clone CLONE_NEWNS", 56, 0x2_0000, 0, EPERM),
    ("unshare", 272, 0x1000_0000, 0, EPERM),
    ("setns", 308, 0, 0, EPERM),
    ("mount", 165, 0, 0, EPERM),
    ("open_tree", 428, 0, 0, EPERM),
    ("fsopen", 430, 0, 0, EPERM),
    ("init_module", 175, 0, 0, EPERM),
    ("kexec_load", 246, 0, 0, EPERM),
    ("perf_event_open", 298, 0, 0, EPERM),
    ("open_by_handle_at", 304, 0, 0, EPERM),
    ("clock_settime", 227, 0, 0, EPERM),
    ("personality, asking", 135, 0xffff_ffff, 0, 0),
    ("personality ADDR_NO_RANDOMIZE", 135, 0x4_0000, 0, EPERM),
    ("one that no kernel has", 2000, 0, 0, ENOSYS),
    ("socket AF_ALG of x32", X32 | 41, 38, 5, EPERM),
    ("keyctl of x32", X32 | 250, 0, 0, EPERM),
    ("bpf of x32", X32 | 321, 0, 0, EPERM),
    ("io_uring_setup of x32", X32 | 425, 1, 0, EPERM),
    ("clone3 of x32", X32 | 435, 0, 0, ENOSYS),
    ("kexec_load of x32", X32 | 528, 0, 0, EPERM),
];

const CALLS_32: Calls<'static> = &[
    ("getpid", 20, 0, 0, 0),
    ("socket AF_UNIX", 359, 1, 1, 0),
    ("socket AF_ALG", 359, 38, 5, EPERM),
    ("socket AF_VSOCK", 359, 40, 1, EPERM),
    ("socketcall socket AF_UNIX", 102, 1, 1, ENOSYS),
    ("socketcall socket AF_ALG", 102, 1, 38, ENOSYS),
    ("socketcall socket AF_VSOCK", 102, 1, 40, ENOSYS),
    ("socketcall socketpair AF_ALG", 102, 8, 38, ENOSYS),
    ("socketcall listen", 102, 4, 99, ENOSYS),
    ("socketcall that there is not", 102, 21, 0, ENOSYS),
    ("keyctl", 288, 0, 0, EPERM),
    ("add_key", 286, 0, 0, EPERM),
    ("bpf", 357, 0, 0, EPERM),
    ("userfaultfd", 374, 1, 0, EPERM),
    ("io_uring_setup", 425, 1, 0, EPERM),
    ("clone3", 435, 0, 0, ENOSYS),
    ("clone CLONE_NEWUSER", 120, 0x1000_0000, 0, EPERM),
    ("unshare", 310, 0x1000_0000, 0, EPERM),
    ("mount", 21, 0, 0, EPERM),
    ("init_module", 128, 0, 0, EPERM),
    ("stime", 25, 0, 0, EPERM),
    ("vm86old", 113, 0, 0, EPERM),
    ("personality, asking", 136, 0xffff_ffff, 0, 0),
    ("personality ADDR_NO_RANDOMIZE", 136, 0x4_0000, 0, EPERM),
    ("one that no kernel has", 2000, 0, 0, ENOSYS),
];

#[test]
fn programs_of_64_bits_and_calls_of_x32() {
    check(CALLS_64, "-m64", &Options::default());
}

#[test]
fn programs_of_32_bits() {
    check(CALLS_32, "-m32", &Options::default());
}

#[test]
fn no_new_privileges_and_other_users_change_nothing() {
    let options = Options { no_new_privileges: true, user: Some("ann".into()), ..Options::default() };
    check(CALLS_64, "-m64", &options);
    check(CALLS_32, "-m32", &options);
}

#[test]
fn without_the_filter_the_kernel_answers() {
    let calls: Calls<'static> = &[("keyctl", 250, 0, 0, libc::EINVAL), ("clone3", 435, 0, 0, libc::EINVAL)];
    let options = Options { seccomp: moonshell::engine::container::options::Seccomp::Unconfined, ..Options::default() };
    check(calls, "-m64", &options);
}
