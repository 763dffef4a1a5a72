//! Compiled filters against a plain reading of the rules they were made from, and the default profile's answers.

use std::collections::HashSet;

use oci_spec::runtime::{Arch, Capability, LinuxSeccomp};

use super::compile::compile_for;
use super::machine::{Machine, X32_BIT, audit};
use super::profile::KernelVersion;
use super::reading::{Call, ENOSYS, Reader, interpret};
use super::resolve::Facts;
use super::{default_profile, numbers, parse};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;

/// Numbers (xorshift), the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.next() as usize % list.len()]
    }
}

/// Arguments on, beside and between the values that rules compare with.
fn argument(numbers: &mut Numbers, interesting: &[u64]) -> u64 {
    let value = numbers.pick(interesting);
    match numbers.next() % 8 {
        0 => numbers.next(),
        1 => value.wrapping_add(1),
        2 => value.wrapping_sub(1),
        3 => value ^ (1 << (numbers.next() % 64)),
        4 => value | (numbers.next() << 32),
        _ => value,
    }
}

fn agree(seccomp: &LinuxSeccomp, machine: Machine, seed: u64) -> usize {
    let program = compile_for(seccomp, machine).unwrap();
    let reader = Reader::new(seccomp, machine);
    let mut numbers = Numbers(seed);
    let tests = seccomp.syscalls().iter().flatten().flat_map(|rule| rule.args().iter().flatten());
    let mut interesting: Vec<u64> = tests.flat_map(|test| [test.value(), test.value_two().unwrap_or(0)]).collect();
    interesting.extend([0, 1, 0xffff_ffff, 0x1_0000_0000, u64::MAX]);
    let arches: Vec<u32> = [Machine::X86_64, Machine::Aarch64, Machine::Riscv64]
        .iter()
        .flat_map(|machine| machine.architectures())
        .map(|arch| audit(*arch))
        .chain([0, 0x8000_0016])
        .collect();
    let own = machine.architectures().iter().map(|arch| audit(*arch)).collect::<HashSet<_>>();
    let mut count = 0;
    for arch in arches {
        let ends = [511, 600, X32_BIT - 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
        let private = (0xf_0000..0xf_0008).chain(ends);
        for number in (0..480).chain(X32_BIT..X32_BIT + 560).chain(private) {
            for _ in 0..if own.contains(&arch) { 8 } else { 1 } {
                let args = std::array::from_fn(|_| argument(&mut numbers, &interesting));
                let call = Call { arch, number, args };
                let (got, steps) = interpret(&program.bytes, &call);
                let want = reader.answer(&call);
                assert_eq!(got, want, "call {number:#x} of {arch:#x} on {machine:?} with {args:x?}");
                assert!(steps < 60, "{steps} steps for call {number:#x}");
                count += 1;
            }
        }
    }
    count
}

fn resolve(text: &str, machine: Machine, caps: &[Capability], kernel: (u32, u32)) -> LinuxSeccomp {
    let bounding = caps.iter().copied().collect();
    let facts = Facts { bounding: &bounding, machine, kernel: KernelVersion(kernel.0, kernel.1) };
    parse(text).unwrap().resolve_for(&facts).unwrap()
}

fn default_for(machine: Machine, caps: &[Capability]) -> LinuxSeccomp {
    resolve(super::DEFAULT, machine, caps, (6, 1))
}

const MACHINES: [Machine; 3] = [Machine::X86_64, Machine::Aarch64, Machine::Riscv64];

#[test]
fn the_default_filter_answers_as_its_rules_read() {
    for machine in MACHINES {
        for (at, caps) in
            [&[][..], &[Capability::SysAdmin], &[Capability::Bpf, Capability::SysPtrace]].iter().enumerate()
        {
            assert!(agree(&default_for(machine, caps), machine, 77 + at as u64) > 5000);
        }
    }
}

/// Rules of every action and operator, on a random choice of calls.
fn random_profile(numbers: &mut Numbers, default: &str) -> String {
    let actions = [
        ("SCMP_ACT_KILL", ""),
        ("SCMP_ACT_KILL_PROCESS", ""),
        ("SCMP_ACT_KILL_THREAD", ""),
        ("SCMP_ACT_TRAP", ""),
        ("SCMP_ACT_ERRNO", ""),
        ("SCMP_ACT_ERRNO", r#","errnoRet":13"#),
        ("SCMP_ACT_TRACE", r#","errnoRet":9"#),
        ("SCMP_ACT_ALLOW", ""),
        ("SCMP_ACT_LOG", ""),
        ("SCMP_ACT_NOTIFY", ""),
    ];
    let operators = ["NE", "LT", "LE", "EQ", "EQ", "EQ", "GE", "GT", "MASKED_EQ"];
    let values = [0, 1, 5, 0xffff_ffff, 0x1_0000_0000, 0x2_0000_0005, u64::MAX, 0xff00_0000_0000, 0xff];
    let names = [
        "read",
        "write",
        "open",
        "ioctl",
        "personality",
        "clone",
        "futex",
        "rt_sigaction",
        "mmap2",
        "set_tls",
        "preadv2",
        "cacheflush",
        "getpid",
        "mseal",
        "nosuchcall",
        "kill",
        "execve",
        "ptrace",
        "statx",
    ];
    let mut rules = Vec::new();
    for _ in 0..40 {
        let tests = (0..numbers.next() % 4).map(|_| {
            let (index, op) = (numbers.next() % 6, numbers.pick(&operators));
            let (value, two) = (numbers.pick(&values), numbers.pick(&values));
            let two = if op == "MASKED_EQ" && !numbers.next().is_multiple_of(4) { two & value } else { two };
            format!(r#"{{"index":{index},"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}"#)
        });
        let tests = tests.collect::<Vec<_>>().join(",");
        let (action, errno) = numbers.pick(&actions);
        let (one, other) = (numbers.pick(&names), numbers.pick(&names));
        rules.push(format!(r#"{{"names":["{one}","{other}"],"action":"{action}"{errno},"args":[{tests}]}}"#));
    }
    let arches = ["", r#""SCMP_ARCH_X86""#, r#""SCMP_ARCH_X32","SCMP_ARCH_ARM""#, r#""SCMP_ARCH_X86","SCMP_ARCH_X32""#];
    let arches = numbers.pick(&arches);
    format!(r#"{{"defaultAction":"{default}","architectures":[{arches}],"syscalls":[{}]}}"#, rules.join(","))
}

#[test]
fn any_filter_answers_as_its_rules_read() {
    let mut numbers = Numbers(0x5eed);
    for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
        for round in 0..6 {
            let text = random_profile(&mut numbers, default);
            for machine in MACHINES {
                agree(&resolve(&text, machine, &[], (6, 1)), machine, round + 1);
            }
        }
    }
}

/// The answer of a filter on x86-64 to a call by name.
fn ask(seccomp: &LinuxSeccomp, arch: Arch, name: &str, args: [u64; 2]) -> u32 {
    let machine = MACHINES.into_iter().find(|machine| machine.architectures().contains(&arch)).unwrap();
    let number = numbers::number(arch, name).unwrap();
    let call = Call { arch: audit(arch), number, args: [args[0], args[1], 0, 0, 0, 0] };
    interpret(&compile_for(seccomp, machine).unwrap().bytes, &call).0
}

#[test]
fn the_default_filter_refuses_what_reaches_the_host() {
    let filter = default_for(Machine::X86_64, &[]);
    for arch in [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32] {
        for name in [
            "keyctl",
            "add_key",
            "request_key",
            "bpf",
            "userfaultfd",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "mount",
            "umount2",
            "unshare",
            "setns",
            "init_module",
            "kexec_load",
            "reboot",
            "perf_event_open",
            "open_by_handle_at",
            "settimeofday",
            "swapon",
            "pivot_root",
            "quotactl",
            "syslog",
            "open_tree",
            "move_mount",
            "fsopen",
            "move_pages",
            "kcmp",
            "acct",
            "lsm_list_modules",
        ] {
            assert_eq!(ask(&filter, arch, name, [0, 0]), EPERM, "{name} of {arch:?}");
        }
        assert_eq!(ask(&filter, arch, "clone3", [0, 0]), ENOSYS);
        assert_eq!(ask(&filter, arch, "open_tree_attr", [0, 0]), ENOSYS, "newer than the profile");
        for (name, argument, want) in [
            ("write", 1, ALLOW),
            ("exit_group", 0, ALLOW),
            ("clone", 0x11, ALLOW),
            ("clone", 0x2_0000, EPERM),
            ("clone", 0x1000_0011, EPERM),
            ("personality", 0, ALLOW),
            ("personality", 0x2_0008, ALLOW),
            ("personality", 0xffff_ffff, ALLOW),
            ("personality", 0x4_0000, EPERM),
            ("socket", 1, ALLOW),
            ("socket", 38, EPERM),
            ("socket", 39, ALLOW),
            ("socket", 40, EPERM),
            ("socket", 45, ALLOW),
        ] {
            assert_eq!(ask(&filter, arch, name, [argument, 0]), want, "{name}({argument:#x}) of {arch:?}");
        }
    }
    // The kernel takes the lower half for the family.
    assert_eq!(ask(&filter, Arch::ScmpArchX86_64, "socket", [0x1_0000_0026, 0]), EPERM);
}

#[test]
fn capabilities_machines_and_kernels_change_the_default() {
    let with = |caps: &[Capability], name: &str, argument: u64| {
        ask(&default_for(Machine::X86_64, caps), Arch::ScmpArchX86_64, name, [argument, 0])
    };
    for (capability, name) in [
        (Capability::SysAdmin, "mount"),
        (Capability::SysAdmin, "clone3"),
        (Capability::SysAdmin, "bpf"),
        (Capability::Bpf, "bpf"),
        (Capability::Perfmon, "perf_event_open"),
        (Capability::Syslog, "syslog"),
        (Capability::DacReadSearch, "open_by_handle_at"),
        (Capability::SysBoot, "reboot"),
        (Capability::SysChroot, "chroot"),
        (Capability::SysModule, "init_module"),
        (Capability::SysNice, "mbind"),
        (Capability::SysPacct, "acct"),
        (Capability::SysPtrace, "kcmp"),
        (Capability::SysRawio, "iopl"),
        (Capability::SysTime, "clock_settime"),
        (Capability::SysTtyConfig, "vhangup"),
    ] {
        assert_ne!(with(&[], name, 0), ALLOW, "{name}");
        assert_eq!(with(&[capability], name, 0), ALLOW, "{name}");
    }
    assert_eq!(with(&[Capability::SysAdmin], "clone", 0x2_0000), ALLOW);
    assert_eq!(with(&[Capability::SysAdmin], "keyctl", 0), EPERM);
    let on = |kernel| resolve(super::DEFAULT, Machine::X86_64, &[], kernel);
    assert_eq!(ask(&on((4, 7)), Arch::ScmpArchX86_64, "ptrace", [0, 0]), EPERM);
    assert_eq!(ask(&on((4, 8)), Arch::ScmpArchX86_64, "ptrace", [0, 0]), ALLOW);
    assert_eq!(ask(&on((10, 0)), Arch::ScmpArchX86_64, "ptrace", [0, 0]), ALLOW);
    let arm = default_for(Machine::Aarch64, &[]);
    assert_eq!(ask(&arm, Arch::ScmpArchArm, "set_tls", [0, 0]), ALLOW);
    assert_eq!(ask(&arm, Arch::ScmpArchAarch64, "newfstatat", [0, 0]), ALLOW);
    let riscv = default_for(Machine::Riscv64, &[]);
    assert_eq!(ask(&riscv, Arch::ScmpArchRiscv64, "riscv_flush_icache", [0, 0]), ALLOW);
    assert_eq!(KernelVersion::of("6.18.44-fc").unwrap(), KernelVersion(6, 18));
    assert_eq!(KernelVersion::of("5.10").unwrap(), KernelVersion(5, 10));
    assert!(KernelVersion::of("next").is_err());
}

#[test]
fn calls_of_i386_cannot_go_round_a_rule_by_way_of_socketcall_and_ipc() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]},
        {"names":["shmat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let filter = resolve(text, Machine::X86_64, &[], (6, 1));
    let ask = |name, first| ask(&filter, Arch::ScmpArchX86, name, [first, 0]);
    assert_eq!((ask("socketcall", 1), ask("socketcall", 2)), (EPERM, ALLOW));
    assert_eq!((ask("ipc", 21), ask("ipc", 0x1_0015), ask("ipc", 22)), (EPERM, EPERM, ALLOW));
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["bind", "shutdown"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let filter = resolve(text, Machine::X86_64, &[], (6, 1));
    let ask = |first| super::tests::ask(&filter, Arch::ScmpArchX86, "socketcall", [first, 0]);
    assert_eq!((ask(1), ask(2), ask(3), ask(13)), (EPERM, ALLOW, EPERM, ALLOW));
}

#[test]
fn flags_and_listeners() {
    let make = |flags: &str, action: &str| {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","flags":[{flags}],"syscalls":[{{"names":["mkdir"],"action":"{action}"}}]}}"#
        );
        compile_for(&resolve(&text, Machine::X86_64, &[], (6, 1)), Machine::X86_64).unwrap()
    };
    let killable = r#""SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV""#;
    let tsync = r#""SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW""#;
    assert_eq!((make("", "SCMP_ACT_LOG").flags, make("", "SCMP_ACT_LOG").notifies), (0, false));
    assert_eq!((make("", "SCMP_ACT_NOTIFY").flags, make("", "SCMP_ACT_NOTIFY").notifies), (1 << 3, true));
    assert_eq!(make(killable, "SCMP_ACT_LOG").flags, 0);
    assert_eq!(make(killable, "SCMP_ACT_NOTIFY").flags, 1 << 3 | 1 << 5);
    assert_eq!(make(tsync, "SCMP_ACT_LOG").flags, 1 | 1 << 1 | 1 << 2);
    assert_eq!(make(tsync, "SCMP_ACT_NOTIFY").flags, 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
}

#[test]
fn what_the_specification_cannot_mean_is_refused() {
    let compile = |text: &str| compile_for(&serde_json::from_str(text).unwrap(), Machine::X86_64).unwrap_err();
    let rule =
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","errnoRet":2}]}"#;
    assert_eq!(compile(rule).message(), "seccomp rule 0 (read): SCMP_ACT_KILL has no errno");
    let index = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL",
        "args":[{"index":9,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#;
    assert_eq!(compile(index).message(), "seccomp rule 0 (read): argument 9 is not one, they are 0 to 5");
    let errno = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}"#;
    assert_eq!(compile(errno).message(), "seccomp defaultErrnoRet: 5000 is above 4095");
    assert!(compile(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).message().contains("cannot be the default"));
    let tests: Vec<String> = (0..3000)
        .map(|value| {
            format!(
                r#"{{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[
        {{"index":{},"value":{value},"op":"SCMP_CMP_GT"}}]}}"#,
                value % 6
            )
        })
        .collect();
    let large = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, tests.join(","));
    assert!(compile(&large).message().starts_with("the seccomp filter is too large: "));
}

#[test]
fn the_default_filter_is_small() {
    for machine in MACHINES {
        let size = compile_for(&default_for(machine, &[]), machine).unwrap().bytes.len() / 8;
        // The kernel tries it on every call number when it is loaded.
        assert!(size < 600, "{size} instructions on {machine:?}");
    }
    assert_eq!(default_profile(), &parse(super::DEFAULT).unwrap());
}
