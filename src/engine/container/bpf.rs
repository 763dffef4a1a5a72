//! Compiling a table of answers to a classic BPF program for seccomp.
//!
//! System calls are numbered densely and most answers are the same, so a table shrinks to a few dozen runs of equal
//! answers, tested by their upper bounds. That is a tenth of what one test a call needs, and the kernel tries a new
//! filter on every call number when it is loaded: with one test a call that alone took 2 ms of a container's start.
//!
//! Source: seccomp(2); Documentation/networking/filter.rst (opcodes); linux/seccomp.h (return values).

use std::collections::BTreeMap;

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets in struct seccomp_data; arguments are 64 bits wide, of which the low half is looked at.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It goes on.
    Allow,
    /// It fails with this errno.
    Errno(u16),
    /// It fails with `errno` when the first argument has any of these bits; else it goes on.
    RefuseBits {
        /// Bits of the first argument.
        bits: u32,
        /// The errno.
        errno: u16,
    },
    /// It fails with `errno` when the first argument is among the values; else it goes on.
    RefuseValues {
        /// Values of the first argument.
        values: Vec<u32>,
        /// The errno.
        errno: u16,
    },
    /// It fails with `errno` unless the first argument is among the values.
    OnlyValues {
        /// Values of the first argument.
        values: Vec<u32>,
        /// The errno.
        errno: u16,
    },
}

#[derive(Clone, Copy)]
struct Step {
    code: u16,
    on_true: u8,
    on_false: u8,
    operand: u32,
}

fn step(code: u16, operand: u32) -> Step {
    Step { code, on_true: 0, on_false: 0, operand }
}

fn jump(code: u16, operand: u32, on_true: usize, on_false: usize) -> Step {
    // Blocks are a handful of steps long, far below the 255 a jump can reach.
    Step { code, on_true: on_true as u8, on_false: on_false as u8, operand }
}

/// The architecture whose calls a program looks at.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    pub audit: u32,
    /// Where another set of numbers begins under the same architecture (x32).
    pub end_of_numbers: Option<u32>,
}

/// Compiles answers by call number; calls without one, and those of other architectures, fail with `otherwise`.
pub fn compile(machine: Machine, answers: &BTreeMap<i64, Answer>, otherwise: u16) -> Vec<u8> {
    let refuse = step(RETURN, ERRNO | u32::from(otherwise));
    let mut program =
        vec![step(LOAD_WORD, ARCHITECTURE), jump(JUMP_EQUAL, machine.audit, 1, 0), refuse, step(LOAD_WORD, NUMBER)];
    if let Some(end) = machine.end_of_numbers {
        program.extend([jump(JUMP_GREATER_OR_EQUAL, end, 0, 1), refuse]);
    }
    for (end, answer) in runs(answers, otherwise) {
        let block = block(&answer);
        program.push(jump(JUMP_GREATER_OR_EQUAL, end, block.len(), 0));
        program.extend(block);
    }
    program.push(refuse);
    program.iter().flat_map(|step| encode(*step)).collect()
}

/// The table as runs of equal answers, each with the first number that is no longer part of it.
fn runs(answers: &BTreeMap<i64, Answer>, otherwise: u16) -> Vec<(u32, Answer)> {
    let mut list: Vec<(u32, Answer)> = Vec::new();
    let last = answers.keys().next_back().copied().unwrap_or(-1);
    for number in 0..=last {
        let answer = answers.get(&number).cloned().unwrap_or(Answer::Errno(otherwise));
        match list.last_mut() {
            Some((end, same)) if *same == answer => *end = number as u32 + 1,
            _ => list.push((number as u32 + 1, answer)),
        }
    }
    list
}

fn block(answer: &Answer) -> Vec<Step> {
    let allow = step(RETURN, ALLOW);
    let refuse = |errno: &u16| step(RETURN, ERRNO | u32::from(*errno));
    let argument = step(LOAD_WORD, FIRST_ARGUMENT);
    // A test for each value, jumping over the rest of them and the step behind to the last one.
    let among = |values: &[u32], found: Step, else_: Step| {
        let count = values.len();
        let tests = values.iter().enumerate().map(|(at, value)| jump(JUMP_EQUAL, *value, count - at, 0));
        [argument].into_iter().chain(tests).chain([else_, found]).collect()
    };
    match answer {
        Answer::Allow => vec![allow],
        Answer::Errno(errno) => vec![refuse(errno)],
        Answer::RefuseBits { bits, errno } => vec![argument, jump(JUMP_SET, *bits, 0, 1), refuse(errno), allow],
        Answer::RefuseValues { values, errno } => among(values, refuse(errno), allow),
        Answer::OnlyValues { values, errno } => among(values, allow, refuse(errno)),
    }
}

fn encode(step: Step) -> [u8; 8] {
    let [a, b] = step.code.to_ne_bytes();
    let [c, d, e, f] = step.operand.to_ne_bytes();
    [a, b, step.on_true, step.on_false, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { audit: 7, end_of_numbers: Some(0x4000_0000) };

    /// Runs a program on a call, as the kernel would.
    fn run(program: &[u8], arch: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let bytes = &program[at * 8..at * 8 + 8];
            let operand = u32::from_ne_bytes(bytes[4..8].try_into().unwrap());
            at += 1;
            let mut branch = |taken: bool| at += usize::from(if taken { bytes[2] } else { bytes[3] });
            match u16::from_ne_bytes([bytes[0], bytes[1]]) {
                LOAD_WORD if operand == NUMBER => value = number,
                LOAD_WORD if operand == ARCHITECTURE => value = arch,
                LOAD_WORD if operand == FIRST_ARGUMENT => value = argument,
                JUMP_EQUAL => branch(value == operand),
                JUMP_GREATER_OR_EQUAL => branch(value >= operand),
                JUMP_SET => branch(value & operand != 0),
                RETURN => return operand,
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    #[test]
    fn every_call_gets_its_own_answer() {
        let answers = BTreeMap::from([
            (0, Answer::Allow),
            (1, Answer::Allow),
            (3, Answer::Errno(1)),
            (4, Answer::RefuseBits { bits: 0x30, errno: 1 }),
            (5, Answer::RefuseValues { values: vec![38, 40], errno: 13 }),
            (6, Answer::OnlyValues { values: vec![0, 8], errno: 1 }),
            (9, Answer::Allow),
        ]);
        let program = compile(MACHINE, &answers, 38);
        let errno = |number: u32| ERRNO | number;
        for (number, argument, want) in [
            (0, 0, ALLOW),
            (1, 9, ALLOW),
            (2, 0, errno(38)),
            (3, 0, errno(1)),
            (4, 0x0f, ALLOW),
            (4, 0x10, errno(1)),
            (4, 0x20, errno(1)),
            (5, 38, errno(13)),
            (5, 39, ALLOW),
            (5, 40, errno(13)),
            (6, 0, ALLOW),
            (6, 8, ALLOW),
            (6, 4, errno(1)),
            (7, 0, errno(38)),
            (9, 0, ALLOW),
            (10, 0, errno(38)),
            (0x4000_0000, 0, errno(38)),
        ] {
            assert_eq!(run(&program, 7, number, argument), want, "call {number} with {argument}");
        }
        assert_eq!(run(&program, 8, 0, 0), errno(38), "another architecture");
    }
}
