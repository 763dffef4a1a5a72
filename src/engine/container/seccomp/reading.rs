//! For tests: what a compiled filter answers, and what the rules it was made from say when they are read plainly.
//!
//! `interpret` runs a program as the kernel would; `Reader` looks the answer up in the OCI form, rule by rule, with
//! nothing of the compiler but the tables of numbers.

use std::collections::HashSet;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::machine::{Machine, X32_BIT, audit, is_wide};
use super::numbers;
use super::program::code;

/// `SECCOMP_RET_ERRNO` with ENOSYS.
pub const ENOSYS: u32 = 0x0005_0026;
/// `SECCOMP_RET_KILL_THREAD`.
pub const KILL: u32 = 0;

/// A call as a filter sees it.
pub struct Call {
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// With x32's bit.
    pub number: u32,
    /// The arguments.
    pub args: [u64; 6],
}

/// Runs a program on a call, as the kernel would, and counts the steps.
pub fn interpret(program: &[u8], call: &Call) -> (u32, usize) {
    let word = |offset: u32| match offset {
        0 => call.number,
        4 => call.arch,
        16..64 => {
            let argument = call.args[(offset as usize - 16) / 8];
            let high = (offset % 8 == 4) == cfg!(target_endian = "little");
            if high { (argument >> 32) as u32 } else { argument as u32 }
        }
        other => panic!("load from {other}"),
    };
    let (mut at, mut value, mut steps) = (0, 0, 0);
    loop {
        let bytes = &program[at * 8..at * 8 + 8];
        let operand = u32::from_ne_bytes(bytes[4..8].try_into().unwrap());
        at += 1;
        steps += 1;
        let mut branch = |taken: bool| at += usize::from(if taken { bytes[2] } else { bytes[3] });
        match u16::from_ne_bytes([bytes[0], bytes[1]]) {
            code::LOAD => value = word(operand),
            code::AND => value &= operand,
            code::JUMP => at += operand as usize,
            code::EQUAL => branch(value == operand),
            code::ABOVE => branch(value > operand),
            code::AT_LEAST => branch(value >= operand),
            code::ANY_BIT => branch(value & operand != 0),
            code::RETURN => return (operand, steps),
            other => panic!("opcode {other:#x}"),
        }
    }
}

fn holds(test: &LinuxSeccompArg, call: &Call, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { u64::from(value as u32) };
    let (argument, value) = (cut(call.args[test.index()]), cut(test.value()));
    match test.op() {
        LinuxSeccompOperator::ScmpCmpNe => argument != value,
        LinuxSeccompOperator::ScmpCmpLt => argument < value,
        LinuxSeccompOperator::ScmpCmpLe => argument <= value,
        LinuxSeccompOperator::ScmpCmpEq => argument == value,
        LinuxSeccompOperator::ScmpCmpGe => argument >= value,
        LinuxSeccompOperator::ScmpCmpGt => argument > value,
        LinuxSeccompOperator::ScmpCmpMaskedEq => argument & value == cut(test.value_two().unwrap_or(0)),
    }
}

/// Which architecture a call is of, if the filter knows it.
fn architecture(seccomp: &LinuxSeccomp, machine: Machine, call: &Call) -> Option<Arch> {
    let own = machine.architectures()[0];
    let listed = |arch: &Arch| *arch == own || seccomp.architectures().iter().flatten().any(|one| one == arch);
    let arch = machine.architectures().iter().copied().find(|arch| audit(*arch) == call.arch)?;
    let x32 = arch == Arch::ScmpArchX86_64 && call.number >= X32_BIT && call.number != u32::MAX;
    Some(if x32 { Arch::ScmpArchX32 } else { arch }).filter(|arch| x32 || listed(arch))
}

/// The rules with the numbers of their names on an architecture, and the greatest of the ascending ones.
struct Named<'a> {
    arch: Arch,
    rules: Vec<(HashSet<u32>, &'a LinuxSyscall)>,
    newest: Option<u32>,
}

/// A filter's rules as they are written.
pub struct Reader<'a> {
    seccomp: &'a LinuxSeccomp,
    machine: Machine,
    named: Vec<Named<'a>>,
}

impl<'a> Reader<'a> {
    /// Of a filter for a machine.
    pub fn new(seccomp: &'a LinuxSeccomp, machine: Machine) -> Reader<'a> {
        let named = |arch: &Arch| {
            let numbers =
                |rule: &LinuxSyscall| rule.names().iter().filter_map(|name| numbers::number(*arch, name)).collect();
            let rules: Vec<(HashSet<u32>, _)> =
                seccomp.syscalls().iter().flatten().map(|rule| (numbers(rule), rule)).collect();
            let apart = numbers::apart(*arch);
            let all = rules.iter().flat_map(|(numbers, _)| numbers);
            let newest = all.filter(|number| !apart.contains(number)).max().copied();
            Named { arch: *arch, rules, newest }
        };
        let named = machine.architectures().iter().map(named).collect();
        Reader { seccomp, machine, named }
    }

    /// The answer, by reading the rules.
    pub fn answer(&self, call: &Call) -> u32 {
        let seccomp = self.seccomp;
        let Some(arch) = architecture(seccomp, self.machine, call) else { return KILL };
        let listed = seccomp.architectures().iter().flatten().any(|one| *one == arch);
        if arch == Arch::ScmpArchX32 && !listed {
            return ENOSYS;
        }
        let default = seccomp.default_action().as_u32(seccomp.default_errno_ret());
        let Named { rules, newest, .. } = self.named.iter().find(|named| named.arch == arch).unwrap();
        let here: Vec<_> = rules.iter().filter(|(numbers, _)| numbers.contains(&call.number)).collect();
        let says = |rule: &LinuxSyscall| rule.action().as_u32(rule.errno_ret());
        let tests = |rule: &LinuxSyscall| rule.args().clone().unwrap_or_default();
        let other: Vec<_> = here.iter().map(|(_, rule)| *rule).filter(|rule| says(rule) != default).collect();
        let all = |rule: &LinuxSyscall| tests(rule).iter().all(|test| holds(test, call, is_wide(arch)));
        let plain = other.iter().find(|rule| tests(rule).is_empty());
        if let Some(rule) = plain.or_else(|| other.iter().find(|rule| all(rule))) {
            return says(rule);
        }
        let known = numbers::apart(arch).contains(&call.number) || newest.is_none_or(|newest| call.number <= newest);
        let passes = matches!(
            seccomp.default_action(),
            LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog | LinuxSeccompAction::ScmpActTrace
        );
        if known || passes { default } else { ENOSYS }
    }
}
