//! Classic BPF programs: instructions, and writing them from the end so that every jump knows its target.
//!
//! System calls are numbered densely and most answers are the same, so a table shrinks to some dozen runs of equal
//! answers. They are searched by halves: one comparison a run, and seven or so for a call. The kernel tries a new
//! filter on every call number when it is loaded (5.11 and later), so short paths make loading quick, too.
//!
//! Source: seccomp(2); Documentation/networking/filter.rst (opcodes); kernel/seccomp.c, `seccomp_check_filter`.

use std::collections::HashMap;

use super::answers::{Answer, Compare, Rule, Test};

/// Opcodes that seccomp programs may have, of those used here.
pub mod code {
    /// Loads a word of the call.
    pub const LOAD: u16 = 0x20;
    /// Masks what was loaded.
    pub const AND: u16 = 0x54;
    /// Jumps always.
    pub const JUMP: u16 = 0x05;
    /// Jumps when equal to the operand.
    pub const EQUAL: u16 = 0x15;
    /// Jumps when greater.
    pub const ABOVE: u16 = 0x25;
    /// Jumps when greater or equal.
    pub const AT_LEAST: u16 = 0x35;
    /// Jumps when any bit of the operand is set.
    pub const ANY_BIT: u16 = 0x45;
    /// Ends with the operand.
    pub const RETURN: u16 = 0x06;
}

/// Where the call's number is in struct seccomp_data.
pub const NUMBER: u32 = 0;
/// Where its architecture is.
pub const ARCHITECTURE: u32 = 4;

/// The offset of a half of an argument.
fn half(argument: u32, high: bool) -> u32 {
    16 + 8 * argument + if high == cfg!(target_endian = "little") { 4 } else { 0 }
}

#[derive(Debug, Clone, Copy)]
struct Step {
    code: u16,
    on_true: u8,
    on_false: u8,
    operand: u32,
}

/// An instruction's place, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// A program that is being written from its end.
#[derive(Default)]
pub struct Writer {
    steps: Vec<Step>,
    returns: HashMap<u32, Label>,
    blocks: HashMap<Answer, Label>,
}

impl Writer {
    fn push(&mut self, code: u16, operand: u32, on_true: u8, on_false: u8) -> Label {
        self.steps.push(Step { code, on_true, on_false, operand });
        Label(self.steps.len() - 1)
    }

    /// How many instructions one written next would skip to get to `label`.
    fn distance(&self, label: Label) -> usize {
        self.steps.len() - label.0 - 1
    }

    /// A place with the same effect as `label`, in reach of a conditional jump that is written next or after one
    /// more such call.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        if distance < usize::from(u8::MAX) {
            return label;
        }
        let target = self.steps[label.0];
        if target.code == code::RETURN {
            let copy = self.push(code::RETURN, target.operand, 0, 0);
            self.returns.insert(target.operand, copy);
            return copy;
        }
        // The kernel's limit of 4096 instructions, checked at the end, keeps this within 32 bits.
        self.push(code::JUMP, distance as u32, 0, 0)
    }

    /// A conditional jump.
    pub fn branch(&mut self, code: u16, operand: u32, yes: Label, no: Label) -> Label {
        let yes = self.near(yes);
        let no = self.near(no);
        let (yes, no) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(code, operand, yes, no)
    }

    /// Loads a word, then goes on with the instruction written last.
    pub fn load(&mut self, offset: u32) -> Label {
        self.push(code::LOAD, offset, 0, 0)
    }

    /// Goes to `label`, as what is written last.
    pub fn fall_to(&mut self, label: Label) -> Label {
        match self.distance(label) {
            0 => label,
            distance => self.push(code::JUMP, distance as u32, 0, 0),
        }
    }

    /// The end with a value.
    pub fn end(&mut self, value: u32) -> Label {
        if let Some(label) = self.returns.get(&value) {
            return *label;
        }
        let label = self.push(code::RETURN, value, 0, 0);
        self.returns.insert(value, label);
        label
    }

    /// Finds the run the loaded number is in; each begins with its first number and goes to the next, the first
    /// from 0. There is at least one.
    pub fn search(&mut self, runs: &[(u32, Answer)]) -> Label {
        match runs {
            [] => unreachable!("callers pass runs that cover every number"),
            [(_, answer)] => self.answer(answer),
            // A single number within others costs one comparison.
            [(_, around), (number, answer), (behind, same)] if around == same && *behind == number + 1 => {
                let around = self.answer(around);
                let answer = self.answer(answer);
                self.branch(code::EQUAL, *number, answer, around)
            }
            _ => {
                let (lower, upper) = runs.split_at(runs.len() / 2);
                let from = upper[0].0;
                let upper = self.search(upper);
                let lower = self.search(lower);
                self.branch(code::AT_LEAST, from, upper, lower)
            }
        }
    }

    /// The place that gives an answer; written once, wherever it is needed.
    pub fn answer(&mut self, answer: &Answer) -> Label {
        match answer {
            Answer::Always(value) => self.end(*value),
            Answer::Depends { rules, otherwise } => {
                if let Some(label) = self.blocks.get(answer) {
                    return *label;
                }
                let label = self.rules(rules, *otherwise);
                self.blocks.insert(answer.clone(), label);
                label
            }
        }
    }

    fn rules(&mut self, rules: &[Rule], otherwise: u32) -> Label {
        let mut next = self.end(otherwise);
        let mut left = rules;
        while let Some((rule, before)) = left.split_last() {
            let values = values_at_the_end(left);
            if let [first, _, ..] = values[..] {
                left = &left[..left.len() - values.len()];
                next = self.among(rule, first, &values, next);
                continue;
            }
            let mut hit = self.end(rule.answer);
            for test in rule.tests.iter().rev() {
                hit = self.test(test, hit, next);
            }
            next = hit;
            left = before;
        }
        next
    }

    /// Rules that differ only in the value the argument must have, with one look at it.
    fn among(&mut self, rule: &Rule, first: u64, values: &[u64], miss: Label) -> Label {
        let test = rule.tests[0];
        let hit = self.end(rule.answer);
        let mut next = miss;
        for value in values.iter().rev() {
            next = self.branch(code::EQUAL, *value as u32, hit, next);
        }
        let low = self.load_half(&test, false, next);
        if !test.wide {
            return low;
        }
        let high = self.branch(code::EQUAL, (first >> 32) as u32, low, miss);
        self.load_half(&test, true, high)
    }

    /// Loads a half of the argument and goes on with `next`, which must be what was written last.
    fn load_half(&mut self, test: &Test, high: bool, next: Label) -> Label {
        debug_assert_eq!(next.0 + 1, self.steps.len());
        self.load(half(test.argument, high))
    }

    fn test(&mut self, test: &Test, hit: Label, miss: Label) -> Label {
        match test.compare {
            Compare::Masked { mask, value, equal: true } => self.masked(test, mask, value, hit, miss),
            Compare::Masked { mask, value, equal: false } => self.masked(test, mask, value, miss, hit),
            Compare::AtLeast { value, holds: true } => self.ordered(test, code::AT_LEAST, value, hit, miss),
            Compare::AtLeast { value, holds: false } => self.ordered(test, code::AT_LEAST, value, miss, hit),
            Compare::Above { value, holds: true } => self.ordered(test, code::ABOVE, value, hit, miss),
            Compare::Above { value, holds: false } => self.ordered(test, code::ABOVE, value, miss, hit),
        }
    }

    fn ordered(&mut self, test: &Test, code: u16, value: u64, yes: Label, no: Label) -> Label {
        let low = self.branch(code, value as u32, yes, no);
        let low = self.load_half(test, false, low);
        if !test.wide {
            return low;
        }
        let high = (value >> 32) as u32;
        let same = self.branch(code::EQUAL, high, low, no);
        let greater = self.branch(code::ABOVE, high, yes, same);
        self.load_half(test, true, greater)
    }

    fn masked(&mut self, test: &Test, mask: u64, value: u64, yes: Label, no: Label) -> Label {
        let (low, high) = ((mask as u32, value as u32), ((mask >> 32) as u32, (value >> 32) as u32));
        let place = self.masked_half(test, false, low, yes, no);
        if test.wide { self.masked_half(test, true, high, place, no) } else { place }
    }

    fn masked_half(&mut self, test: &Test, high: bool, (mask, value): (u32, u32), yes: Label, no: Label) -> Label {
        if value & !mask != 0 {
            return no;
        }
        if mask == 0 {
            return yes;
        }
        let compared = match (mask, value) {
            (u32::MAX, _) => self.branch(code::EQUAL, value, yes, no),
            (_, 0) => self.branch(code::ANY_BIT, mask, no, yes),
            _ => {
                self.branch(code::EQUAL, value, yes, no);
                self.push(code::AND, mask, 0, 0)
            }
        };
        self.load_half(test, high, compared)
    }

    /// Instructions so far.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The program, which begins with what was written last: struct sock_filter, in native byte order.
    pub fn finish(self) -> Vec<u8> {
        self.steps.iter().rev().flat_map(encode).collect()
    }
}

/// The values of the rules at the end, as far back as they ask one argument for one of several values with the same
/// upper half.
fn values_at_the_end(rules: &[Rule]) -> Vec<u64> {
    let asked = |rule: &Rule| match rule.tests[..] {
        [Test { argument, wide, compare: Compare::Masked { mask: u64::MAX, value, equal: true } }] => {
            Some(((rule.answer, argument, wide, value >> 32), value))
        }
        _ => None,
    };
    let Some((last, _)) = rules.last().and_then(asked) else { return Vec::new() };
    let same = rules.iter().rev().map_while(|rule| asked(rule).filter(|(kind, _)| *kind == last));
    let mut values: Vec<u64> = same.map(|(_, value)| value).collect();
    values.reverse();
    values
}

fn encode(step: &Step) -> [u8; 8] {
    let [a, b] = step.code.to_ne_bytes();
    let [c, d, e, f] = step.operand.to_ne_bytes();
    [a, b, step.on_true, step.on_false, c, d, e, f]
}
