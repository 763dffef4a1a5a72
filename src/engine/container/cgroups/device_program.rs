//! The program that judges device accesses of a v2 cgroup.
//!
//! It looks at the rules from the last to the first and strikes off the kinds of access that a rule allows, until
//! none is left (allowed), a rule refuses one that is left, or the rules end (refused). Source: linux/bpf.h
//! (`struct bpf_cgroup_dev_ctx`), Documentation/bpf/standardization/instruction-set.rst.

use super::devices::{ALL, Rule, Type};

/// One instruction, as the kernel reads it.
pub(super) type Instruction = [u8; 8];

// Registers: 0 the verdict, 1 the context, then what is taken out of it.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const LEFT: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// Makes the program for rules in the order they were written.
pub(super) fn make(rules: &[Rule]) -> Vec<Instruction> {
    // The first word of the context has the type of device in its lower half, the access in its upper.
    let mut program = vec![
        instruction(LOAD_WORD, LEFT, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, TYPE, LEFT, 0, 0),
        instruction(AND, TYPE, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, LEFT, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        match rule {
            // What comes before has no say, and the kernel refuses instructions that are never reached.
            Rule::Everything(allow) => {
                verdict(&mut program, *allow);
                return program;
            }
            Rule::Some(allow, devices) => {
                let body = judge(*allow, devices.access);
                let typ = if devices.typ == Type::Block { 1 } else { 2 };
                let tests = [(TYPE, Some(typ)), (MAJOR, devices.major), (MINOR, devices.minor)];
                let tests: Vec<(u8, u32)> =
                    tests.into_iter().filter_map(|(register, value)| value.map(|value| (register, value))).collect();
                for (at, (register, value)) in tests.iter().enumerate() {
                    let behind = (tests.len() - 1 - at + body.len()) as i16;
                    program.push(instruction(JUMP_UNLESS_EQUAL, *register, 0, behind, *value as i32));
                }
                program.extend(body);
            }
        }
    }
    verdict(&mut program, false);
    program
}

/// What to do with a device that matches; goes on behind when undecided.
fn judge(allow: bool, access: u8) -> Vec<Instruction> {
    let mut body = Vec::new();
    if allow {
        body.push(instruction(AND, LEFT, 0, 0, i32::from(ALL & !access)));
        body.push(instruction(JUMP_UNLESS_EQUAL, LEFT, 0, 2, 0));
    } else {
        body.push(instruction(MOVE_REGISTER, SCRATCH, LEFT, 0, 0));
        body.push(instruction(AND, SCRATCH, 0, 0, i32::from(access)));
        body.push(instruction(JUMP_IF_EQUAL, SCRATCH, 0, 2, 0));
    }
    verdict(&mut body, allow);
    body
}

fn verdict(program: &mut Vec<Instruction>, allow: bool) {
    program.push(instruction(MOVE, VERDICT, 0, 0, i32::from(allow)));
    program.push(instruction(EXIT, 0, 0, 0, 0));
}

fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
    let ([o0, o1], [v0, v1, v2, v3]) = (offset.to_ne_bytes(), value.to_ne_bytes());
    [code, registers, o0, o1, v0, v1, v2, v3]
}

#[cfg(test)]
mod tests {
    use super::super::devices::{Devices, MKNOD, READ, WRITE};
    use super::*;

    /// Runs a program as the kernel would, for one access.
    fn run(program: &[Instruction], typ: u32, access: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(access) << 16 | typ, major, minor];
        let (mut registers, mut at) = ([0u64; 7], 0usize);
        loop {
            let [code, pair, o0, o1, v0, v1, v2, v3] = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let offset = i16::from_ne_bytes([o0, o1]);
            let value = i64::from(i32::from_ne_bytes([v0, v1, v2, v3])) as u64;
            at += 1;
            let jump = match code {
                LOAD_WORD => {
                    registers[to] = context[offset as usize / 4].into();
                    false
                }
                MOVE => {
                    registers[to] = value;
                    false
                }
                MOVE_REGISTER => {
                    registers[to] = registers[from];
                    false
                }
                AND => {
                    registers[to] &= value;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= value;
                    false
                }
                JUMP_IF_EQUAL => registers[to] == value,
                JUMP_UNLESS_EQUAL => registers[to] != value,
                EXIT => return registers[0] != 0,
                other => panic!("instruction {other:x}"),
            };
            if jump {
                at = at.checked_add_signed(offset.into()).unwrap();
            }
        }
    }

    fn some(allow: bool, typ: Type, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
        Rule::Some(allow, Devices { typ, major, minor, access })
    }

    #[test]
    fn the_last_rule_for_each_kind_of_access_counts() {
        use Type::{Block, Character};
        let program = make(&[
            some(true, Block, None, None, ALL),
            Rule::Everything(false),
            some(true, Character, None, None, MKNOD),
            some(true, Character, Some(1), None, READ),
            some(true, Character, Some(1), Some(3), WRITE),
            some(false, Character, Some(1), Some(7), READ),
        ]);
        const B: u32 = 1;
        const C: u32 = 2;
        let table = [
            ((B, READ, 8, 0), false),
            ((C, MKNOD, 9, 9), true),
            ((C, READ, 9, 9), false),
            ((C, READ, 1, 3), true),
            ((C, READ | WRITE, 1, 3), true),
            ((C, ALL, 1, 3), true),
            ((C, WRITE, 1, 5), false),
            ((C, READ | MKNOD, 1, 5), true),
            ((C, READ, 1, 7), false),
            ((C, MKNOD, 1, 7), true),
            ((C, READ | MKNOD, 1, 7), false),
        ];
        for ((typ, access, major, minor), expected) in table {
            assert_eq!(run(&program, typ, access, major, minor), expected, "{typ} {access} {major}:{minor}");
        }
    }

    #[test]
    fn no_rules_refuse_and_a_last_word_stands_alone() {
        assert!(!run(&make(&[]), 2, READ, 1, 3));
        let program = make(&[some(false, Type::Block, None, None, ALL), Rule::Everything(true)]);
        assert!(run(&program, 1, ALL, 8, 0));
        assert_eq!(program.len(), 8);
    }
}
